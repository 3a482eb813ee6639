//! The metric sets `basic` and `classic`: names, units, help texts and their order in reports.
//!
//! `basic` follows the Prometheus naming conventions. `classic` has the metric names of the Python
//! agent that fleetgauge replaces. All metrics are gauges.

mod selection;
mod sources;

pub(crate) use selection::SelectionSettings;
pub use selection::{Selection, SelectionError};

use clap::ValueEnum;
use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::message::Family;

use crate::sampler::{HostPart, Readings};

/// A gauge, and how its value follows from the readings of a sample.
#[derive(Debug)]
pub struct Metric {
    /// Metric name.
    pub name: &'static str,
    /// Unit, with which the name ends; empty if the metric has none.
    pub unit: &'static str,
    /// Help text.
    pub help: &'static str,
    /// The part of the host that it depends on.
    part: HostPart,
    value: fn(&Readings) -> Option<f64>,
}

impl Metric {
    /// Returns the value of the metric; `None` if its source has no reading.
    #[must_use]
    pub fn value(&self, readings: &Readings) -> Option<f64> {
        (self.value)(readings)
    }

    fn family(&self) -> Family<'static> {
        let Self { name, unit, help, .. } = *self;
        Family { name, kind: FamilyKind::Gauge as u8, unit, help }
    }
}

/// A set of metrics to report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum MetricSet {
    /// Prometheus naming conventions, base units
    Basic,
    /// Metric names of the Python agent that fleetgauge replaces; percent instead of ratios
    Classic,
    /// Metrics of node_exporter, under its names
    Node,
}

impl MetricSet {
    /// Returns the metrics in the order of the catalog and of reports. Those of `node` are in
    /// `sampler/node`.
    #[must_use]
    pub const fn metrics(self) -> &'static [Metric] {
        match self {
            Self::Basic => BASIC,
            Self::Classic => CLASSIC,
            Self::Node => &[],
        }
    }
}

const BASIC: &[Metric] = &[
    Metric {
        name: "host_cpu_usage_ratio",
        unit: "ratio",
        help: "CPU usage of the host since the previous sample: share of time that was not idle.",
        part: HostPart::Cpu,
        value: |r| r.cpu.map(|cpu| cpu.usage_ratio),
    },
    Metric {
        name: "host_memory_usage_ratio",
        unit: "ratio",
        help: "Memory in use: used / total.",
        part: HostPart::Memory,
        value: |r| r.memory.and_then(|memory| memory.usage_ratio()),
    },
    Metric {
        name: "host_filesystem_usage_ratio",
        unit: "ratio",
        help: "Usage of the root filesystem or system drive, as in df: used / (used + available).",
        part: HostPart::Filesystem,
        value: |r| r.filesystem.and_then(|filesystem| filesystem.usage_ratio()),
    },
    Metric {
        name: "host_memory_total_bytes",
        unit: "bytes",
        help: "Total memory.",
        part: HostPart::Memory,
        value: |r| r.memory.map(|memory| bytes(memory.total)),
    },
    Metric {
        name: "host_memory_available_bytes",
        unit: "bytes",
        help: "Memory available to new workloads without swapping.",
        part: HostPart::Memory,
        value: |r| r.memory.map(|memory| bytes(memory.available)),
    },
    Metric {
        name: "host_memory_used_bytes",
        unit: "bytes",
        help: "Memory in use: total - available.",
        part: HostPart::Memory,
        value: |r| r.memory.map(|memory| bytes(memory.used())),
    },
];

const CLASSIC: &[Metric] = &[
    Metric {
        name: "cpu",
        unit: "",
        help: "CPU usage of the host since the previous sample, in percent.",
        part: HostPart::Cpu,
        value: |r| r.cpu.map(|cpu| cpu.usage_ratio * 100.0),
    },
    Metric {
        name: "ram",
        unit: "",
        help: "Memory in use, in percent.",
        part: HostPart::Memory,
        value: |r| r.memory.and_then(|memory| memory.usage_ratio()).map(|ratio| ratio * 100.0),
    },
    Metric {
        name: "disk",
        unit: "",
        help: "Usage of the root filesystem or system drive in percent, as in df.",
        part: HostPart::Filesystem,
        value: |r| {
            r.filesystem.and_then(|filesystem| filesystem.usage_ratio()).map(|ratio| ratio * 100.0)
        },
    },
    Metric {
        name: "ram_total",
        unit: "",
        help: "Total memory, in bytes.",
        part: HostPart::Memory,
        value: |r| r.memory.map(|memory| bytes(memory.total)),
    },
    Metric {
        name: "ram_available",
        unit: "",
        help: "Memory available to new workloads without swapping, in bytes.",
        part: HostPart::Memory,
        value: |r| r.memory.map(|memory| bytes(memory.available)),
    },
    Metric {
        name: "ram_used",
        unit: "",
        help: "Memory in use, in bytes: total - available.",
        part: HostPart::Memory,
        value: |r| r.memory.map(|memory| bytes(memory.used())),
    },
];

