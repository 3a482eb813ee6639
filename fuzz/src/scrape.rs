//! An exporter's page is parsed the same in all chunks and with known series, and as by the second
//! parser if that accepts it.
//!
//! An input is text: `p` or `o` for the format, a byte for the length of the chunks, a byte for the
//! limits, and the page; then, after a byte 0x1e, a page that is read after the first.

use std::collections::{BTreeMap, BTreeSet};

use fleetgauge_agent::scrape::ScrapeError;
use fleetgauge_agent::scrape::error::MAX_EXCERPT_CHARS;
use fleetgauge_agent::scrape::text::{
    Format, Kind, Metadata, PageLimits, PageReader, Sample, Sink,
};

use crate::page;

/// Byte for the default limits.
const DEFAULT_LIMITS: u8 = b'-';
/// Separates two pages.
const SEPARATOR: u8 = 0x1e;

/// Reads the pages of an input in several ways.
pub fn check(data: &[u8]) {
    let [format, chunk, limits, pages @ ..] = data else { return };
    let format = if *format == b'o' { Format::OpenMetrics } else { Format::Prometheus };
    let limits = limits_of(*limits);
    let (first, second) = match pages.iter().position(|byte| *byte == SEPARATOR) {
        Some(at) => (&pages[..at], &pages[at + 1..]),
        None => (pages, pages),
    };
    let whole = read(first, format, limits, usize::MAX, Events::default());
    check_events(&whole, limits);
    for len in [1, usize::from(*chunk).max(1)] {
        let chunked = read(first, format, limits, len, Events::default());
        assert_eq!(chunked, whole, "in chunks of {len} bytes");
    }
    // The second parser has no limits.
    if limits == PageLimits::default() {
        check_second_parser(first, format, &whole);
    }
    check_known_series(second, format, limits, whole.0);
}

fn limits_of(choice: u8) -> PageLimits {
    if choice == DEFAULT_LIMITS {
        return PageLimits::default();
    }
    let choice = usize::from(choice);
    PageLimits {
        max_bytes: 4 * choice as u64,
        max_samples: choice / 16,
        max_line_bytes: choice,
        max_labels: choice / 32,
        max_label_name_bytes: choice / 16,
        max_label_value_bytes: choice / 8,
        max_name_bytes: choice / 8,
    }
}

/// Name and labels.
type Series = (String, Vec<(String, String)>);

#[derive(Debug, Clone, PartialEq)]
enum Event {
    Help(String, String),
    Type(String, Kind),
    Unit(String, String),
    /// Series, bits of the value, timestamp.
    Sample(Series, u64, Option<i64>),
}

/// Sink that keeps all events.
#[derive(Debug, Clone, Default)]
struct Events {
    events: Vec<Event>,
    keys: Vec<(Vec<u8>, Series)>,
    /// Keys that the sink recognizes.
    known: Vec<(Vec<u8>, Series)>,
    /// Index of the key that the sink has just recognized.
    recognized: usize,
}

impl PartialEq for Events {
    fn eq(&self, other: &Self) -> bool {
        self.events == other.events
    }
}

impl Events {
    fn add(&mut self, series: Series, value: f64, timestamp: Option<i64>) {
        let value = if value.is_nan() { f64::NAN } else { value };
        self.events.push(Event::Sample(series, value.to_bits(), timestamp));
    }
}

impl Sink for Events {
    fn family(&mut self, metadata: Metadata<'_>) -> Result<(), ScrapeError> {
        self.events.push(match metadata {
            Metadata::Help { name, text } => Event::Help(name.to_owned(), text.to_owned()),
            Metadata::Type { name, kind } => Event::Type(name.to_owned(), kind),
            Metadata::Unit { name, unit } => Event::Unit(name.to_owned(), unit.to_owned()),
        });
        Ok(())
    }

    fn sample(&mut self, sample: &Sample<'_>) -> Result<(), ScrapeError> {
        let labels = sample.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let series = (sample.name.to_owned(), labels.collect());
        self.keys.push((sample.key.to_vec(), series.clone()));
        self.add(series, sample.value, sample.timestamp);
        Ok(())
    }

    fn known_key(&mut self, line: &[u8]) -> Option<usize> {
        self.recognized = self.known.iter().position(|(key, _)| line.starts_with(key))?;
        Some(self.known[self.recognized].0.len())
    }

    fn known_sample(&mut self, value: f64, timestamp: Option<i64>) -> Result<(), ScrapeError> {
        let (_, series) = self.known[self.recognized].clone();
        self.add(series, value, timestamp);
        Ok(())
    }
}

