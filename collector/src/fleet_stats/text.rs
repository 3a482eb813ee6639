//! Renders the fleet page: for each gauge a histogram, the mean and quantiles over the agents. All
//! names have a reserved prefix.
//!
//! In OpenMetrics sums must not decrease and quantiles must not be negative. Gauges guarantee
//! neither, so the histogram has no sum and no count, and negative quantiles are rendered as
//! gauges.

use std::collections::HashSet;

use super::columns::{Column, Columns};
use super::distribution::{Distribution, QUANTILES};
use crate::exposition::{
    CHUNK_BYTES, Disconnected, Format, Sink, escape_label_value, label_number, openmetrics,
    write_value,
};

/// Prefix of all metric names on the fleet page.
const PREFIX: &str = "fleetgauge_fleet_";

/// Renders the page, with the end mark of OpenMetrics.
///
/// A gauge is skipped if its names on this page are taken: `load_mean` beside `load`.
///
/// # Errors
/// [`Disconnected`] if the receiver of the chunks is gone.
pub fn write(columns: &Columns, format: Format, sink: &mut dyn Sink) -> Result<(), Disconnected> {
    let mut taken = HashSet::new();
    let mut page = Page { chunk: Vec::new(), format };
    for (gauge, columns) in columns.gauges() {
        let ends = ["", "_bucket", "_mean", "_quantile"];
        let names = ends.map(|end| format!("{PREFIX}{}{end}", gauge.name));
        if columns.is_empty() || names.iter().any(|name| taken.contains(name)) {
            continue;
        }
        page.gauge(&gauge.name, &names, &columns);
        taken.extend(names);
        if page.chunk.len() >= CHUNK_BYTES {
            sink.chunk(&page.chunk)?;
            page.chunk.clear();
        }
    }
    page.chunk.extend_from_slice(openmetrics::end(format).as_bytes());
    sink.chunk(&page.chunk)
}

struct Page {
    chunk: Vec<u8>,
    format: Format,
}

impl Page {
    fn gauge(&mut self, gauge: &str, names: &[String; 4], columns: &[Column<'_>]) {
        let [name, bucket, mean, quantile] = names;
        let distributions: Vec<_> =
            columns.iter().map(|column| (column, column.distribution())).collect();
        self.head(name, "histogram", &format!("Distribution of {gauge} over the fleet"));
        for (column, distribution) in &distributions {
            self.buckets(bucket, column, distribution);
        }
        self.head(mean, "gauge", &format!("Mean of {gauge} over the fleet"));
        for (column, distribution) in &distributions {
            self.line(mean, column, None, distribution.mean);
        }
        let negative =
            distributions.iter().any(|(_, distribution)| distribution.quantiles[0] < 0.0);
        let no_summary = negative && self.format == Format::OpenMetrics;
        let kind = if no_summary { "gauge" } else { "summary" };
        self.head(quantile, kind, &format!("Quantiles of {gauge} over the fleet"));
        for (column, distribution) in &distributions {
            for (at, value) in QUANTILES.iter().zip(distribution.quantiles) {
                self.line(quantile, column, Some(("quantile", *at)), value);
            }
        }
    }

    fn buckets(&mut self, name: &str, column: &Column<'_>, distribution: &Distribution) {
        let bounds = column.bounds().iter().chain([&f64::INFINITY]);
        for (bound, count) in
            bounds.zip(distribution.at_or_below.iter().chain([&distribution.count]))
        {
            #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
            self.line(name, column, Some(("le", *bound)), *count as f64);
        }
    }

    /// Writes HELP and TYPE. `help` must not contain characters that need escapes.
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.write(&format!("# HELP {name} {help}.\n# TYPE {name} {kind}\n"));
    }

    /// Writes a line such as `name{role="db",le="1"} 5`.
    fn line(&mut self, name: &str, column: &Column<'_>, bound: Option<(&str, f64)>, value: f64) {
        let group = column.group;
        let group =
            group.map(|(label, value)| format!("{label}=\"{}\"", escape_label_value(value)));
        let openmetrics = self.format == Format::OpenMetrics;
        let bound =
            bound.map(|(label, bound)| format!("{label}=\"{}\"", label_number(bound, openmetrics)));
        let labels: Vec<_> = group.into_iter().chain(bound).collect();
        self.write(name);
        if !labels.is_empty() {
            self.write(&format!("{{{}}}", labels.join(",")));
        }
        self.write(" ");
        write_value(value, &mut self.chunk);
        self.write("\n");
    }

    fn write(&mut self, text: &str) {
        self.chunk.extend_from_slice(text.as_bytes());
    }
}
