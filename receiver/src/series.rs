//! Samples of a series, and the table of all series.

use std::hash::BuildHasher;
use std::time::{Duration, Instant};

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::labels::{self, Labels};
use crate::samples::{Detail, Epoch, HashedSample, Place, Sample, Samples};

/// What the receiver keeps of a series.
#[derive(Debug)]
pub(crate) struct History {
    labels: Box<[u8]>,
    samples: Samples,
    /// Since the start of the ledger.
    last_arrival: Duration,
    marker_arrival: Option<Duration>,
    /// Number of the last request that had this series.
    pub(crate) request: u64,
    pub(crate) out_of_order: u32,
    pub(crate) repeated: u32,
    pub(crate) conflicting: u32,
}

impl History {
    pub(crate) fn labels(&self) -> Labels<'_> {
        Labels::new(&self.labels)
    }

    /// Returns the time of the newest sample, in unix milliseconds.
    pub(crate) fn newest_unix_ms(&self) -> Option<i64> {
        self.samples.newest().map(|(unix_ms, _)| unix_ms)
    }

    pub(crate) fn place(&self, sample: Sample) -> Place {
        self.samples.place(sample)
    }

    /// Stores a sample at its place, if that is `Newest` or `Between`.
    pub(crate) fn store(&mut self, sample: Sample, place: Place, arrival: Duration) {
        if self.samples.store(sample, place) {
            self.last_arrival = arrival;
            if sample.is_stale_marker() {
                self.marker_arrival = Some(arrival);
            }
        }
    }
}

/// Table of all series, found by their canonical labels.
#[derive(Debug, Default)]
pub(crate) struct SeriesTable {
    hasher: DefaultHashBuilder,
    ids: HashTable<u32>,
    histories: Vec<History>,
    label_bytes: usize,
}

impl SeriesTable {
    pub(crate) fn len(&self) -> usize {
        self.histories.len()
    }

    /// Bytes of the labels of all series.
    pub(crate) fn label_bytes(&self) -> usize {
        self.label_bytes
    }

    pub(crate) fn get(&self, id: u32) -> Option<&History> {
        self.histories.get(usize::try_from(id).ok()?)
    }

    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut History> {
        self.histories.get_mut(usize::try_from(id).ok()?)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &History> {
        self.histories.iter()
    }

    pub(crate) fn find(&self, labels: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(labels);
        let same = |id: &u32| self.get(*id).is_some_and(|own| *own.labels == *labels);
        self.ids.find(hash, same).copied()
    }

    /// Adds a series that [`Self::find`] does not find. Returns none if there is no id left.
    pub(crate) fn add(&mut self, labels: Vec<u8>, detail: Detail, epoch: Epoch) -> Option<u32> {
        let id = u32::try_from(self.histories.len()).ok()?;
        let hash = self.hasher.hash_one(labels.as_slice());
        self.label_bytes = self.label_bytes.saturating_add(labels.len());
        self.histories.push(History {
            labels: labels.into_boxed_slice(),
            samples: Samples::new(detail, epoch),
            last_arrival: Duration::ZERO,
            marker_arrival: None,
            request: 0,
            out_of_order: 0,
            repeated: 0,
            conflicting: 0,
        });
        let (hasher, histories) = (&self.hasher, &self.histories);
        self.ids.insert_unique(hash, id, |other| {
            let other = usize::try_from(*other).ok().and_then(|other| histories.get(other));
            hasher.hash_one(other.map_or(&[][..], |other| &other.labels))
        });
        Some(id)
    }
}

/// A series in the ledger.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    history: &'a History,
    start: Instant,
}

impl<'a> Series<'a> {
    pub(crate) fn new(history: &'a History, start: Instant) -> Self {
        Self { history, start }
    }

    /// Labels, sorted by name.
    #[must_use]
    pub fn labels(self) -> Labels<'a> {
        self.history.labels()
    }

    /// Samples sorted by time, without repeats. Of conflicting samples the first one counts. None
    /// if the ledger keeps hashes of values.
    #[must_use]
    pub fn samples(self) -> &'a [Sample] {
        self.history.samples.values()
    }

    /// The same samples if the ledger keeps hashes of values.
    #[must_use]
    pub fn hashed_samples(self) -> Option<impl ExactSizeIterator<Item = HashedSample> + Clone> {
        self.history.samples.hashes()
    }

    /// Time of the newest sample, in unix milliseconds.
    #[must_use]
    pub fn newest_unix_ms(self) -> Option<i64> {
        self.history.newest_unix_ms()
    }

    /// Whether the newest sample is not a stale marker.
    #[must_use]
    pub fn is_live(self) -> bool {
        self.history.samples.newest().is_some_and(|(_, is_marker)| !is_marker)
    }

    /// When the last new sample arrived.
    #[must_use]
    pub fn last_arrival(self) -> Instant {
        self.start + self.history.last_arrival
    }

    /// When the last new stale marker arrived.
    #[must_use]
    pub fn marker_arrival(self) -> Option<Instant> {
        self.history.marker_arrival.map(|arrival| self.start + arrival)
    }

    /// Number of samples that arrived after a newer one.
    #[must_use]
    pub fn out_of_order(self) -> u32 {
        self.history.out_of_order
    }

    /// Number of samples that were stored already.
    #[must_use]
    pub fn repeated(self) -> u32 {
        self.history.repeated
    }

    /// Number of samples that differ from the stored one of the same time.
    #[must_use]
    pub fn conflicting(self) -> u32 {
        self.history.conflicting
    }
}

/// Canonical labels of a search by pairs.
pub(crate) fn key(pairs: &[(&str, &str)]) -> Vec<u8> {
    labels::canonical(pairs)
}
