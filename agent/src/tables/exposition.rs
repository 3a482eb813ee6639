//! Samples of a source as text, for tests.

use fleetgauge_proto::report::is_absent;

use super::found::FoundGroups;
use super::{Output, TableSpec};

/// Returns a line for each sample with a value, sorted: `node_cpu_seconds_total{cpu="0"} 1.5`.
/// Labels are in ascending order of their names; labels with an empty value are left out.
pub(crate) fn lines(tables: &[TableSpec], output: &Output) -> Vec<String> {
    let mut lines = Vec::new();
    for (table, written) in tables.iter().zip(&output.tables) {
        let texts: Vec<Vec<&str>> = match table.row_labels.len() {
            0 => vec![Vec::new()],
            labels => written.rows().iter(labels).map(Iterator::collect).collect(),
        };
        for (row, values) in texts.iter().zip(written.values()) {
            for (column, value) in table.columns.iter().zip(values) {
                let row_labels = table.row_labels.iter().copied().zip(row.iter().copied());
                let labels = row_labels.chain(column.labels.iter().copied()).collect();
                lines.extend(line(column.family.name, labels, *value));
            }
        }
    }
    lines.extend(found_lines(output.found_groups(), output.found_values()));
    lines.sort();
    lines
}

/// Returns a line for each sample that was found, by family and labels.
pub(super) fn found_lines(groups: &FoundGroups, values: &[f64]) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, group) in &groups.families {
        for (labels, position) in &group.samples {
            let Some(value) = values.get(*position) else { continue };
            let labels = labels.iter().map(|(name, value)| (&**name, &**value)).collect();
            lines.extend(line(name, labels, *value));
        }
    }
    lines
}

fn line(name: &str, mut labels: Vec<(&str, &str)>, value: f64) -> Option<String> {
    labels.retain(|(_, value)| !value.is_empty());
    labels.sort_unstable();
    let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    let labels =
        if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    (!is_absent(value)).then(|| format!("{name}{labels} {value}"))
}
