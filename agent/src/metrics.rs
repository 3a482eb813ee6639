//! The metric sets an agent can report: names, units, meanings, and their order on the wire.
//!
//! `basic` follows Prometheus' conventions. `classic` has the names of the program this one
//! replaces, each now meaning what its name says. Everything is a gauge.

use crate::sampler::Readings;

/// One gauge and how it follows from what was read.
#[derive(Debug)]
pub struct Metric {
    /// Name as exposed.
    pub name: &'static str,
    /// Unit, which the name ends in; empty where the name states none.
    pub unit: &'static str,
    /// One sentence for people who meet it in Prometheus.
    pub help: &'static str,
    value: fn(&Readings) -> Option<f64>,
}

impl Metric {
    /// The value in the metric's unit; `None` where its source has not answered.
    #[must_use]
    pub fn value(&self, readings: &Readings) -> Option<f64> {
        (self.value)(readings)
    }
}

/// Which metrics an agent reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MetricSet {
    /// Base units, Prometheus' naming.
    #[default]
    Basic,
    /// The old program's names; percent instead of ratios.
    Classic,
}

impl MetricSet {
    /// The set of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "basic" => Some(Self::Basic),
            "classic" => Some(Self::Classic),
            _ => None,
        }
    }

    /// Its metrics, in the order of the schema and of every report.
    #[must_use]
    pub const fn metrics(self) -> &'static [Metric] {
        match self {
            Self::Basic => BASIC,
            Self::Classic => CLASSIC,
        }
    }
}

const BASIC: &[Metric] = &[
    Metric {
        name: "host_cpu_usage_ratio",
        unit: "ratio",
        help: "Share of all CPU time that was not idle, over the interval before the sample.",
        value: |r| r.cpu.map(|cpu| cpu.usage_ratio),
    },
    Metric {
        name: "host_memory_usage_ratio",
        unit: "ratio",
        help: "Memory in use: used / total.",
        value: |r| r.memory.and_then(|memory| memory.usage_ratio()),
    },
    Metric {
        name: "host_filesystem_usage_ratio",
        unit: "ratio",
        help: "Use of the root filesystem or system drive, as df: used / (used + available).",
        value: |r| r.filesystem.and_then(|filesystem| filesystem.usage_ratio()),
    },
    Metric {
        name: "host_memory_total_bytes",
        unit: "bytes",
        help: "Memory that the system manages.",
        value: |r| r.memory.map(|memory| bytes(memory.total)),
    },
    Metric {
        name: "host_memory_available_bytes",
        unit: "bytes",
        help: "Memory that new work could have without swapping.",
        value: |r| r.memory.map(|memory| bytes(memory.available)),
    },
    Metric {
        name: "host_memory_used_bytes",
        unit: "bytes",
        help: "Memory in use: total - available.",
        value: |r| r.memory.map(|memory| bytes(memory.used())),
    },
];

const CLASSIC: &[Metric] = &[
    Metric {
        name: "cpu",
        unit: "",
        help: "CPU time that was not idle over the interval before the sample, in percent.",
        value: |r| r.cpu.map(|cpu| cpu.usage_ratio * 100.0),
    },
    Metric {
        name: "ram",
        unit: "",
        help: "Memory in use, in percent.",
        value: |r| r.memory.and_then(|memory| memory.usage_ratio()).map(|ratio| ratio * 100.0),
    },
    Metric {
        name: "disk",
        unit: "",
        help: "Use of the root filesystem or system drive, in percent, as df.",
        value: |r| {
            r.filesystem.and_then(|filesystem| filesystem.usage_ratio()).map(|ratio| ratio * 100.0)
        },
    },
    Metric {
        name: "ram_total",
        unit: "",
        help: "Memory that the system manages, in bytes.",
        value: |r| r.memory.map(|memory| bytes(memory.total)),
    },
    Metric {
        name: "ram_available",
        unit: "",
        help: "Memory that new work could have without swapping, in bytes.",
        value: |r| r.memory.map(|memory| bytes(memory.available)),
    },
    Metric {
        name: "ram_used",
        unit: "",
        help: "Memory in use, in bytes: total - available.",
        value: |r| r.memory.map(|memory| bytes(memory.used())),
    },
];

/// Exact up to 2^53 bytes, which is 8 PiB.
#[expect(clippy::cast_precision_loss, reason = "no host has 8 PiB of memory")]
const fn bytes(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::{Cpu, Filesystem, Memory};

    /// A host read at one moment, with round numbers.
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
    fn basic_means_what_its_names_say() {
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
    fn classic_means_what_its_names_say() {
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
    fn a_silent_source_takes_only_its_own_values_away() {
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
    fn names_end_in_their_units() {
        for metric in BASIC {
            assert!(metric.name.ends_with(&format!("_{}", metric.unit)), "{}", metric.name);
        }
    }
}
