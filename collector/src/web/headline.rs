//! The headline values of an agent: what pages show of every host.

use std::collections::HashMap;

use crate::registry::{Layout, Registry};

/// A value that pages show of every agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Headline {
    /// Name in query strings and JSON.
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    /// Name of the gauge, a ratio from 0 to 1.
    pub(super) family: &'static str,
}

/// All headline values.
pub(crate) const HEADLINES: [Headline; 3] = [
    Headline { key: "cpu", title: "CPU", family: "host_cpu_usage_ratio" },
    Headline { key: "memory", title: "Memory", family: "host_memory_usage_ratio" },
    Headline { key: "disk", title: "Root filesystem", family: "host_filesystem_usage_ratio" },
];

/// The headline values of an agent; NaN if it has none.
pub(crate) type HeadlineValues = [f64; HEADLINES.len()];

/// Where the headline values are, by key of the catalog.
#[derive(Debug)]
pub(super) struct HeadlinePlan(HashMap<u64, Vec<HeadlinePlace>>);

#[derive(Debug, Clone, Copy)]
struct HeadlinePlace {
    /// Index in [`HEADLINES`].
    headline: usize,
    /// Index of the table in the catalog.
    table: usize,
    /// Index of the value in the table's row.
    offset: usize,
}

impl HeadlinePlan {
    pub(super) fn of(registry: &Registry) -> Self {
        let mut places: HashMap<u64, Vec<HeadlinePlace>> = HashMap::new();
        for (headline, own) in HEADLINES.iter().enumerate() {
            for gauge in registry.gauges(Some(own.family)) {
                for member in &gauge.members {
                    let (table, offset) = (member.table, member.offset);
                    let place = HeadlinePlace { headline, table, offset };
                    places.entry(member.catalog).or_default().push(place);
                }
            }
        }
        Self(places)
    }

    /// Returns the headline values of an agent.
    pub(super) fn values(&self, layout: &Layout, values: &[f64]) -> HeadlineValues {
        let mut found = [f64::NAN; HEADLINES.len()];
        for (catalog, tables) in layout.tables() {
            let Some(places) = self.0.get(&catalog.key()) else { continue };
            // A table with row labels has more than one value.
            let own = tables.enumerate().filter(|(_, placed)| placed.rows.is_none());
            for (table, placed) in own {
                for place in places.iter().filter(|place| place.table == table) {
                    if let Some(value) = values.get(placed.start + place.offset) {
                        found[place.headline] = *value;
                    }
                }
            }
        }
        found
    }
}
