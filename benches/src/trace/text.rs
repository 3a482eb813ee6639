//! Pages in Prometheus' text format, as node_exporter writes them.

use std::fmt::Write;

use fleetgauge_collector::exposition::escape_label_value;
use fleetgauge_proto::report::is_absent;

use super::page::Page;
use super::recording::Family;
use super::tables::{Column, Table};

/// Writes a page: its families in their order, with the samples of each.
pub(super) fn write(families: &[Family], tables: &[Table], page: &Page) -> String {
    let mut samples = vec![String::new(); families.len()];
    for (table, row, values) in page.rows(tables) {
        let Table { row_labels, columns, .. } = &tables[table];
        for (column, value) in columns.iter().zip(values).filter(|(_, v)| !is_absent(**v)) {
            let text = &mut samples[column.family];
            text.push_str(&families[column.family].name);
            write_labels(row_labels, row, column, text);
            write_value(*value, text);
            text.push('\n');
        }
    }
    let mut text = String::new();
    for (Family { name, kind, help }, samples) in families.iter().zip(samples) {
        if !samples.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            text.push_str(&samples);
        }
    }
    text
}

fn write_labels(names: &[String], row: &[String], column: &Column, text: &mut String) {
    let fixed = column.labels.iter().map(|(name, value)| (name, value));
    let mut before = '{';
    for (name, value) in names.iter().zip(row).chain(fixed) {
        text.push(before);
        before = ',';
        let _ = write!(text, "{name}=\"{}\"", escape_label_value(value));
    }
    text.push_str(if before == ',' { "} " } else { " " });
}

/// Writes a number as Go does: with an exponent below 1e-4 and from 1e6.
fn write_value(value: f64, text: &mut String) {
    let (magnitude, one_million) = (value.abs(), 1e6);
    if magnitude == 0.0 || (1e-4..one_million).contains(&magnitude) {
        let _ = write!(text, "{value}");
        return;
    }
    if !value.is_finite() {
        text.push_str(if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        });
        return;
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
    let _ = write!(text, "{mantissa}e{sign}{digits:0>2}");
}

#[cfg(test)]
mod tests {
    use super::write_value;

    #[test]
    fn numbers_are_written_as_in_go() {
        let texts = [
            (0.0, "0"),
            (0.25, "0.25"),
            (999_999.5, "999999.5"),
            (1e6, "1e+06"),
            (-1_250_000.0, "-1.25e+06"),
            (0.000_012, "1.2e-05"),
            (f64::INFINITY, "+Inf"),
        ];
        for (value, expected) in texts {
            let mut text = String::new();
            write_value(value, &mut text);
            assert_eq!(text, expected);
        }
    }
}
