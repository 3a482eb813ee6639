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
    /// Its values, in order; an agent without it is in the group of the empty value.
    groups: Vec<(Box<str>, usize)>,
    gauges: Vec<(GaugeFamily, Vec<Keys>)>,
}

/// Values as keys, in no order.
type Keys = Vec<i64>;

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
        let mut gauges = registry.gauges();
        if let Some(family) = &question.family {
            gauges.retain(|gauge| *gauge.name == **family);
            if gauges.is_empty() {
                return Err(NoAnswer::UnknownFamily);
            }
        }
        let plan = plan(&gauges);
        let mut columns: Vec<Vec<Keys>> = gauges
            .iter()
            .map(|gauge| match &question.by {
                None => vec![Keys::with_capacity(gauge.series)],
                Some(_) => Vec::new(),
            })
            .collect();
        let mut groups = Groups::new(question.by.as_ref());
        let mut of_rows = Vec::new();
        let mut refused = None;
        registry.each_page(|schema, page| {
            let Some(wanted) = plan.get(&schema.key()).filter(|_| refused.is_none()) else {
                return;
            };
            refused = groups.find(page, &mut of_rows).err();
            for (gauge, offset) in wanted {
                let columns = &mut columns[*gauge];
                columns.resize_with(groups.numbers.len(), Vec::new);
                for (values, group) in page.values().zip(&of_rows) {
                    // What is absent is not a number either.
                    if !values[*offset].is_nan() {
                        columns[*group].push(key(values[*offset]));
                    }
                }
            }
        });
        if let Some(refused) = refused {
            return Err(refused);
        }
        let mut groups: Vec<_> = groups.numbers.into_iter().collect();
        groups.sort_unstable();
        Ok(Self {
            by: question.by.clone(),
            groups,
            gauges: gauges.into_iter().zip(columns).collect(),
        })
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
}

impl<'a> Groups<'a> {
    fn new(by: Option<&'a GroupLabel>) -> Self {
        let all = by.is_none().then(|| ("".into(), 0));
        Self { by, numbers: all.into_iter().collect() }
    }

    /// The numbers of these agents' groups.
    fn find(&mut self, page: View<'_>, numbers: &mut Vec<usize>) -> Result<(), NoAnswer> {
        numbers.clear();
        let Some(by) = self.by else {
            numbers.extend(page.values().map(|_| 0));
            return Ok(());
        };
        for labels in page.labels() {
            numbers.push(self.number_of(by, labels)?);
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
