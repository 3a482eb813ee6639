//! Results as text for a terminal.

use std::fmt;

use super::tables::{Table, phases, quantity, tables, words};
use super::{Results, comparison, summary};
use crate::judge::verdict::Verdict;

/// Width of the name column, in characters.
const NAME_WIDTH: usize = 22;
const LINE_WIDTH: usize = 118;

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(self, f)
    }
}

fn write(results: &Results, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for table in tables("settings", &results.settings) {
        write_list(&table, f)?;
    }
    for table in tables("", &results.figures) {
        if table.columns.is_empty() { write_list(&table, f)? } else { write_rows(&table, f)? }
    }
    write_list(&phases(results), f)?;
    if let Some(comparison) = &results.comparison {
        writeln!(f, "\ncompared with {}", comparison.baseline)?;
        for caveat in &comparison.caveats {
            writeln!(f, "  note: {caveat}")?;
        }
        for table in comparison::tables(results) {
            write_rows(&table, f)?;
        }
    }
    writeln!(f)?;
    for sentence in summary::sentences(results) {
        writeln!(f, "{sentence}")?;
    }
    writeln!(f)?;
    write_verdict(&results.verdict, f)
}

/// Writes names and values, as many per line as fit.
fn write_list(table: &Table, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{:NAME_WIDTH$}", table.title)?;
    let mut width = NAME_WIDTH.max(table.title.chars().count());
    for (number, (name, cells)) in table.rows.iter().enumerate() {
        let entry = format!("{name} {}", cells.join(" "));
        let len = entry.chars().count() + 2;
        if number > 0 && width + len > LINE_WIDTH {
            write!(f, "\n{:NAME_WIDTH$}", "")?;
            width = NAME_WIDTH;
        }
        write!(f, "  {entry}")?;
        width += len;
    }
    writeln!(f)
}

/// Writes one line per row, with aligned columns.
fn write_rows(table: &Table, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut widths: Vec<usize> = table.columns.iter().map(|head| head.chars().count()).collect();
    for (_, cells) in &table.rows {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = cell.chars().count().max(*width);
        }
    }
    let names = table.rows.iter().map(|(name, _)| name.chars().count() + 2);
    let name_width = names.chain([NAME_WIDTH, table.title.chars().count()]).max();
    let name_width = name_width.unwrap_or(NAME_WIDTH);
    let mut line = |name: &str, cells: &[String]| {
        write!(f, "{name:name_width$}")?;
        for (cell, width) in cells.iter().zip(&widths) {
            write!(f, "  {cell:>width$}")?;
        }
        writeln!(f)
    };
    line(&table.title, &table.columns)?;
    for (name, cells) in &table.rows {
        line(&format!("  {name}"), cells)?;
    }
    Ok(())
}

fn write_verdict(verdict: &Verdict, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for skipped in &verdict.skipped {
        writeln!(f, "{:NAME_WIDTH$}  {skipped}", "skipped")?;
    }
    if verdict.passed {
        return write!(
            f,
            "{:NAME_WIDTH$}  passed: {}; no findings",
            "verdict",
            counts(&verdict.checks)
        );
    }
    let all = verdict.count();
    writeln!(
        f,
        "{:NAME_WIDTH$}  FAILED: {all} findings ({})",
        "verdict",
        counts(&verdict.findings)
    )?;
    for finding in &verdict.first_findings {
        writeln!(f, "  {}", finding.what)?;
    }
    let texts = verdict.first_findings.len() as u64;
    if all > texts { write!(f, "  and {} more", all - texts) } else { Ok(()) }
}

/// Formats counts by cause on one line.
pub(super) fn counts(counts: &std::collections::BTreeMap<String, u64>) -> String {
    if counts.is_empty() {
        return "nothing checked".to_owned();
    }
    let counts = counts
        .iter()
        .map(|(cause, count)| format!("{} {}", quantity(*count as f64, ""), words(cause)));
    counts.collect::<Vec<_>>().join(", ")
}
