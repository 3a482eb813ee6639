//! The headline values of an agent: what pages show of every host.
//!
//! Agents name the same value differently, by their set of metrics. A headline is the first of its
//! sources that the agent has.

use std::collections::HashMap;

use super::devices::used_ratio;
use crate::registry::{Layout, PlacedTable, Registry};

/// A value that pages show of every agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Headline {
    /// Name in query strings and JSON.
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
}

/// All headline values, each a ratio from 0 to 1.
pub(crate) const HEADLINES: [Headline; 3] = [
    Headline { key: "cpu", title: "CPU" },
    Headline { key: "memory", title: "Memory" },
    Headline { key: "disk", title: "Root filesystem" },
];

/// The headline values of an agent; NaN if it has none.
pub(crate) type HeadlineValues = [f64; HEADLINES.len()];

/// Gauges of which the headline values are made: of the sets `basic`, `classic` and `node`. Only
/// those of filesystems have row labels.
const GAUGES: [&str; 11] = [
    "host_cpu_usage_ratio",
    "host_memory_usage_ratio",
    "host_filesystem_usage_ratio",
    "cpu",
    "ram",
    "disk",
    "node_memory_MemTotal_bytes",
    "node_memory_MemAvailable_bytes",
    "node_filesystem_size_bytes",
    "node_filesystem_free_bytes",
    "node_filesystem_avail_bytes",
];
/// Label of a filesystem, and its value for the root.
const ROOT: (&str, &str) = ("mountpoint", "/");

/// Values of [`GAUGES`]; NaN if the agent does not have it.
type Gauges = [f64; GAUGES.len()];

/// Returns the headline values. The set `node` has no usage of CPUs, only the seconds since boot.
fn headlines(gauges: &Gauges) -> HeadlineValues {
    let [cpu, memory, disk, cpu_percent, memory_percent, disk_percent, rest @ ..] = *gauges;
    let [total, available, size, free, free_for_users] = rest;
    let first =
        |sources: [f64; 3]| sources.into_iter().find(|value| !value.is_nan()).unwrap_or(f64::NAN);
    [
        first([cpu, cpu_percent / 100.0, f64::NAN]),
        first([memory, memory_percent / 100.0, 1.0 - available / total]),
        first([disk, disk_percent / 100.0, used_ratio(size, free, free_for_users)]),
    ]
}

/// Where the gauges are, by key of the catalog.
#[derive(Debug)]
pub(super) struct HeadlinePlan(HashMap<u64, Vec<GaugePlace>>);

#[derive(Debug, Clone, Copy)]
struct GaugePlace {
    /// Index in [`GAUGES`].
    gauge: usize,
    /// Index of the table in the catalog.
    table: usize,
    /// Index of the value in the table's row.
    offset: usize,
}

impl HeadlinePlan {
    pub(super) fn of(registry: &Registry) -> Self {
        let mut places: HashMap<u64, Vec<GaugePlace>> = HashMap::new();
        for (gauge, name) in GAUGES.iter().enumerate() {
            for family in registry.gauges(Some(name)) {
                for member in &family.members {
                    let place = GaugePlace { gauge, table: member.table, offset: member.offset };
                    places.entry(member.catalog).or_default().push(place);
                }
            }
        }
        Self(places)
    }

    /// Returns the headline values of an agent.
    pub(super) fn values(&self, layout: &Layout, values: &[f64]) -> HeadlineValues {
        let mut found = [f64::NAN; GAUGES.len()];
        let mut read = |with_rows: bool| {
            for (catalog, tables) in layout.tables() {
                let Some(places) = self.0.get(&catalog.key()) else { continue };
                let own =
                    tables.enumerate().filter(|(_, placed)| placed.rows.is_some() == with_rows);
                for (table, placed) in own {
                    let mut here = places.iter().filter(|place| place.table == table).peekable();
                    let row = here.peek().and_then(|_| row(&placed));
                    for (place, row) in here.zip(std::iter::repeat(row)) {
                        let Some(row) = row else { continue };
                        let at = placed.start + row * placed.table.width + place.offset;
                        found[place.gauge] = values.get(at).copied().unwrap_or(f64::NAN);
                    }
                }
            }
            headlines(&found)
        };
        let headlines = read(false);
        // Most agents have the root filesystem as a gauge: then its row need not be found.
        if headlines[2].is_nan() { read(true) } else { headlines }
    }
}

/// Returns the index of the row that is shown: the only one, or that of the root filesystem.
fn row(placed: &PlacedTable<'_>) -> Option<usize> {
    let Some(rows) = placed.rows else { return Some(0) };
    let names = &placed.table.row_labels;
    let label = names.iter().position(|name| **name == *ROOT.0)?;
    rows.iter(names.len()).position(|mut values| values.nth(label) == Some(ROOT.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gauges(values: &[(&str, f64)]) -> HeadlineValues {
        headlines(&GAUGES.map(|name| {
            values.iter().find(|(own, _)| *own == name).map_or(f64::NAN, |(_, value)| *value)
        }))
    }

    #[test]
    fn first_set_of_metrics_that_an_agent_has_gives_its_values() {
        let basic = [
            ("host_cpu_usage_ratio", 0.5),
            ("host_memory_usage_ratio", 0.25),
            ("host_filesystem_usage_ratio", 0.75),
        ];
        let classic = [("cpu", 10.0), ("ram", 20.0), ("disk", 30.0)];
        let node = [
            ("node_memory_MemTotal_bytes", 8.0),
            ("node_memory_MemAvailable_bytes", 2.0),
            ("node_filesystem_size_bytes", 100.0),
            ("node_filesystem_free_bytes", 60.0),
            ("node_filesystem_avail_bytes", 40.0),
        ];
        assert_eq!(gauges(&basic), [0.5, 0.25, 0.75]);
        assert_eq!(gauges(&classic), [0.1, 0.2, 0.3]);
        assert_eq!(gauges(&[&basic[..], &classic, &node].concat()), [0.5, 0.25, 0.75]);
        let found = gauges(&node);
        assert!(found[0].is_nan());
        assert_eq!(found[1..], [0.75, 0.5]);
        assert!(gauges(&[]).iter().all(|value| value.is_nan()));
    }
}
