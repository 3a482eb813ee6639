//! The symbols of a request of remote write 2.0: its strings, each once.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::protobuf::{SYMBOLS, push_len};

/// Maximum memory that is kept for the next request, in bytes: symbols of 10,000 series of many
/// hosts. Rows can have a kilobyte of text for each sample.
pub(super) const MAX_KEPT_BYTES: usize = 4 << 20;

/// The symbols of a request. The memory is reused.
#[derive(Debug)]
pub(super) struct SymbolTable {
    /// Its key is random, so that no agent can choose texts with equal hashes.
    hasher: DefaultHashBuilder,
    known: HashTable<u32>,
    /// The fields `symbols`.
    encoded: Vec<u8>,
    /// Place of the text of each symbol in `encoded`.
    places: Vec<(usize, usize)>,
    /// Number of the request, from 1.
    request: u64,
}

impl Default for SymbolTable {
    fn default() -> Self {
        let mut table = Self {
            hasher: DefaultHashBuilder::default(),
            known: HashTable::new(),
            encoded: Vec::new(),
            places: Vec::new(),
            request: 0,
        };
        table.clear();
        table
    }
}

impl SymbolTable {
    /// Starts the next request. Its first symbol is empty, as the specification demands.
    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.encoded.clear();
        self.places.clear();
        if self.bytes() > MAX_KEPT_BYTES {
            (self.known, self.encoded, self.places) = Default::default();
        }
        self.request += 1;
        self.push("");
    }

    /// Returns the number of the request.
    pub(super) fn request(&self) -> u64 {
        self.request
    }

    /// Returns the fields `symbols` of the request.
    pub(super) fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// Returns the index of a string, which it adds if it is new.
    pub(super) fn symbol(&mut self, string: &str) -> u32 {
        if string.is_empty() {
            return 0;
        }
        let hash = self.hasher.hash_one(string.as_bytes());
        let is_same = |known: &u32| text(&self.encoded, &self.places, *known) == string.as_bytes();
        if let Some(known) = self.known.find(hash, is_same) {
            return *known;
        }
        let index = self.push(string);
        let Self { hasher, known, encoded, places, .. } = self;
        let hash_of = |known: &u32| hasher.hash_one(text(encoded, places, *known));
        known.insert_unique(hash, index, hash_of);
        index
    }

    fn push(&mut self, string: &str) -> u32 {
        let index = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        self.encoded.push(SYMBOLS);
        push_len(string.len(), &mut self.encoded);
        let start = self.encoded.len();
        self.encoded.extend_from_slice(string.as_bytes());
        self.places.push((start, self.encoded.len()));
        index
    }

    /// Returns the memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.encoded.capacity()
            + self.places.capacity() * size_of::<(usize, usize)>()
            + self.known.capacity() * size_of::<u32>()
    }
}

fn text<'a>(encoded: &'a [u8], places: &[(usize, usize)], index: u32) -> &'a [u8] {
    let place = places.get(index as usize).copied();
    place.and_then(|(start, end)| encoded.get(start..end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_strings_are_one_symbol_of_their_request() {
        let mut table = SymbolTable::default();
        assert_eq!(["", "a", "bc", "a", ""].map(|own| table.symbol(own)), [0, 1, 2, 1, 0]);
        assert_eq!(table.encoded(), b"\x22\x00\x22\x01a\x22\x02bc");
        let request = table.request();
        table.clear();
        assert_ne!(table.request(), request);
        assert_eq!(table.symbol("bc"), 1);
        assert_eq!(table.encoded(), b"\x22\x00\x22\x02bc");
    }

    #[test]
    fn many_symbols_are_told_apart() {
        let mut table = SymbolTable::default();
        for _ in 0..2 {
            for n in 0..10_000 {
                assert_eq!(table.symbol(&format!("s{n}")), n + 1);
            }
        }
    }

    #[test]
    fn rows_of_long_distinct_texts_keep_no_memory() {
        let mut table = SymbolTable::default();
        for n in 0..10_000 {
            table.symbol(&format!("{n:01000}"));
        }
        assert!(table.bytes() > MAX_KEPT_BYTES);
        table.clear();
        assert!(table.bytes() <= MAX_KEPT_BYTES, "{} bytes", table.bytes());
        assert_eq!(table.symbol("a"), 1);
    }
}
