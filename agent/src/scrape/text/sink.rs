//! What the parser delivers, and the trait of its receiver.

use super::scratch::{LabelSpan, Scratch};
use crate::scrape::ScrapeError;

/// Receiver of what a page contains, in the order of the page.
///
/// An error ends the page, and [`PageReader`](super::PageReader) returns it.
pub trait Sink {
    /// Takes a line of metadata.
    ///
    /// # Errors
    /// The sink does not accept the page.
    fn family(&mut self, metadata: Metadata<'_>) -> Result<(), ScrapeError>;

    /// Takes a sample.
    ///
    /// # Errors
    /// The sink does not accept the page.
    fn sample(&mut self, sample: &Sample<'_>) -> Result<(), ScrapeError>;

    /// Recognizes a series that an earlier [`sample`](Self::sample) had, before its labels are
    /// parsed: returns `n` if the first `n` bytes of `line` are the [`Sample::key`] of that sample,
    /// which was in a page of the same format.
    ///
    /// The parser calls [`known_sample`](Self::known_sample) next. It calls `sample` instead if
    /// the key turns out to be only the start of another series' key, and neither if the line is
    /// invalid, so a sink must not take the sample as delivered yet. An answer for other bytes
    /// than such a key yields wrong samples.
    fn known_key(&mut self, line: &[u8]) -> Option<usize> {
        let _ = line;
        None
    }

    /// Takes a sample of the series that [`known_key`](Self::known_key) has just recognized.
    ///
    /// # Errors
    /// The sink does not accept the page.
    fn known_sample(&mut self, value: f64, timestamp: Option<i64>) -> Result<(), ScrapeError> {
        let _ = (value, timestamp);
        Ok(())
    }
}

/// A line of metadata of a metric family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metadata<'a> {
    /// Help text, unescaped.
    Help {
        /// Name of the family.
        name: &'a str,
        /// Help text; may be empty.
        text: &'a str,
    },
    /// Metric type.
    Type {
        /// Name of the family.
        name: &'a str,
        /// Metric type.
        kind: Kind,
    },
    /// Unit; only in OpenMetrics.
    Unit {
        /// Name of the family.
        name: &'a str,
        /// Unit; may be empty.
        unit: &'a str,
    },
}

/// Metric type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A counter.
    Counter,
    /// A gauge.
    Gauge,
    /// A histogram.
    Histogram,
    /// A summary.
    Summary,
    /// Untyped, which OpenMetrics calls unknown.
    Unknown,
    /// Labels only; only in OpenMetrics.
    Info,
    /// A set of states; only in OpenMetrics.
    StateSet,
    /// A histogram whose buckets may decrease; only in OpenMetrics.
    GaugeHistogram,
}

/// A sample.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// Metric name and labels, as on the page: it identifies the series in later pages of the same
    /// exporter. Another notation of the same series is another key.
    pub key: &'a [u8],
    /// Metric name, suffix included.
    pub name: &'a str,
    /// Labels.
    pub labels: Labels<'a>,
    /// Value.
    pub value: f64,
    /// Timestamp, in milliseconds since 1970.
    pub timestamp: Option<i64>,
}

/// Labels of a sample, in the order of the page, each name once. Values may be empty.
#[derive(Debug, Clone, Copy)]
pub struct Labels<'a> {
    pub(super) line: &'a str,
    pub(super) scratch: &'a Scratch,
}

impl<'a> Labels<'a> {
    /// Iterates over names and unescaped values.
    #[must_use]
    pub fn iter(&self) -> LabelIter<'a> {
        LabelIter { line: self.line, scratch: self.scratch, spans: self.scratch.labels.iter() }
    }

    /// Returns the number of labels.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.scratch.labels.len()
    }

    /// Returns whether there are no labels.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a> IntoIterator for Labels<'a> {
    type Item = (&'a str, &'a str);
    type IntoIter = LabelIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Iterator over the names and unescaped values of labels.
#[derive(Debug, Clone)]
pub struct LabelIter<'a> {
    line: &'a str,
    scratch: &'a Scratch,
    spans: std::slice::Iter<'a, LabelSpan>,
}

impl<'a> Iterator for LabelIter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let span = self.spans.next()?;
        Some((self.scratch.get(self.line, span.name), self.scratch.get(self.line, span.value)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.spans.size_hint()
    }
}

impl ExactSizeIterator for LabelIter<'_> {}
