//! Columns: the values of the fleet's gauges, copied from the registry.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{Distribution, FleetQuery, GroupLabel, MAX_GROUPS, NoAnswer, bounds};
use crate::exposition::static_labels;
use crate::registry::{GaugeFamily, Layout, Registry};

/// The columns of all gauges that a query asks for, by gauge and group.
#[derive(Debug)]
pub struct Columns {
    /// The static label to group agents by; `None` for one group of all agents.
    by: Option<GroupLabel>,
    /// Values of the label, sorted, with the index of each value's group. Agents without the label
    /// are in the group of the empty value.
    groups: Vec<(Box<str>, usize)>,
    gauges: Vec<(GaugeFamily, OfGauge)>,
}

/// Values of a column as order-preserving integer keys, unsorted.
type Keys = Vec<i64>;

/// The columns of one gauge, each with the index of its group. Groups without values are omitted.
#[derive(Debug, Default)]
struct OfGauge(Vec<(usize, Keys)>);

impl OfGauge {
    fn find(&self, group: usize) -> Result<usize, usize> {
        self.0.binary_search_by_key(&group, |(index, _)| *index)
    }

    fn get(&self, group: usize) -> Option<&Keys> {
        self.find(group).ok().map(|at| &self.0[at].1)
    }

    fn get_mut(&mut self, group: usize) -> &mut Keys {
        let at = self.find(group).unwrap_or_else(|at| {
            self.0.insert(at, (group, Keys::new()));
            at
        });
        &mut self.0[at].1
    }
}

/// The values of one gauge in one group.
#[derive(Debug, Clone, Copy)]
pub struct Column<'a> {
    /// Name and value of the label that defines the group; `None` if agents are not grouped.
    pub group: Option<(&'a str, &'a str)>,
    unit: &'a str,
    keys: &'a [i64],
}

impl Column<'_> {
    /// Returns the upper bounds of the buckets for the gauge's unit.
    #[must_use]
    pub fn bounds(&self) -> &'static [f64] {
        bounds::of_unit(self.unit)
    }

    /// Computes the distribution of the column's values.
    #[must_use]
    pub fn distribution(&self) -> Distribution {
        Distribution::of(self.keys, self.bounds())
    }
}

impl Columns {
    /// Copies the values that a query asks for.
    ///
    /// # Errors
    /// [`NoAnswer`]
    pub fn copy(registry: &Registry, query: &FleetQuery) -> Result<Self, NoAnswer> {
        let gauges = wanted(registry, query)?;
        let plan = plan(&gauges);
        let mut columns: Vec<OfGauge> = gauges.iter().map(|_| OfGauge::default()).collect();
        let mut groups = Groups::new(query.by.as_ref());
        let mut copied = Ok(());
        registry.each_agent(|labels, layout, values| {
            if copied.is_ok() {
                let group = groups.of(labels);
                copied = group.map(|group| copy_agent(layout, values, group, &plan, &mut columns));
            }
        });
        copied?;
        let groups = groups.into_sorted();
        let gauges = gauges.into_iter().zip(columns).collect();
        Ok(Self { by: query.by.clone(), groups, gauges })
    }

    /// Returns the gauges sorted by name, each with its columns sorted by group.
    pub fn gauges(&self) -> impl Iterator<Item = (&GaugeFamily, Vec<Column<'_>>)> {
        self.gauges.iter().map(|(gauge, columns)| {
            let columns = self.groups.iter().filter_map(|(value, index)| {
                let keys = columns.get(*index).filter(|keys| !keys.is_empty())?;
                let group = self.by.as_ref().map(|by| (by.as_str(), &**value));
                Some(Column { group, unit: &gauge.unit, keys })
            });
            (gauge, columns.collect())
        })
    }
}