/// Converts a number of bytes to a metric value. Exact up to 2^53 bytes (8 PiB).
#[expect(clippy::cast_precision_loss, reason = "no host has 8 PiB of memory")]
const fn bytes(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use fleetgauge_proto::built_in;

    use super::*;
    use crate::sampler::{Cpu, Filesystem, Memory};

    /// Set `FLEETGAUGE_BLESS=1` to write the file anew, with `--features systemd`.
    #[test]
    fn names_of_all_families_are_reserved_with_their_kinds() {
        let mut declared: Vec<_> = selection::tests::everything()
            .iter()
            .flat_map(|tables| tables.catalog().families.clone())
            .map(|family| (family.name, FamilyKind::from_u8(family.kind).unwrap()))
            .collect();
        declared.sort_unstable_by_key(|(name, _)| *name);
        declared.dedup();
        if std::env::var_os("FLEETGAUGE_BLESS").is_some() {
            if cfg!(not(feature = "systemd")) {
                panic!("needs --features systemd");
            }
            let line = |(name, kind): &(&str, FamilyKind)| format!("{name} {}\n", kind.name());
            let text: String = declared.iter().map(line).collect();
            let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../proto/src/built_in.txt");
            std::fs::write(file, text).unwrap();
            return;
        }
        let is_here = |name: &str| cfg!(feature = "systemd") || !name.starts_with("node_systemd_");
        let reserved: Vec<_> = built_in::families().filter(|(name, _)| is_here(name)).collect();
        assert_eq!(declared, reserved);
    }

    /// Returns readings with round numbers.
    fn readings() -> Readings {
        Readings {
            cpu: Some(Cpu { usage_ratio: 0.25 }),
            memory: Some(Memory { total: 8000, available: 6000 }),
            filesystem: Some(Filesystem { used: 300, available: 700 }),
        }
    }

    fn values(set: MetricSet, readings: &Readings) -> Vec<(&'static str, Option<f64>)> {
        set.metrics().iter().map(|metric| (metric.name, metric.value(readings))).collect()
    }

    #[test]
    fn basic_set_has_these_names_and_values() {
        assert_eq!(
            values(MetricSet::Basic, &readings()),
            [
                ("host_cpu_usage_ratio", Some(0.25)),
                ("host_memory_usage_ratio", Some(0.25)),
                ("host_filesystem_usage_ratio", Some(0.3)),
                ("host_memory_total_bytes", Some(8000.0)),
                ("host_memory_available_bytes", Some(6000.0)),
                ("host_memory_used_bytes", Some(2000.0)),
            ]
        );
    }

    #[test]
    fn classic_set_has_these_names_and_values() {
        assert_eq!(
            values(MetricSet::Classic, &readings()),
            [
                ("cpu", Some(25.0)),
                ("ram", Some(25.0)),
                ("disk", Some(30.0)),
                ("ram_total", Some(8000.0)),
                ("ram_available", Some(6000.0)),
                ("ram_used", Some(2000.0)),
            ]
        );
    }

    #[test]
    fn missing_reading_affects_only_its_own_metrics() {
        let readings = Readings { memory: None, ..readings() };
        let absent: Vec<_> = values(MetricSet::Basic, &readings)
            .into_iter()
            .filter_map(|(name, value)| value.is_none().then_some(name))
            .collect();
        assert_eq!(
            absent,
            [
                "host_memory_usage_ratio",
                "host_memory_total_bytes",
                "host_memory_available_bytes",
                "host_memory_used_bytes"
            ]
        );
    }

    #[test]
    fn set_is_one_table_without_row_labels_in_its_own_order() {
        for set in [MetricSet::Basic, MetricSet::Classic] {
            let selection = Selection::of(set);
            let catalog = selection.catalog();
            let names: Vec<_> = catalog.families.iter().map(|family| family.name).collect();
            let expected: Vec<_> = set.metrics().iter().map(|metric| metric.name).collect();
            assert_eq!(names, expected);
            let [table] = &*catalog.tables else { panic!("{catalog:?}") };
            assert!(table.row_labels.is_empty());
            let families: Vec<_> = table.columns.iter().map(|column| column.family).collect();
            assert_eq!(families, [0, 1, 2, 3, 4, 5]);
        }
    }

    #[test]
    fn metric_sets_have_different_fingerprints() {
        let fingerprint = |set: MetricSet| Selection::of(set).catalogs().by_slot()[0].fingerprint();
        assert_ne!(fingerprint(MetricSet::Basic), fingerprint(MetricSet::Classic));
        assert_eq!(fingerprint(MetricSet::Basic), fingerprint(MetricSet::Basic));
    }

    #[test]
    fn metric_depends_only_on_its_part_of_the_host() {
        let Readings { cpu, memory, filesystem } = readings();
        for metric in BASIC.iter().chain(CLASSIC) {
            let own = match metric.part {
                HostPart::Cpu => Readings { cpu, ..Readings::default() },
                HostPart::Memory => Readings { memory, ..Readings::default() },
                HostPart::Filesystem => Readings { filesystem, ..Readings::default() },
            };
            assert_eq!(metric.value(&own), metric.value(&readings()), "{}", metric.name);
            assert!(metric.value(&own).is_some(), "{}", metric.name);
        }
    }

    #[test]
    fn basic_names_end_in_their_units() {
        for metric in BASIC {
            assert!(metric.name.ends_with(&format!("_{}", metric.unit)), "{}", metric.name);
        }
    }
}
