//! Prints how long a page takes:
//! `cargo test --release -p fleetgauge-agent --lib speed -- --ignored --nocapture`

use std::fmt::Write;
use std::time::{Duration, Instant};

use super::{Format, Metadata, PageLimits, PageReader, Sample, Sink};
use crate::scrape::ScrapeError;
use crate::scrape::page_sink::PageMemory;
use crate::scrape::relabel::Relabel;
use crate::tables::Output;

/// Pages to parse; the fastest counts.
const PAGES: usize = 2000;

/// Sink that stores values in the order of the page.
#[derive(Default)]
struct Values {
    keys: Vec<Vec<u8>>,
    values: Vec<f64>,
    /// Whether to recognize keys.
    is_fast: bool,
}

impl Sink for Values {
    fn family(&mut self, _: Metadata<'_>) -> Result<(), ScrapeError> {
        Ok(())
    }

    fn sample(&mut self, sample: &Sample<'_>) -> Result<(), ScrapeError> {
        if self.values.len() == self.keys.len() {
            self.keys.push(sample.key.to_vec());
        }
        self.values.push(sample.value);
        Ok(())
    }

    fn known_key(&mut self, line: &[u8]) -> Option<usize> {
        let key = self.keys.get(self.values.len()).filter(|_| self.is_fast)?;
        line.starts_with(key).then_some(key.len())
    }

    fn known_sample(&mut self, value: f64, _: Option<i64>) -> Result<(), ScrapeError> {
        self.values.push(value);
        Ok(())
    }
}

/// A page of 100 families with 10 series each; a third of the values are integers.
fn page() -> String {
    let mut page = String::new();
    for family in 0..100 {
        let name = format!("node_some_metric_{family}_seconds_total");
        writeln!(page, "# HELP {name} Time that something of this kind took.").unwrap();
        writeln!(page, "# TYPE {name} counter").unwrap();
        for cpu in 0..10 {
            let number = f64::from(cpu * 7919 + family);
            let value = match cpu % 3 {
                0 => number.to_string(),
                1 => (number * 1_234.567_891).to_string(),
                _ => format!("{:e}", number * 98_765.432_1),
            };
            writeln!(page, "{name}{{cpu=\"{cpu}\",mode=\"idle\",device=\"sda{cpu}\"}} {value}")
                .unwrap();
        }
    }
    page
}

#[test]
#[ignore = "prints times, checks nothing"]
fn time_of_a_page_of_1000_series() {
    let page = page();
    let mut reader = PageReader::new(Format::Prometheus, PageLimits::default());
    let mut sink = Values::default();
    for is_fast in [false, true] {
        sink.is_fast = is_fast;
        let mut fastest = Duration::MAX;
        for _ in 0..PAGES {
            sink.values.clear();
            let start = Instant::now();
            reader.restart(Format::Prometheus);
            for chunk in page.as_bytes().chunks(16 * 1024) {
                reader.push(chunk, &mut sink).unwrap();
            }
            reader.finish(&mut sink).unwrap();
            fastest = fastest.min(start.elapsed());
        }
        println!("{} bytes, known series: {is_fast}, {fastest:?}", page.len());
    }
}

#[test]
#[ignore = "prints times, checks nothing"]
fn time_of_a_page_of_1000_series_with_its_output() {
    let page = page();
    let mut reader = PageReader::new(Format::Prometheus, PageLimits::default());
    let relabel = Relabel::new([("job", "node"), ("instance", "localhost:9100")], &["up"]);
    let (mut memory, mut output) = (PageMemory::default(), Output::default());
    for is_known in [false, true] {
        let mut fastest = Duration::MAX;
        for _ in 0..PAGES {
            if !is_known {
                (memory, output) = Default::default();
            }
            let start = Instant::now();
            output.begin();
            let mut sink = memory.begin(&relabel, &mut output);
            reader.restart(Format::Prometheus);
            for chunk in page.as_bytes().chunks(16 * 1024) {
                reader.push(chunk, &mut sink).unwrap();
            }
            reader.finish(&mut sink).unwrap();
            memory.finish();
            output.finish();
            fastest = fastest.min(start.elapsed());
        }
        println!("to the output, known series: {is_known}, {fastest:?}");
    }
}
