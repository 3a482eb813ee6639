//! Comparison of a test with an earlier one, whose JSON report is the baseline.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Results;
use super::html::date;
use super::tables::{Table, cell, numbered, under, words};

/// Maximum size of a baseline: that of a run of a million agents takes 1 MiB, most of it the
/// timeline, which grows with the duration.
const MAX_BASELINE_BYTES: u64 = 64 << 20;

/// Maximum length of a text of a baseline that is shown, in characters: more than any setting has.
const MAX_TEXT_CHARS: usize = 200;
/// Change of a figure, as a share, from which on it has an arrow. Smaller ones are common between
/// two runs of the same program.
const NOTABLE: f64 = 0.1;

/// The part of an earlier report that is compared.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Baseline {
    scenario: String,
    version: String,
    began_unix_seconds: u64,
    settings: Map<String, Value>,
    figures: Map<String, Value>,
}

/// A test and its baseline.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Comparison {
    /// Version and date of the baseline.
    pub(super) baseline: String,
    /// Figures of the baseline.
    pub(super) before: Value,
    /// What makes the two hard to compare: another version or settings. May be empty.
    pub(super) caveats: Vec<String>,
}

impl Baseline {
    /// Reads a report of the same scenario.
    ///
    /// # Errors
    /// If the file cannot be read, is no report, or is one of another scenario.
    pub fn read(path: &Path, scenario: &str) -> anyhow::Result<Self> {
        let shown = path.display();
        let file = File::open(path).with_context(|| format!("--baseline: cannot open {shown}"))?;
        let mut text = Vec::new();
        file.take(MAX_BASELINE_BYTES + 1)
            .read_to_end(&mut text)
            .with_context(|| format!("--baseline: cannot read {shown}"))?;
        ensure!(
            text.len() as u64 <= MAX_BASELINE_BYTES,
            "--baseline: {shown} is larger than {} MiB; choose a file that --report wrote",
            MAX_BASELINE_BYTES >> 20
        );
        let baseline: Self = match serde_json::from_slice(&text) {
            Ok(baseline) => baseline,
            Err(error) => bail!(
                "--baseline: {shown} is not a report of this program: {error}; choose a file that \
                 --report wrote"
            ),
        };
        ensure!(
            baseline.scenario == scenario,
            "--baseline: {shown} is a report of {}, not of {scenario}; choose a report of the same \
             command",
            printable(&baseline.scenario)
        );
        Ok(baseline)
    }

    /// Compares a test with this baseline.
    pub(super) fn compare(self, results: &Results) -> Comparison {
        let mut caveats = Vec::new();
        if self.version != results.version {
            let (theirs, own) = (printable(&self.version), results.version);
            caveats.push(format!("the baseline is of version {theirs}, this test of {own}"));
        }
        for (name, value) in results.settings.as_object().into_iter().flatten() {
            let before = self.settings.get(name).unwrap_or(&Value::Null);
            if before != value {
                let (now, before) = (cell(name, value), printable(&cell(name, before)));
                caveats.push(format!("{} is {now}, was {before}", words(name)));
            }
        }
        Comparison {
            baseline: format!("the test of {}", date(self.began_unix_seconds)),
            before: Value::Object(self.figures),
            caveats,
        }
    }
}

/// Escapes control characters, which a terminal would obey, and cuts a long text.
fn printable(text: &str) -> String {
    text.chars().take(MAX_TEXT_CHARS).flat_map(char::escape_debug).collect()
}

/// Returns tables of all figures that both tests have, with their ratios.
pub(super) fn tables(results: &Results) -> Vec<Table> {
    let Some(comparison) = &results.comparison else { return Vec::new() };
    let mut tables = Vec::new();
    add_tables("", &comparison.before, &results.figures, &mut tables);
    tables
}

/// Adds the table of an object's numbers, and the tables of its members.
fn add_tables(title: &str, before: &Value, now: &Value, tables: &mut Vec<Table>) {
    let (before, now) = (numbered(before), numbered(now));
    let (mut rows, mut members) = (Vec::new(), Vec::new());
    for (name, value) in now.as_object().into_iter().flatten() {
        let Some(old) = before.get(name) else { continue };
        if let (Some(old), Some(new)) = (old.as_f64(), value.as_f64()) {
            let ratio = ratio(old, new);
            rows.push((words(name), vec![cell(name, &old.into()), cell(name, value), ratio]));
        } else {
            members.push((name, old, value));
        }
    }
    if !rows.is_empty() {
        let columns = ["before", "now", "ratio"].map(str::to_owned).into();
        tables.push(Table { title: title.to_owned(), columns, rows });
    }
    for (name, old, value) in members {
        add_tables(&under(title, name), old, value, tables);
    }
}

/// Formats the ratio of a figure to that of the baseline, with an arrow if it is notable.
pub(super) fn ratio(before: f64, now: f64) -> String {
    if before == now {
        return "1".to_owned();
    } else if before == 0.0 {
        return "–".to_owned();
    }
    match now / before {
        ratio if ratio > 1.0 + NOTABLE => format!("▲ {ratio:.2}"),
        ratio if ratio < 1.0 - NOTABLE => format!("▼ {ratio:.2}"),
        ratio => format!("{ratio:.2}"),
    }
}

#[cfg(test)]
#[path = "comparison_tests.rs"]
mod tests;
