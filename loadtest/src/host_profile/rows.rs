//! The label values of rows, and which rows a host has at a sequence number.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::cell::mix;
use super::tables::{MAX_ROW_LABELS, TABLES, TableSpec};
use crate::sim_values::is_number;

/// Digits of a row number, so that rows are in ascending order.
const ROW_DIGITS: usize = 3;
/// Hexadecimal digits of an agent number.
const AGENT_DIGITS: usize = 6;
/// One generation of a row in this many is absent, so that the number of rows changes, too.
const ABSENT_ONE_IN: u64 = 4;
/// Generations per report are counted in units of `1 / (1 << RATE_BITS)`. Sequence numbers are
/// below 2^30, so products of both fit 64 bits.
const RATE_BITS: u32 = 32;

/// A row of a table: its number, and how often it has been replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Number of the row in its table.
    pub number: u32,
    /// Number of earlier generations of the row; 0 in tables whose rows do not change.
    pub generation: u32,
}

impl TableSpec {
    /// Appends the label values of a row to `out`.
    pub fn push_row(&self, agent: u32, row: Row, out: &mut Vec<String>) {
        let Row { number, generation } = row;
        for (at, name) in self.row_labels.iter().enumerate() {
            out.push(match (at, *name, self.is_own) {
                (0, _, true) if generation > 0 => {
                    format!("{}{agent:06x}n{number:03}g{generation}", self.stem)
                }
                (0, _, true) => format!("{}{agent:06x}n{number:03}", self.stem),
                (0, _, false) => format!("{}{number:03}", self.stem),
                (_, "mountpoint", _) => format!("/srv/volumes/{agent:06x}-{number}"),
                (_, "fstype", _) => filesystem(number).to_owned(),
                _ => format!("platform_coretemp_{}", number / 16),
            });
        }
    }

    /// Returns the row of an agent that has these label values; `None` if they are of no row of the
    /// table and agent. Called for every line of a page, so it does not allocate.
    #[must_use]
    pub fn row_of(&self, agent: u32, values: &[&str; MAX_ROW_LABELS]) -> Option<Row> {
        if self.row_labels.is_empty() {
            return Some(Row { number: 0, generation: 0 });
        }
        let mut first = values[0].strip_prefix(self.stem)?;
        if self.is_own {
            first = after_agent(first, agent)?.strip_prefix('n')?;
        }
        let (digits, rest) = first.split_at_checked(ROW_DIGITS)?;
        let number = number_of(digits)?;
        let generation = match rest.strip_prefix('g') {
            None => rest.is_empty().then_some(0)?,
            Some(digits) if self.is_own && !digits.starts_with('0') => number_of(digits)?,
            Some(_) => return None,
        };
        let others = self.row_labels.iter().zip(values).skip(1);
        let is_own = |(name, value): (&&str, &&str)| match *name {
            "mountpoint" => value.strip_prefix("/srv/volumes/").is_some_and(|rest| {
                let rest = after_agent(rest, agent).and_then(|rest| rest.strip_prefix('-'));
                rest.is_some_and(|rest| is_number(rest, number))
            }),
            "fstype" => *value == filesystem(number),
            _ => {
                let rest = value.strip_prefix("platform_coretemp_");
                rest.is_some_and(|rest| is_number(rest, number / 16))
            }
        };
        others.into_iter().all(is_own).then_some(Row { number, generation })
    }
}

/// Type of the file system of a row.
const fn filesystem(row: u32) -> &'static str {
    ["ext4", "xfs", "tmpfs"][row as usize % 3]
}

/// Returns what follows an agent number in hexadecimal digits; `None` if it is another number.
fn after_agent(text: &str, agent: u32) -> Option<&str> {
    let (digits, rest) = text.split_at_checked(AGENT_DIGITS)?;
    let mut left = agent;
    for digit in digits.bytes().rev() {
        if digit != b"0123456789abcdef"[(left % 16) as usize] {
            return None;
        }
        left /= 16;
    }
    (left == 0).then_some(rest)
}

/// Parses a decimal number of at most nine digits.
fn number_of(digits: &str) -> Option<u32> {
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    digits.bytes().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'))
    })
}

/// How fast rows of devices are replaced, added and removed.
///
/// A row has generations, each with another name. All last the same number of reports on average.
/// One generation in four is absent. Rows of other tables do not change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowChurn {
    /// Generations per report, in units of `1 / (1 << RATE_BITS)`; 0 without churn.
    rate: u64,
}

impl RowChurn {
    /// Creates a churn of this many generations of each row of a device per report. `None` unless
    /// it is from 0 to 1.
    #[must_use]
    pub fn new(generations_per_report: f64) -> Option<Self> {
        let is_allowed = (0.0..=1.0).contains(&generations_per_report);
        // Rounded up, so that the slowest churn is not none.
        let rate = (generations_per_report * (1_u64 << RATE_BITS) as f64).ceil();
        is_allowed.then_some(Self { rate: rate as u64 })
    }

    /// Returns the row with this number in the report with this sequence number; `None` if the
    /// report has none.
    #[must_use]
    pub fn row_at(self, agent: u32, table: usize, number: u32, sequence: u64) -> Option<Row> {
        if !self.affects(table) {
            return Some(Row { number, generation: 0 });
        }
        let reports = sequence + self.phase(agent, table, number);
        let generation = ((reports * self.rate) >> RATE_BITS) as u32;
        let row = Row { number, generation };
        is_present(agent, table, row).then_some(row)
    }

    /// Returns the sequence numbers of the reports that have this row; `None` if none has it.
    #[must_use]
    pub fn sequences(self, agent: u32, table: usize, row: Row) -> Option<RangeInclusive<u64>> {
        if !self.affects(table) {
            return (row.generation == 0).then_some(0..=u64::MAX);
        }
        let begin = |generation: u64| (generation << RATE_BITS).div_ceil(self.rate);
        let (generation, phase) = (row.generation.into(), self.phase(agent, table, row.number));
        let end = begin(generation + 1).checked_sub(phase + 1)?;
        is_present(agent, table, row).then(|| begin(generation).saturating_sub(phase)..=end)
    }

    /// Returns whether rows of this table change.
    #[must_use]
    pub const fn affects(self, table: usize) -> bool {
        self.rate > 0 && TABLES[table].is_own
    }

    /// Phase of a row in reports. Spreads replacements, so that not all rows change in the same
    /// report.
    fn phase(self, agent: u32, table: usize, number: u32) -> u64 {
        let lifetime = (1_u64 << RATE_BITS).div_ceil(self.rate);
        mix(key(agent, table, number)) % lifetime
    }
}

fn is_present(agent: u32, table: usize, row: Row) -> bool {
    let hash = mix(mix(key(agent, table, row.number)) ^ u64::from(row.generation));
    !hash.is_multiple_of(ABSENT_ONE_IN)
}

fn key(agent: u32, table: usize, number: u32) -> u64 {
    u64::from(agent) << 32 | (table as u64) << 16 | u64::from(number)
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
