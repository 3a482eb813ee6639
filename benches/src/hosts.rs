//! What the hosts of a simulated fleet report.

use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::message::{Catalog, Column, Family, RowChange, Table};
use fleetgauge_proto::report::{EncodedValues, TableShape};

use crate::{Page, Trace, TracedHosts};

/// Series of a host with the basic metric set.
pub const GAUGES: usize = 6;

/// Period of the values of hosts: hosts `n` and `n + SHARES` have equal values.
pub const SHARES: usize = 997;

const FAMILIES: [(&str, &str); GAUGES] = [
    ("host_cpu_usage_ratio", "ratio"),
    ("host_filesystem_usage_ratio", "ratio"),
    ("host_memory_available_bytes", "bytes"),
    ("host_memory_total_bytes", "bytes"),
    ("host_memory_usage_ratio", "ratio"),
    ("host_memory_used_bytes", "bytes"),
];

/// A kind of hosts: the catalog, and the rows and values of each host.
#[derive(Debug)]
pub enum Hosts {
    /// Hosts with the six gauges of the basic metric set.
    Gauges,
    /// Hosts with the series of a trace.
    Traced(Box<TracedHosts>),
}

impl Hosts {
    /// Returns hosts like that of the idle trace.
    #[must_use]
    pub fn idle() -> Self {
        Self::Traced(Box::new(TracedHosts::new(Trace::idle())))
    }

    /// Returns hosts like that of the idle trace, but with all counters moving.
    #[must_use]
    pub fn moving() -> Self {
        Self::Traced(Box::new(TracedHosts::new(Trace::idle().with_all_counters_moving())))
    }

    /// Returns the catalog of all hosts.
    #[must_use]
    pub fn catalog(&self) -> Catalog<'_> {
        match self {
            Self::Gauges => gauges(),
            Self::Traced(hosts) => hosts.trace().catalog(),
        }
    }

    /// Returns the rows and values that the host with this number reports in this step. The rows
    /// are the same in all steps.
    #[must_use]
    pub fn page(&self, number: usize, step: usize) -> Page {
        match self {
            Self::Gauges => {
                Page { rows: vec![Vec::new()], values: gauge_values(number, step).into() }
            }
            Self::Traced(hosts) => hosts.page(number, step),
        }
    }

    /// Encodes the values that changed from one page of a host to another, as in a report.
    #[must_use]
    pub fn encode_changed(&self, before: &Page, now: &Page) -> EncodedValues {
        let mut encoded = EncodedValues::default();
        let (before, values) = (&before.values, &now.values);
        match self {
            Self::Gauges => encoded.encode_changed(before, values, gauges_shape()),
            Self::Traced(hosts) => {
                encoded.encode_changed(before, values, hosts.trace().shape(now));
            }
        }
        encoded
    }

    /// Returns the changes that add all rows of a page.
    #[must_use]
    pub fn rows<'a>(&self, page: &'a Page) -> Vec<RowChange<'a>> {
        match self {
            Self::Gauges => Vec::new(),
            Self::Traced(hosts) => hosts.trace().row_changes(None, page),
        }
    }
}

/// Returns a catalog of six gauges.
#[must_use]
pub fn gauges() -> Catalog<'static> {
    let family = |(name, unit)| Family {
        name,
        kind: FamilyKind::Gauge as u8,
        unit,
        help: "A gauge of the basic metric set.",
    };
    let column =
        |family| Column { family, width: 1, decimals: 0, parameters: vec![], labels: vec![] };
    let columns = (0..GAUGES as u32).map(column).collect();
    Catalog {
        stream: 0,
        slot: 0,
        families: FAMILIES.into_iter().map(family).collect(),
        tables: vec![Table { row_labels: Vec::new(), columns }],
    }
}

/// Returns the shape of a report of six gauges.
fn gauges_shape() -> impl Iterator<Item = TableShape<'static>> {
    std::iter::once((1, &[0; GAUGES][..]))
}

/// Realistic values: three ratios and three sizes. Five of them change between two steps.
fn gauge_values(number: usize, step: usize) -> [f64; GAUGES] {
    let share = share(number + step);
    let total = 68_719_476_736.0;
    let used = (total * share).floor();
    [share * 0.9, share, total - used, total, used / total, used]
}

/// Returns a fraction that differs between hosts, so that pages compress as those of real fleets.
pub(crate) fn share(number: usize) -> f64 {
    (number % SHARES) as f64 / SHARES as f64
}
