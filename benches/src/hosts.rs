//! What the hosts of a simulated fleet report.

use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::message::{Catalog, Column, Family, RowChange, Table};

use crate::{Page, Trace};

/// Series of a host with the basic metric set.
pub const GAUGES: usize = 6;

const FAMILIES: [(&str, &str); GAUGES] = [
    ("host_cpu_usage_ratio", "ratio"),
    ("host_filesystem_usage_ratio", "ratio"),
    ("host_memory_available_bytes", "bytes"),
    ("host_memory_total_bytes", "bytes"),
    ("host_memory_usage_ratio", "ratio"),
    ("host_memory_used_bytes", "bytes"),
];

/// Row labels whose values each host has for itself.
const OWN_LABELS: [&str; 4] = ["device", "mountpoint", "address", "nodename"];

/// A kind of hosts: the catalog, and the rows and values of each host.
#[derive(Debug)]
pub enum Hosts {
    /// Hosts with the six gauges of the basic metric set.
    Gauges,
    /// Hosts with the series of a trace. Each has devices, mount points, addresses and a name of
    /// its own.
    Traced(Box<Trace>),
}

impl Hosts {
    /// Returns hosts like that of the idle trace.
    #[must_use]
    pub fn idle() -> Self {
        Self::Traced(Box::new(Trace::idle()))
    }

    /// Returns the catalog of all hosts.
    #[must_use]
    pub fn catalog(&self) -> Catalog<'_> {
        match self {
            Self::Gauges => gauges(),
            Self::Traced(trace) => trace.catalog(),
        }
    }

    /// Returns the rows and values of the host with this number.
    #[must_use]
    pub fn page(&self, number: usize) -> Page {
        match self {
            Self::Gauges => Page { rows: vec![Vec::new()], values: gauge_values(number).into() },
            Self::Traced(trace) => traced(trace, number),
        }
    }

    /// Returns the changes that add all rows of a page.
    #[must_use]
    pub fn rows<'a>(&self, page: &'a Page) -> Vec<RowChange<'a>> {
        match self {
            Self::Gauges => Vec::new(),
            Self::Traced(trace) => trace.row_changes(None, page),
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

/// Realistic values: three ratios and three sizes.
fn gauge_values(number: usize) -> [f64; GAUGES] {
    let share = share(number);
    let total = 68_719_476_736.0;
    let used = (total * share).floor();
    [share * 0.9, share, total - used, total, used / total, used]
}

/// Returns a fraction that differs between hosts, so that pages compress as those of real fleets.
fn share(number: usize) -> f64 {
    (number % 997) as f64 / 997.0
}

/// Returns a page of the trace as if it were from the host with this number. Values that changed
/// within the trace are scaled, to whole numbers if they were whole.
fn traced(trace: &Trace, number: usize) -> Page {
    let (first, second) = (&trace.pages()[0], &trace.pages()[1]);
    let scale = 0.5 + share(number);
    let values = trace.values_in_rows_of(second, first).into_iter().zip(&second.values);
    let values = values.map(|(before, now)| match now * scale {
        _ if before.to_bits() == now.to_bits() => *now,
        scaled if now.fract() == 0.0 => scaled.round(),
        scaled => (scaled * 1e6).round() / 1e6,
    });
    let mut page = Page { rows: second.rows.clone(), values: values.collect() };
    for (table, rows) in page.rows.iter_mut().enumerate() {
        for row in rows {
            let labels = trace.row_labels(table).iter().zip(row);
            for (_, value) in labels.filter(|(name, _)| OWN_LABELS.contains(&name.as_str())) {
                if !value.is_empty() {
                    // Rows with a common prefix keep their order.
                    value.insert_str(0, &format!("{number:06}"));
                }
            }
        }
    }
    page
}
