//! Checks that the catalog, rows and reports of a trace give the recorded samples.

use std::collections::BTreeSet;

use fleetgauge_page::{Format, Item, Reader, unescape};
use fleetgauge_proto::report::{ABSENT, EncodedValues};
use fleetgauge_proto::rows::{RowEdit, TableRows};
use fleetgauge_proto::{Catalog, Limits};

use super::*;

const TRACES: [(&str, &str); 3] = [
    ("idle", include_str!("../../traces/idle.trace")),
    ("busy", include_str!("../../traces/busy.trace")),
    ("churn", include_str!("../../traces/churn.trace")),
];

/// Name, labels without empty values, and bits of a sample.
type Sample = (String, BTreeSet<(String, String)>, u64);

fn recorded(recording: &Recording, page: usize) -> BTreeSet<Sample> {
    let sample = |(&(family, set), value): (&(usize, usize), &f64)| {
        let labels = recording.label_sets[set].iter().filter(|(_, value)| !value.is_empty());
        let name = recording.families[family].name.clone();
        (name, labels.cloned().collect(), value.to_bits())
    };
    recording.pages[page].iter().map(sample).collect()
}

/// Reads a page with the strict parser.
fn read(text: &str) -> BTreeSet<Sample> {
    let mut samples = BTreeSet::new();
    let mut reader = Reader::new(Format::Text);
    reader.push(text.as_bytes(), |item| {
        if let Item::Sample(sample) = item.unwrap() {
            let labels = sample.labels.iter().filter(|(_, value)| !value.is_empty());
            let labels =
                labels.map(|(name, value)| (name.to_owned(), unescape(value, true).unwrap()));
            let own = (sample.name.to_owned(), labels.collect(), sample.value.to_bits());
            assert!(samples.insert(own), "{sample:?} is on the page twice");
        }
    });
    reader.finish(|item| assert!(item.is_ok(), "{item:?}"));
    samples
}

#[test]
fn pages_written_as_text_have_the_recorded_samples() {
    for (name, text) in TRACES {
        let recording = Recording::parse(FAMILIES, text).unwrap();
        let trace = Trace::parse(FAMILIES, text).unwrap();
        assert_eq!(trace.pages.len(), recording.pages.len());
        for (index, page) in trace.pages.iter().enumerate() {
            let written = read(&trace.text(page));
            assert!(written == recorded(&recording, index), "page {index} of {name}");
        }
    }
}

#[test]
fn samples_of_a_page_are_the_recorded_ones() {
    for (name, text) in TRACES {
        let recording = Recording::parse(FAMILIES, text).unwrap();
        let trace = Trace::parse(FAMILIES, text).unwrap();
        for (index, page) in trace.pages.iter().enumerate() {
            let samples = trace.samples(page).map(|(name, labels, value)| {
                let label = |label: &Label<'_>| (label.name.to_owned(), label.value.to_owned());
                (name.to_owned(), labels.iter().map(label).collect(), value.to_bits())
            });
            assert!(samples.eq_set(recorded(&recording, index)), "page {index} of {name}");
        }
    }
}

/// Compares with a set.
trait EqSet: Iterator<Item = Sample> + Sized {
    fn eq_set(self, other: BTreeSet<Sample>) -> bool {
        self.collect::<BTreeSet<_>>() == other
    }
}

impl<I: Iterator<Item = Sample>> EqSet for I {}

#[test]
fn catalogs_of_all_traces_are_valid() {
    for (name, text) in TRACES {
        let trace = Trace::parse(FAMILIES, text).unwrap();
        let catalog = Catalog::try_new(&trace.catalog(), &Limits::default());
        let catalog = catalog.unwrap_or_else(|violation| panic!("{name}: {violation}"));
        let decimals = catalog.tables.iter().map(|table| &*table.decimals);
        assert!(decimals.eq(trace.tables.iter().map(|table| &*table.decimals)));
    }
}

/// A collector's view of an agent that reports a trace.
struct Receiver {
    rows: Vec<TableRows>,
    values: Vec<f64>,
}

impl Receiver {
    /// Changes the rows, and moves the values with them.
    fn change_rows(&mut self, trace: &Trace, changes: &[RowChange<'_>]) {
        let mut rest = &*self.values;
        let mut moved = Vec::new();
        for (index, table) in trace.tables.iter().enumerate() {
            let labels = table.row_labels.len();
            let width = table.columns.len();
            let count = if labels == 0 { 1 } else { self.rows[index].len() };
            let (own, after) = rest.split_at(count * width);
            rest = after;
            let Some(change) = changes.iter().find(|change| change.table as usize == index) else {
                moved.extend_from_slice(own);
                continue;
            };
            let (rows, edits) = self.rows[index].edit(labels, change).unwrap();
            self.rows[index] = rows;
            for edit in edits {
                match edit {
                    RowEdit::Keep(at) => moved.extend(&own[at.start * width..at.end * width]),
                    RowEdit::Add(rows) => moved.extend(vec![ABSENT; rows * width]),
                }
            }
        }
        self.values = moved;
    }
}

#[test]
fn row_changes_and_changed_values_lead_from_page_to_page() {
    for (name, text) in TRACES {
        let trace = Trace::parse(FAMILIES, text).unwrap().with_all_counters_moving();
        let fixed = trace.tables.iter().filter(|table| table.row_labels.is_empty());
        let fixed: usize = fixed.map(|table| table.columns.len()).sum();
        let rows = vec![TableRows::default(); trace.tables.len()];
        let mut receiver = Receiver { rows, values: vec![ABSENT; fixed] };
        let mut encoded = EncodedValues::default();
        let mut before = None;
        for (index, page) in trace.pages.iter().enumerate() {
            receiver.change_rows(&trace, &trace.row_changes(before, page));
            if let Some(before) = before {
                let moved = trace.values_in_rows_of(page, before);
                assert_eq!(bits(&receiver.values), bits(&moved), "page {index} of {name}");
                encoded.encode_changed(&moved, &page.values, trace.shape(page));
            } else {
                encoded.encode_all(&page.values, trace.shape(page));
            }
            encoded.values().decode(&mut receiver.values, trace.shape(page)).unwrap();
            assert_eq!(bits(&receiver.values), bits(&page.values), "page {index} of {name}");
            for (table, rows) in receiver.rows.iter().enumerate() {
                let rows = rows.iter(trace.tables[table].row_labels.len());
                let rows: Vec<Vec<_>> = rows.map(Iterator::collect).collect();
                assert_eq!(rows, page.rows[table], "page {index} of {name}");
            }
            before = Some(page);
        }
    }
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn every_counter_of_a_trace_with_moving_counters_rises() {
    let trace = Trace::idle().with_all_counters_moving();
    let counters = |page: &Page| {
        let rows = page.rows(&trace.tables);
        let values = rows.flat_map(|(table, _, values)| {
            let families = trace.tables[table].columns.iter().map(|column| column.family);
            families.zip(values).filter(|(family, _)| trace.families[*family].kind == "counter")
        });
        values.map(|(_, value)| *value).filter(|value| !is_absent(*value)).collect::<Vec<_>>()
    };
    for pages in trace.pages.windows(2) {
        let (before, now) = (counters(&pages[0]), counters(&pages[1]));
        assert!(before.len() > 100);
        assert!(before.iter().zip(&now).all(|(before, now)| before < now));
    }
}
