//! The parts of series that depend on no agent and no row: labels of columns, names of labels,
//! metadata.
//!
//! Remote write 1.0 has the text of the labels in every series, so parts are encoded once. In 2.0 a
//! part has references to the symbols of its request. It is encoded when a request needs it first.

use std::collections::HashMap;

use super::coding::{Coding, FamilyMetadata};
use super::protobuf::{push_label, push_label_name};
use super::symbols::SymbolTable;
use crate::config::Protocol;

/// Maximum size of a reference, in bytes.
const MAX_REFERENCE: usize = 5;
/// Maximum size of a part of references: metadata with its tags, length and type.
const MAX_PART: usize = 2 + 2 + 2 * (1 + MAX_REFERENCE);
/// A string that the request does not have yet.
const UNKNOWN: u32 = u32::MAX;

/// Consecutive parts; none by default.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    first: u32,
    count: u32,
}

impl Span {
    /// Returns some of its parts.
    pub(super) fn slice(self, start: u8, end: u8) -> Self {
        let (start, end) = (u32::from(start), u32::from(end));
        Self { first: self.first + start, count: end.saturating_sub(start) }
    }
}

/// A part's place among the encoded parts; empty if it is not encoded.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    start: u32,
    end: u32,
}

/// The parts of a template.
#[derive(Debug, Default)]
pub(super) struct Fixed {
    bytes: Vec<u8>,
    places: Box<[Place]>,
    /// For each line: bytes of its labels among the parts; 0 if they are not encoded.
    sizes: Box<[u32]>,
    /// Of remote write 2.0.
    symbolic: Option<Symbolic>,
}

/// What the parts refer to.
#[derive(Debug, Default)]
struct Symbolic {
    /// All strings, each once.
    text: Box<str>,
    /// End of each string.
    ends: Box<[u32]>,
    /// Index of each string among the symbols of the request.
    references: Box<[u32]>,
    sources: Box<[Source]>,
    /// The request that the parts are encoded for.
    request: u64,
}

/// What a part is, with indexes of its strings.
#[derive(Debug, Clone, Copy)]
enum Source {
    Label { name: u32, value: u32 },
    Name(u32),
    Metadata { kind: u8, help: u32, unit: u32 },
}

impl Fixed {
    /// Forgets what is encoded for another request. Call it before all others.
    pub(super) fn start(&mut self, coding: &Coding) {
        let Some((own, table)) = self.symbolic.as_mut().zip(coding.symbols()) else { return };
        if own.request != table.request() {
            own.request = table.request();
            own.references.fill(UNKNOWN);
            self.bytes.clear();
            self.places.fill(Place::default());
            self.sizes.fill(0);
        }
    }

    /// Returns parts that are encoded.
    pub(super) fn get(&self, span: Span) -> &[u8] {
        let Some(last) = span.count.checked_sub(1) else { return &[] };
        let place = |at: u32| self.places.get(at as usize).copied().unwrap_or_default();
        let (start, end) = (place(span.first).start, place(span.first + last).end);
        self.bytes.get(start as usize..end as usize).unwrap_or_default()
    }

    /// Encodes parts if they are not yet, and returns them.
    pub(super) fn encoded(&mut self, span: Span, coding: &mut Coding) -> &[u8] {
        self.encode(span, coding);
        self.get(span)
    }

    fn encode(&mut self, span: Span, coding: &mut Coding) {
        let Some((own, table)) = self.symbolic.as_mut().zip(coding.symbols_mut()) else { return };
        let parts = span.first as usize..(span.first + span.count) as usize;
        let sources = own.sources.get(parts.clone()).unwrap_or_default();
        let places = self.places.get_mut(parts).unwrap_or_default();
        // Spans are encoded as a whole, so their parts follow each other.
        if places.first().is_none_or(|place| place.start < place.end) {
            return;
        }
        let strings = Strings { text: &own.text, ends: &own.ends };
        for (place, source) in places.iter_mut().zip(sources) {
            let start = self.bytes.len();
            let mut symbol = |string| strings.symbol(string, &mut own.references, table);
            match *source {
                Source::Label { name, value } => {
                    Coding::push_reference(symbol(name), &mut self.bytes);
                    Coding::push_reference(symbol(value), &mut self.bytes);
                }
                Source::Name(name) => Coding::push_reference(symbol(name), &mut self.bytes),
                Source::Metadata { kind, help, unit } => {
                    Coding::push_metadata(kind, symbol(help), symbol(unit), &mut self.bytes);
                }
            }
            *place = at(start, self.bytes.len());
        }
    }

    /// Returns the bytes of a line's labels; 0 if they are not encoded.
    pub(super) fn size(&self, line: usize) -> usize {
        self.sizes.get(line).map_or(0, |size| *size as usize)
    }

    /// Encodes the parts of a line; the last one belongs to no label. Returns the bytes of its
    /// labels.
    pub(super) fn encode_line(
        &mut self,
        line: usize,
        labels: [Span; 3],
        other: Span,
        coding: &mut Coding,
    ) -> usize {
        self.encode(other, coding);
        let size = labels.map(|span| self.encoded(span, coding).len()).iter().sum();
        if let Some(known) = self.sizes.get_mut(line) {
            *known = u32::try_from(size).unwrap_or(0);
        }
        size
    }

