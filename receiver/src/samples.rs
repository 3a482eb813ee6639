//! Samples of a series: with their values, or with hashes of the values in half of the memory.

use crate::STALE_MARKER;

/// A full series grows by this part of its size: doubling would waste up to half of the memory.
const GROWTH_DIVISOR: usize = 4;
/// Samples that a series has room for at first, if values are kept.
const FIRST_CAPACITY: usize = 4;
/// Hash of the stale marker. No other value has it.
const MARKER_HASH: u32 = 0;

/// What a ledger keeps of samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Times and values: 16 bytes a sample.
    #[default]
    Values,
    /// Times and hashes of the values: 8 bytes a sample. Another value is not noticed once in 2^32
    /// times. Samples whose time is 24 days from the start of the ledger are refused with 503.
    Hashes {
        /// Number of samples that a series has room for at first: many series that grow together
        /// fragment the memory.
        capacity: usize,
    },
}

/// Time and value of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Milliseconds since the Unix epoch.
    pub unix_ms: i64,
    /// Bits of the value: NaNs differ by their bits.
    pub bits: u64,
}

impl Sample {
    /// Value of the sample.
    #[must_use]
    pub fn value(self) -> f64 {
        f64::from_bits(self.bits)
    }

    /// Whether the sample is a stale marker.
    #[must_use]
    pub fn is_stale_marker(self) -> bool {
        self.bits == STALE_MARKER
    }
}

/// Time of a sample, and a hash of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashedSample {
    /// Milliseconds since the Unix epoch.
    pub unix_ms: i64,
    hash: u32,
}

impl HashedSample {
    /// Whether the sample is a stale marker.
    #[must_use]
    pub fn is_stale_marker(self) -> bool {
        self.hash == MARKER_HASH
    }

    /// Whether the value has these bits, or another value with the same hash.
    #[must_use]
    pub fn has_bits(self, bits: u64) -> bool {
        self.hash == hash_of(bits)
    }
}

/// Place of a sample among those of its series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Newer than all others.
    Newest,
    /// Older than the newest one, at this index.
    Between(usize),
    /// Stored already with the same value.
    Repeated,
    /// Its time is stored with another value.
    Conflicting,
}

/// Samples of a series, sorted by time, each time once.
#[derive(Debug)]
pub(crate) enum Samples {
    Values(Vec<Sample>),
    Hashes { epoch: Epoch, packed: Vec<Packed> },
}

/// A sample in 8 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packed {
    /// Since the epoch of the ledger.
    after_ms: u32,
    hash: u32,
}

/// Time from which packed times count, in unix milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Epoch(i64);

impl Epoch {
    /// The epoch of a ledger that starts at this time: in the middle of what can be packed.
    pub(crate) fn around(unix_ms: i64) -> Self {
        Self(unix_ms.saturating_sub(1 << 31))
    }

    /// Returns whether a time can be packed.
    pub(crate) fn has(self, unix_ms: i64) -> bool {
        u32::try_from(unix_ms.saturating_sub(self.0)).is_ok()
    }

    fn pack(self, sample: Sample) -> Packed {
        let after_ms = sample.unix_ms.saturating_sub(self.0).clamp(0, u32::MAX.into());
        let after_ms = u32::try_from(after_ms).unwrap_or(u32::MAX);
        Packed { after_ms, hash: hash_of(sample.bits) }
    }

    fn unpack(self, packed: Packed) -> HashedSample {
        let unix_ms = self.0.saturating_add(packed.after_ms.into());
        HashedSample { unix_ms, hash: packed.hash }
    }
}

impl Samples {
    pub(crate) fn new(detail: Detail, epoch: Epoch) -> Self {
        match detail {
            Detail::Values => Self::Values(Vec::new()),
            Detail::Hashes { capacity } => {
                Self::Hashes { epoch, packed: Vec::with_capacity(capacity) }
            }
        }
    }

    pub(crate) fn values(&self) -> &[Sample] {
        match self {
            Self::Values(samples) => samples,
            Self::Hashes { .. } => &[],
        }
    }

    pub(crate) fn hashes(&self) -> Option<impl ExactSizeIterator<Item = HashedSample> + Clone> {
        match self {
            Self::Values(_) => None,
            Self::Hashes { epoch, packed } => {
                Some(packed.iter().map(|packed| epoch.unpack(*packed)))
            }
        }
    }

    /// Returns the time of the newest sample, and whether that is a stale marker.
    pub(crate) fn newest(&self) -> Option<(i64, bool)> {
        match self {
            Self::Values(samples) => {
                samples.last().map(|last| (last.unix_ms, last.is_stale_marker()))
            }
            Self::Hashes { epoch, packed } => {
                let last = epoch.unpack(*packed.last()?);
                Some((last.unix_ms, last.is_stale_marker()))
            }
        }
    }