type ReadPage = (Events, Result<(), ScrapeError>);

fn read(page: &[u8], format: Format, limits: PageLimits, len: usize, sink: Events) -> ReadPage {
    let (mut reader, mut sink) = (PageReader::new(format, limits), sink);
    for chunk in page.chunks(len) {
        if let Err(error) = reader.push(chunk, &mut sink) {
            assert_eq!(reader.push(b"a 1\n", &mut sink), Err(error), "the error stays");
        }
    }
    let result = reader.finish(&mut sink);
    (sink, result)
}

fn check_events((sink, result): &ReadPage, limits: PageLimits) {
    assert!(sink.keys.len() <= limits.max_samples);
    for (key, (name, labels)) in &sink.keys {
        assert!(key.len() <= limits.max_line_bytes);
        assert!(!name.is_empty() && name.len() <= limits.max_name_bytes);
        assert!(labels.len() <= limits.max_labels);
        let names: BTreeSet<_> = labels.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), labels.len(), "a label occurs twice");
        for (name, value) in labels {
            assert!(!name.is_empty() && name.len() <= limits.max_label_name_bytes);
            assert!(value.len() <= limits.max_label_value_bytes);
        }
    }
    if let Err(ScrapeError::BadLine { excerpt, .. }) = result {
        assert!(excerpt.chars().count() <= MAX_EXCERPT_CHARS + "...".len());
        assert!(!excerpt.contains(char::is_control), "{excerpt:?}");
    }
}

/// Reads a page with and without known keys.
fn check_known_series(page: &[u8], format: Format, limits: PageLimits, mut before: Events) {
    let slow = read(page, format, limits, usize::MAX, Events::default());
    let mut known = std::mem::take(&mut before.keys);
    for _ in 0..2 {
        let sink = Events { known: known.clone(), ..Events::default() };
        let fast = read(page, format, limits, usize::MAX, sink);
        assert_eq!(fast, slow, "with known keys");
        // A key that is the start of another key is found in the other order.
        known.reverse();
    }
}

/// Problems of lines that the second parser does not look for.
const UNKNOWN_TO_SECOND_PARSER: [&str; 4] = [
    // Out of the range of a float.
    "has a value that is not a number",
    "has the reserved label __name__",
    "has too many labels",
    "is too long",
];

fn check_second_parser(page: &[u8], format: Format, (sink, result): &ReadPage) {
    let Ok(text) = std::str::from_utf8(page) else { return };
    let Ok(families) = page::parse(text, format == Format::OpenMetrics) else { return };
    match result {
        Err(ScrapeError::BadLine { problem, .. }) => {
            assert!(UNKNOWN_TO_SECOND_PARSER.contains(problem), "rejected: {problem}");
            return;
        }
        Err(_) => return,
        Ok(()) => {}
    }
    let expected: Vec<_> = families
        .iter()
        .flat_map(|family| &family.samples)
        .map(|sample| (&sample.name, sample.labels.clone(), canonical(sample.value)))
        .collect();
    let samples = sink.events.iter().filter_map(|event| match event {
        Event::Sample((name, labels), value, _) => {
            Some((name, labels.iter().cloned().collect::<BTreeMap<_, _>>(), *value))
        }
        _ => None,
    });
    assert_eq!(samples.collect::<Vec<_>>(), expected);
    for family in &families {
        let about = |event: &&Event| match event {
            Event::Help(name, _) | Event::Unit(name, _) | Event::Type(name, _) => {
                *name == family.name
            }
            Event::Sample(..) => false,
        };
        for event in sink.events.iter().filter(about) {
            match event {
                Event::Help(_, text) => assert_eq!(Some(text), family.help.as_ref()),
                Event::Unit(_, unit) => assert_eq!(Some(unit), family.unit.as_ref()),
                Event::Type(_, kind) => assert_eq!(kind_name(*kind, format), family.kind),
                Event::Sample(..) => {}
            }
        }
    }
}

fn canonical(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }
}

const fn kind_name(kind: Kind, format: Format) -> &'static str {
    match (kind, format) {
        (Kind::Counter, _) => "counter",
        (Kind::Gauge, _) => "gauge",
        (Kind::Histogram, _) => "histogram",
        (Kind::Summary, _) => "summary",
        (Kind::Unknown, Format::Prometheus) => "untyped",
        (Kind::Unknown, Format::OpenMetrics) => "unknown",
        (Kind::Info, _) => "info",
        (Kind::StateSet, _) => "stateset",
        (Kind::GaugeHistogram, _) => "gaugehistogram",
    }
}
