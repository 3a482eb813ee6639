//! The values of the fleet's gauges, side by side.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{GroupLabel, MAX_GROUPS, NoAnswer, Question, Spread, bounds};
use crate::exposition::static_labels;
use crate::registry::{GaugeFamily, Registry, View};

/// All columns, by gauge and group.
#[derive(Debug)]
pub struct Columns {
    /// The label by which values are grouped.
    by: Option<GroupLabel>,
    /// Its values, in order, and their numbers; an agent without it is in the group of the empty value.
    groups: Vec<(Box<str>, usize)>,
    gauges: Vec<(GaugeFamily, OfGauge)>,
}

/// Values as keys, in no order.
type Keys = Vec<i64>;

/// The columns of one gauge, of the groups that have any value, by their numbers.
#[derive(Debug, Default)]
struct OfGauge(Vec<(usize, Keys)>);

impl OfGauge {
    fn find(&self, group: usize) -> Result<usize, usize> {
        self.0.binary_search_by_key(&group, |(number, _)| *number)
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
    /// The group's label and its value.
    pub group: Option<(&'a str, &'a str)>,
    unit: &'a str,
    keys: &'a [i64],
}

impl Column<'_> {
    /// Where its buckets end.
    #[must_use]
    pub fn bounds(&self) -> &'static [f64] {
        bounds::of_unit(self.unit)
    }

    /// How its values are spread.
    #[must_use]
    pub fn spread(&self) -> Spread {
        Spread::of(self.keys, self.bounds())
    }
}

impl Columns {
    /// Copies what is asked about from the registry as it is now.
    ///
    /// # Errors
    /// [`NoAnswer`]
    pub fn copy(registry: &Registry, question: &Question) -> Result<Self, NoAnswer> {
        let gauges = wanted(registry, question)?;
        let plan = plan(&gauges);
        let mut columns: Vec<OfGauge> = gauges.iter().map(|_| OfGauge::default()).collect();
        if question.by.is_none() {
            for (gauge, columns) in gauges.iter().zip(&mut columns) {
                columns.get_mut(0).reserve_exact(gauge.series);
            }
        }
        let mut groups = Groups::new(question.by.as_ref());
        let mut copied = Ok(());
        registry.each_page(|schema, page| {
            if let (Ok(()), Some(plan)) = (&copied, plan.get(&schema.key())) {
                copied = copy_page(page, plan, &mut groups, &mut columns);
            }
        });
        copied?;
        let groups = groups.into_sorted();
        let gauges = gauges.into_iter().zip(columns).collect();
        Ok(Self { by: question.by.clone(), groups, gauges })
    }

    /// The gauges, in the order of their names, and the columns of each that hold a value, in the order of their
    /// groups.
    pub fn gauges(&self) -> impl Iterator<Item = (&GaugeFamily, Vec<Column<'_>>)> {
        self.gauges.iter().map(|(gauge, columns)| {
            let columns = self.groups.iter().filter_map(|(value, number)| {
                let keys = columns.get(*number).filter(|keys| !keys.is_empty())?;
                let group = self.by.as_ref().map(|by| (by.as_str(), &**value));
                Some(Column { group, unit: &gauge.unit, keys })
            });
            (gauge, columns.collect())
        })
    }
}

/// The gauges that are asked about.
fn wanted(registry: &Registry, question: &Question) -> Result<Vec<GaugeFamily>, NoAnswer> {
    let gauges = registry.gauges(question.family.as_deref());
    if gauges.is_empty() && question.family.is_some() {
        return Err(NoAnswer::UnknownFamily);
    }
    Ok(gauges)
}

/// Adds a page's values to their columns.
fn copy_page(
    page: View<'_>,
    plan: &[(usize, usize)],
    groups: &mut Groups<'_>,
    columns: &mut [OfGauge],
) -> Result<(), NoAnswer> {
    groups.find(page)?;
    for (gauge, offset) in plan {
        for (values, group) in page.values().zip(&groups.of_rows) {
            // What is absent is not a number either.
            if !values[*offset].is_nan() {
                columns[*gauge].get_mut(*group).push(key(values[*offset]));
            }
        }
    }
    Ok(())
}

/// Which values of a row go where: gauge and offset, by the key of the schema.
fn plan(gauges: &[GaugeFamily]) -> HashMap<u64, Vec<(usize, usize)>> {
    let mut plan: HashMap<u64, Vec<(usize, usize)>> = HashMap::new();
    for (number, gauge) in gauges.iter().enumerate() {
        for (schema, offset) in &gauge.members {
            plan.entry(*schema).or_default().push((number, *offset));
        }
    }
    plan
}

/// The groups met so far.
struct Groups<'a> {
    by: Option<&'a GroupLabel>,
    numbers: HashMap<Box<str>, usize>,
    /// Those of the agents of the page that was looked at last.
    of_rows: Vec<usize>,
}

impl<'a> Groups<'a> {
    fn new(by: Option<&'a GroupLabel>) -> Self {
        let all = by.is_none().then(|| ("".into(), 0));
        Self { by, numbers: all.into_iter().collect(), of_rows: Vec::new() }
    }

    /// Finds the groups of these agents.
    fn find(&mut self, page: View<'_>) -> Result<(), NoAnswer> {
        self.of_rows.clear();
        let Some(by) = self.by else {
            self.of_rows.extend(page.values().map(|_| 0));
            return Ok(());
        };
        for labels in page.labels() {
            let number = self.number_of(by, labels)?;
            self.of_rows.push(number);
        }
        Ok(())
    }

    fn number_of(&mut self, by: &GroupLabel, labels: &str) -> Result<usize, NoAnswer> {
        let value = static_labels(labels).find(|(name, _)| *name == by.as_str());
        let value = value.map_or(Cow::Borrowed(""), |(_, value)| value);
        if let Some(number) = self.numbers.get(&*value) {
            return Ok(*number);
        }
        let number = self.numbers.len();
        if number == MAX_GROUPS {
            return Err(NoAnswer::TooManyGroups(by.as_str().to_owned()));
        }
        self.numbers.insert(value.into(), number);
        Ok(number)
    }

    /// All of them, by their values.
    fn into_sorted(self) -> Vec<(Box<str>, usize)> {
        let mut groups: Vec<_> = self.numbers.into_iter().collect();
        groups.sort_unstable();
        groups
    }
}

/// A value's bits as a number in whose order values are.
pub(super) fn key(value: f64) -> i64 {
    turn(value.to_bits().cast_signed())
}

/// The value of a key.
pub(super) fn value(key: i64) -> f64 {
    f64::from_bits(turn(key).cast_unsigned())
}

/// Below zero, bits rise as values fall.
fn turn(bits: i64) -> i64 {
    bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
}
