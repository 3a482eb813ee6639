//! A sink for tests that writes down what it gets.

use super::{Format, Metadata, PageLimits, PageReader, Sample, Sink};
use crate::scrape::ScrapeError;

/// Sink that keeps all events as text.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    /// Events: `help a=text`, `type a=Gauge`, `unit a_s=s`, `a{b="c"} 1.0 @5`.
    pub(super) events: Vec<String>,
    /// Keys and events without value, in the order of the page before.
    pub(super) known: Vec<(Vec<u8>, String)>,
    /// Number of samples so far.
    samples: usize,
    /// Number of samples by the fast path.
    pub(super) fast: usize,
}

impl Recorder {
    /// Forgets the events, but keeps the keys for the next page.
    pub(super) fn next_page(&mut self) {
        self.events.clear();
        self.samples = 0;
        self.fast = 0;
    }

    fn add(&mut self, key: &[u8], series: &str, value: f64, timestamp: Option<i64>) {
        let time = timestamp.map(|time| format!(" @{time}")).unwrap_or_default();
        self.events.push(format!("{series} {value:?}{time}"));
        self.known.truncate(self.samples);
        self.known.push((key.to_vec(), series.to_owned()));
        self.samples += 1;
    }
}

impl Sink for Recorder {
    fn family(&mut self, metadata: Metadata<'_>) -> Result<(), ScrapeError> {
        self.events.push(match metadata {
            Metadata::Help { name, text } => format!("help {name}={text}"),
            Metadata::Type { name, kind } => format!("type {name}={kind:?}"),
            Metadata::Unit { name, unit } => format!("unit {name}={unit}"),
        });
        Ok(())
    }

    fn sample(&mut self, sample: &Sample<'_>) -> Result<(), ScrapeError> {
        let labels: Vec<_> =
            sample.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let series = if labels.is_empty() {
            sample.name.to_owned()
        } else {
            format!("{}{{{}}}", sample.name, labels.join(","))
        };
        self.add(sample.key, &series, sample.value, sample.timestamp);
        Ok(())
    }

    fn known_key(&mut self, line: &[u8]) -> Option<usize> {
        let (key, _) = self.known.get(self.samples)?;
        line.starts_with(key).then_some(key.len())
    }

    fn known_sample(&mut self, value: f64, timestamp: Option<i64>) -> Result<(), ScrapeError> {
        let (_, series) = self.known[self.samples].clone();
        let time = timestamp.map(|time| format!(" @{time}")).unwrap_or_default();
        self.events.push(format!("{series} {value:?}{time}"));
        self.samples += 1;
        self.fast += 1;
        Ok(())
    }
}

/// Reads a page in chunks of `size` bytes. Returns its events, or the first error.
pub(super) fn read_chunks(
    page: &[u8],
    format: Format,
    limits: PageLimits,
    size: usize,
) -> (Vec<String>, Result<(), ScrapeError>) {
    let (mut reader, mut sink) = (PageReader::new(format, limits), Recorder::default());
    for chunk in page.chunks(size) {
        // The reader returns the first error again.
        let _ = reader.push(chunk, &mut sink);
    }
    let result = reader.finish(&mut sink);
    (sink.events, result)
}

/// Reads a page whole. Returns its events, or the problem of the invalid line or the error.
pub(super) fn read(page: impl AsRef<[u8]>, format: Format) -> Result<Vec<String>, String> {
    let page = page.as_ref();
    let (events, result) = read_chunks(page, format, PageLimits::default(), page.len().max(1));
    match result {
        Ok(()) => Ok(events),
        Err(ScrapeError::BadLine { problem, .. }) => Err(problem.to_owned()),
        Err(error) => Err(error.reason().to_owned()),
    }
}
