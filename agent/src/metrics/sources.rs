//! The sources of a metric set: each reads a part of the host and fills the columns about it.

use std::sync::Arc;

use fleetgauge_proto::report::ABSENT;

use super::{Metric, MetricSet};
use crate::sampler::{
    HostPart, HostReader, Readings, Source, SourceError, SourceSpec, host_reader,
};
use crate::tables::{ColumnSpec, Output, TableSpec};

/// Parts of the host, with the names of their sources.
const PARTS: [(HostPart, &str); 3] = [
    (HostPart::Cpu, "host_cpu"),
    (HostPart::Memory, "host_memory"),
    (HostPart::Filesystem, "host_filesystem"),
];

/// Returns the sources of these sets, without those of collectors. Each owns a table without row
/// labels.
pub(super) fn of(sets: &[MetricSet]) -> Vec<SourceSpec> {
    if sets.iter().all(|set| set.metrics().is_empty()) {
        return Vec::new();
    }
    let source = |(part, name): (HostPart, &'static str)| {
        let metrics = sets.iter().flat_map(|set| set.metrics());
        let metrics: Vec<_> = metrics.filter(|metric| metric.part == part).collect();
        let columns = metrics.iter().map(|metric| ColumnSpec::new(metric.family())).collect();
        let factory = move || {
            let (reader, metrics) = (host_reader(part)?, metrics.clone());
            Ok(Box::new(MetricSource { reader, metrics }) as Box<dyn Source>)
        };
        let tables = vec![TableSpec { row_labels: &[], columns }];
        SourceSpec { name, tables, factory: Arc::new(factory), is_collector: false }
    };
    PARTS.map(source).into()
}

/// Fills the columns about one part of the host.
struct MetricSource {
    reader: Box<dyn HostReader>,
    metrics: Vec<&'static Metric>,
}

impl Source for MetricSource {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let readings = Readings::of(self.reader.read()?);
        for (value, metric) in output.row(0, &[]).iter_mut().zip(&self.metrics) {
            *value = metric.value(&readings).unwrap_or(ABSENT);
        }
        Ok(())
    }
}