/// Returns the gauges that a query asks for.
fn wanted(registry: &Registry, query: &FleetQuery) -> Result<Vec<GaugeFamily>, NoAnswer> {
    let gauges = registry.gauges(query.family.as_deref());
    if gauges.is_empty() && query.family.is_some() {
        return Err(NoAnswer::UnknownFamily);
    }
    Ok(gauges)
}

/// Adds the values of an agent to their columns.
fn copy_agent(layout: &Layout, values: &[f64], group: usize, plan: &Plan, columns: &mut [OfGauge]) {
    for (catalog, tables) in layout.tables() {
        let Some(plan) = plan.get(&catalog.key()) else { continue };
        // Most tables of a large catalog can be without rows.
        for (index, placed) in tables.enumerate().filter(|(_, placed)| placed.row_count() > 0) {
            let first = plan.partition_point(|place| place.table < index);
            for place in plan[first..].iter().take_while(|place| place.table == index) {
                let own = &values[placed.start..placed.start + placed.cells()];
                let own = own.iter().skip(place.offset).step_by(placed.table.width);
                // Absent values are NaN as well.
                for value in own.filter(|value| !value.is_nan()) {
                    columns[place.gauge].get_mut(group).push(key(*value));
                }
            }
        }
    }
}

/// The gauges' places by catalog key, sorted by table.
type Plan = HashMap<u64, Vec<GaugePlace>>;

/// Where the values of a gauge are.
#[derive(Debug, Clone, Copy)]
struct GaugePlace {
    gauge: usize,
    table: usize,
    /// Index of the value in a row.
    offset: usize,
}

fn plan(gauges: &[GaugeFamily]) -> Plan {
    let mut plan = Plan::new();
    for (gauge, family) in gauges.iter().enumerate() {
        for member in &family.members {
            let place = GaugePlace { gauge, table: member.table, offset: member.offset };
            plan.entry(member.catalog).or_default().push(place);
        }
    }
    for places in plan.values_mut() {
        places.sort_unstable_by_key(|place| place.table);
    }
    plan
}

/// The groups (values of the label) found so far.
struct Groups<'a> {
    by: Option<&'a GroupLabel>,
    indices: HashMap<Box<str>, usize>,
}

impl<'a> Groups<'a> {
    fn new(by: Option<&'a GroupLabel>) -> Self {
        let all = by.is_none().then(|| ("".into(), 0));
        Self { by, indices: all.into_iter().collect() }
    }

    /// Returns the group of an agent with these labels.
    fn of(&mut self, labels: &str) -> Result<usize, NoAnswer> {
        match self.by {
            Some(by) => self.index_of(by, labels),
            None => Ok(0),
        }
    }

    fn index_of(&mut self, by: &GroupLabel, labels: &str) -> Result<usize, NoAnswer> {
        let value = static_labels(labels).find(|(name, _)| *name == by.as_str());
        let value = value.map_or(Cow::Borrowed(""), |(_, value)| value);
        if let Some(index) = self.indices.get(&*value) {
            return Ok(*index);
        }
        let index = self.indices.len();
        if index == MAX_GROUPS {
            return Err(NoAnswer::TooManyGroups(by.as_str().to_owned()));
        }
        self.indices.insert(value.into(), index);
        Ok(index)
    }

    /// Returns all groups, sorted by the value of the label.
    fn into_sorted(self) -> Vec<(Box<str>, usize)> {
        let mut groups: Vec<_> = self.indices.into_iter().collect();
        groups.sort_unstable();
        groups
    }
}

/// Returns an integer key of an `f64`; keys have the same order as the values.
pub(super) fn key(value: f64) -> i64 {
    flip_negative(value.to_bits().cast_signed())
}

/// Returns the `f64` that has this key.
pub(super) fn value(key: i64) -> f64 {
    f64::from_bits(flip_negative(key).cast_unsigned())
}

/// Flips all bits but the sign of negative values, which would otherwise sort in reverse. This
/// function is its own inverse.
fn flip_negative(bits: i64) -> i64 {
    bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
}