    /// Returns the memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let symbolic = self.symbolic.as_ref().map_or(0, |own| {
            own.text.len()
                + size_of_val(&*own.ends)
                + size_of_val(&*own.references)
                + size_of_val(&*own.sources)
        });
        self.bytes.capacity() + size_of_val(&*self.places) + size_of_val(&*self.sizes) + symbolic
    }
}

#[derive(Clone, Copy)]
struct Strings<'a> {
    text: &'a str,
    ends: &'a [u32],
}

impl Strings<'_> {
    /// Returns the index of a string among the symbols of the request.
    fn symbol(self, string: u32, known: &mut [u32], table: &mut SymbolTable) -> u32 {
        let string = string as usize;
        let Some(known) = known.get_mut(string) else { return 0 };
        if *known == UNKNOWN {
            let end = |at: usize| self.ends.get(at).map_or(0, |end| *end as usize);
            let start = string.checked_sub(1).map_or(0, end);
            *known = table.symbol(self.text.get(start..end(string)).unwrap_or_default());
        }
        *known
    }
}

/// Returns a place. Parts beyond 4 GiB would be empty; the limits of catalogs keep them far below.
fn at(start: usize, end: usize) -> Place {
    let place = u32::try_from(start).ok().zip(u32::try_from(end).ok());
    place.map_or_else(Place::default, |(start, end)| Place { start, end })
}

/// Builds the parts of a template.
#[derive(Debug)]
pub(super) struct FixedBuilder {
    bytes: Vec<u8>,
    places: Vec<Place>,
    /// Of remote write 2.0.
    symbolic: Option<SymbolicBuilder>,
}

#[derive(Debug, Default)]
struct SymbolicBuilder {
    text: String,
    ends: Vec<u32>,
    known: HashMap<Box<str>, u32>,
    sources: Vec<Source>,
}

impl FixedBuilder {
    pub(super) fn new(protocol: Protocol) -> Self {
        let symbolic = (protocol == Protocol::V2).then(SymbolicBuilder::default);
        Self { bytes: Vec::new(), places: Vec::new(), symbolic }
    }

    /// Adds a label.
    pub(super) fn label(&mut self, name: &str, value: &str) -> Span {
        self.labels(std::iter::once((name, value)))
    }

    /// Adds labels.
    pub(super) fn labels<'n>(
        &mut self,
        labels: impl IntoIterator<Item = (&'n str, &'n str)>,
    ) -> Span {
        let start = self.places.len();
        for (name, value) in labels {
            self.add(
                |out| push_label(name, value, out),
                |own| Source::Label { name: own.string(name), value: own.string(value) },
            );
        }
        self.since(start)
    }

    /// Adds the name of a label with other values for each agent or row.
    pub(super) fn label_name(&mut self, name: &str) -> Span {
        let start = self.places.len();
        self.add(|out| push_label_name(name, out), |own| Source::Name(own.string(name)));
        self.since(start)
    }

    /// Adds metadata, which series of remote write 1.0 do not have.
    pub(super) fn metadata(&mut self, metadata: FamilyMetadata<'_>) -> Span {
        let FamilyMetadata { kind, help, unit } = metadata;
        if self.symbolic.is_none() || metadata == FamilyMetadata::default() {
            return Span::default();
        }
        let start = self.places.len();
        let source = |own: &mut SymbolicBuilder| {
            let (help, unit) = (own.string(help), own.string(unit));
            Source::Metadata { kind, help, unit }
        };
        self.add(|_| (), source);
        self.since(start)
    }

    fn add(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>),
        source: impl FnOnce(&mut SymbolicBuilder) -> Source,
    ) {
        let start = self.bytes.len();
        match &mut self.symbolic {
            None => write(&mut self.bytes),
            Some(own) => {
                let source = source(own);
                own.sources.push(source);
            }
        }
        self.places.push(at(start, self.bytes.len()));
    }

    /// Returns the parts that were added since there were this many.
    fn since(&self, start: usize) -> Span {
        let place = u32::try_from(start).ok().zip(u32::try_from(self.places.len() - start).ok());
        place.map_or_else(Span::default, |(first, count)| Span { first, count })
    }

    pub(super) fn build(mut self, lines: usize) -> Fixed {
        if self.symbolic.is_some() {
            // No request allocates.
            self.bytes.reserve_exact(self.places.len() * MAX_PART);
        }
        self.bytes.shrink_to(self.places.len() * MAX_PART);
        let symbolic = self.symbolic.map(|own| Symbolic {
            references: vec![UNKNOWN; own.ends.len()].into(),
            text: own.text.into(),
            ends: own.ends.into(),
            sources: own.sources.into(),
            request: 0,
        });
        let sizes = vec![0; lines].into();
        Fixed { bytes: self.bytes, places: self.places.into(), sizes, symbolic }
    }
}

impl SymbolicBuilder {
    /// Returns the index of a string, which it adds if it is new.
    fn string(&mut self, string: &str) -> u32 {
        if let Some(known) = self.known.get(string) {
            return *known;
        }
        let index = u32::try_from(self.ends.len()).unwrap_or(UNKNOWN);
        self.text.push_str(string);
        self.ends.push(u32::try_from(self.text.len()).unwrap_or(0));
        self.known.insert(string.into(), index);
        index
    }
}