    pub(crate) fn place(&self, sample: Sample) -> Place {
        match self.newest() {
            Some((newest, _)) if newest >= sample.unix_ms => {}
            _ => return Place::Newest,
        }
        let (found, is_same) = match self {
            Self::Values(samples) => {
                let found = samples.binary_search_by_key(&sample.unix_ms, |own| own.unix_ms);
                let own = found.ok().and_then(|index| samples.get(index));
                (found, own.is_some_and(|own| own.bits == sample.bits))
            }
            Self::Hashes { epoch, packed } => {
                let sample = epoch.pack(sample);
                let found = packed.binary_search_by_key(&sample.after_ms, |own| own.after_ms);
                let own = found.ok().and_then(|index| packed.get(index));
                (found, own.is_some_and(|own| own.hash == sample.hash))
            }
        };
        match found {
            Err(index) => Place::Between(index),
            Ok(_) if is_same => Place::Repeated,
            Ok(_) => Place::Conflicting,
        }
    }

    /// Stores a sample at its place, if that is `Newest` or `Between`. Returns whether it is.
    pub(crate) fn store(&mut self, sample: Sample, place: Place) -> bool {
        let index = match place {
            Place::Newest => usize::MAX,
            Place::Between(index) => index,
            Place::Repeated | Place::Conflicting => return false,
        };
        match self {
            Self::Values(samples) => insert(samples, index, sample),
            Self::Hashes { epoch, packed } => insert(packed, index, epoch.pack(sample)),
        }
        true
    }
}

/// Inserts at an index, or at the end.
fn insert<T>(samples: &mut Vec<T>, index: usize, sample: T) {
    if samples.len() == samples.capacity() {
        samples.reserve_exact((samples.len() / GROWTH_DIVISOR).max(FIRST_CAPACITY));
    }
    samples.insert(index.min(samples.len()), sample);
}

/// Hashes the bits of a value: the upper half of SplitMix64's finalizer.
fn hash_of(bits: u64) -> u32 {
    if bits == STALE_MARKER {
        return MARKER_HASH;
    }
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    u32::try_from(bits >> 32).unwrap_or(u32::MAX).max(MARKER_HASH + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn sample(after_ms: i64, value: f64) -> Sample {
        Sample { unix_ms: NOW + after_ms, bits: value.to_bits() }
    }

    #[test]
    fn hashes_find_the_same_places_as_values() {
        let epoch = Epoch::around(NOW);
        let details = [Detail::Values, Detail::Hashes { capacity: 2 }];
        let mut both = details.map(|detail| Samples::new(detail, epoch));
        let marker = Sample { unix_ms: NOW + 6, bits: STALE_MARKER };
        for (sample, expected) in [
            (sample(5, 1.0), Place::Newest),
            (marker, Place::Newest),
            (sample(5, 1.0), Place::Repeated),
            (sample(5, 1.5), Place::Conflicting),
            (sample(6, 1.5), Place::Conflicting),
            (marker, Place::Repeated),
            (sample(-3_600_000, 1.0), Place::Between(0)),
            (sample(-3_600_000, 1.0), Place::Repeated),
            (sample(0, 0.0), Place::Between(1)),
            (sample(0, -0.0), Place::Conflicting),
        ] {
            for samples in &mut both {
                let place = samples.place(sample);
                assert_eq!(place, expected, "{samples:?}");
                samples.store(sample, place);
            }
        }
        let [values, hashes] = &both;
        assert_eq!(values.newest(), hashes.newest());
        let hashed: Vec<_> = hashes.hashes().unwrap().collect();
        assert_eq!(hashed.len(), values.values().len());
        for (hashed, value) in hashed.into_iter().zip(values.values()) {
            assert_eq!(hashed.unix_ms, value.unix_ms);
            assert_eq!(hashed.is_stale_marker(), value.is_stale_marker());
            assert!(hashed.has_bits(value.bits) && !hashed.has_bits(value.bits ^ 1));
        }
    }

    #[test]
    fn epoch_has_24_days_before_and_after() {
        let (epoch, day) = (Epoch::around(NOW), 24 * 3_600_000);
        for (unix_ms, has) in [
            (NOW - 24 * day, true),
            (NOW + 24 * day, true),
            (NOW - 25 * day, false),
            (NOW + 25 * day, false),
            (i64::MIN, false),
            (i64::MAX, false),
        ] {
            assert_eq!(epoch.has(unix_ms), has, "{unix_ms}");
        }
    }
}
