//! Host profiles: how many series a simulated host has, in which tables, rows and values.
//!
//! A simulated agent stores neither rows nor values. Both are functions, so that the worker which
//! reports them and the judge which reads them from a page compute the same:
//!
//! - **Tables and columns** ([`tables`]) depend on nothing, so all agents share one catalog. A
//!   family's name holds its table and its number: the judge finds the column of a line without a
//!   map.
//! - **Rows** ([`rows`]) depend on the profile. Their label values depend on the agent and the row
//!   number, in tables of devices, or on the row number only, in tables such as `cpu` whose rows
//!   are alike on all hosts. With row churn, rows of devices are replaced, added and removed: which
//!   rows a report has, and their names, depend on agent, table, row number and sequence number.
//! - **Values** ([`cell`]) depend on agent, table, row and its generation, column and sequence
//!   number. The value of a cell starts at a hash of the cell and changes by a fixed step: counters
//!   rise, gauges rise or fall. A sixth of the values change with every report; on average a fifth
//!   change per report, as in pages of an idle node_exporter. A few series are absent a quarter of
//!   the time.
//!
//! The inverse of these functions gives the range of sequence numbers whose reports have a row or a
//! value. The judge ([`observed_hosts`](crate::judge::observed_hosts)) intersects the ranges of all
//! lines of an agent:
//!
//! | finding | how it shows |
//! |---|---|
//! | foreign | the value is not start + n * step of this agent, row and column |
//! | torn | the ranges of the values have no sequence number in common |
//! | removed row | the range of a row ends before that of the values begins |
//! | stale, future | the common range ends before, or starts after, what was written |
//! | incomplete, misplaced, duplicate | no report in the common range has these series |
//!
//! A value of another cell passes the first check by chance only: starts are 40-bit hashes.

pub mod cell;
pub mod layout;
pub mod rows;
pub mod tables;

use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::sim_values::NAMES;
use rows::{Row, RowChurn};
use tables::TABLES;

/// Number of a family of the first table, which has no row labels, whose values are never absent.
const LASTING_FAMILY: u32 = 0;

/// The series of a simulated host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostProfile {
    /// Six gauges
    #[default]
    Basic,
    /// About 500 series, like node_exporter on a virtual machine with 4 CPUs
    Node,
    /// About 2,500 series, like node_exporter on a server with 64 CPUs
    NodeLarge,
}

impl HostProfile {
    /// Returns the number of rows of each of [`TABLES`]. The basic profile has none of them.
    #[must_use]
    pub fn row_counts(self) -> [u32; TABLES.len()] {
        TABLES.each_ref().map(|table| match self {
            Self::Basic => 0,
            Self::Node => table.rows,
            Self::NodeLarge => table.rows_large,
        })
    }

    /// Returns the number of series of a host. Some values are absent at times, and with row churn
    /// some rows are, so a page shows at most as many.
    #[must_use]
    pub fn series(self) -> usize {
        if self == Self::Basic {
            return NAMES.len();
        }
        let rows = self.row_counts().into_iter().zip(&TABLES);
        rows.map(|(rows, table)| rows as usize * table.columns()).sum()
    }

    /// Returns the name of a sample that every host has once in every report.
    #[must_use]
    pub fn lasting_sample(self) -> String {
        match self {
            Self::Basic => NAMES[0].to_owned(),
            Self::Node | Self::NodeLarge => TABLES[0].sample_name(LASTING_FAMILY),
        }
    }

    /// Returns the resident memory of a collector per host, without scrapes, in bytes.
    #[must_use]
    pub fn collector_bytes(self) -> u64 {
        match self {
            Self::Basic => 1_024,
            Self::Node | Self::NodeLarge => 950 + self.series() as u64 * 133 / 10,
        }
    }
}

/// The hosts of a fleet: their series, and how fast their rows change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostModel {
    /// The series of a host.
    pub profile: HostProfile,
    /// How fast rows of devices are replaced, added and removed.
    pub churn: RowChurn,
}

impl HostModel {
    /// Creates a model in which this percentage of all rows of a host is replaced, added or removed
    /// per second. Only rows of devices change.
    ///
    /// # Errors
    /// The maximum percentage, if the given one exceeds it: a row changes at most once per report.
    pub fn try_new(
        profile: HostProfile,
        percent_per_second: f64,
        interval: Duration,
    ) -> Result<Self, f64> {
        let counts = profile.row_counts();
        let all: u32 = counts.iter().sum();
        let devices: u32 = counts
            .iter()
            .zip(&TABLES)
            .filter(|(_, table)| table.is_own)
            .map(|(rows, _)| rows)
            .sum();
        // Percentage at which every row of a device is replaced with every report.
        let max = if all == 0 {
            0.0
        } else {
            100.0 * f64::from(devices) / f64::from(all) / interval.as_secs_f64()
        };
        if percent_per_second == 0.0 {
            return Ok(Self { profile, churn: RowChurn::default() });
        }
        let churn = RowChurn::new(percent_per_second / max).ok_or(max)?;
        Ok(Self { profile, churn })
    }

    /// Returns the rows of a table in the report with this sequence number, in their order.
    pub fn rows(self, agent: u32, table: usize, sequence: u64) -> impl Iterator<Item = Row> {
        let numbers = 0..self.profile.row_counts()[table];
        numbers.filter_map(move |number| self.churn.row_at(agent, table, number, sequence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_churn_is_a_share_of_all_rows() {
        for (profile, percent, seconds) in [
            (HostProfile::Node, 1.0, 15),
            (HostProfile::Node, 1.0, 1),
            (HostProfile::NodeLarge, 0.5, 15),
        ] {
            let interval = Duration::from_secs(seconds);
            let model = HostModel::try_new(profile, percent, interval).unwrap();
            let (mut changes, mut all) = (0, 0);
            for (table, rows) in profile.row_counts().into_iter().enumerate() {
                let row = |number, sequence| model.churn.row_at(5, table, number, sequence);
                let every = (0..rows).flat_map(|number| (1..=1_000).map(move |s| (number, s)));
                changes +=
                    every.filter(|(number, s)| row(*number, *s) != row(*number, *s - 1)).count();
                all += rows;
            }
            let share = changes as f64 / (f64::from(all) * 10.0 * seconds as f64);
            assert!((0.85 * percent..=percent * 1.02).contains(&share), "{profile:?} {share}");
        }
    }

    #[test]
    fn too_much_row_churn_is_refused() {
        let interval = Duration::from_secs(15);
        let max = HostModel::try_new(HostProfile::Node, 100.0, interval).unwrap_err();
        assert!(HostModel::try_new(HostProfile::Node, max, interval).is_ok());
        assert_eq!(HostModel::try_new(HostProfile::Basic, 1.0, interval), Err(0.0));
        assert!(HostModel::try_new(HostProfile::Basic, 0.0, interval).is_ok());
    }

    #[test]
    fn lasting_sample_is_never_absent() {
        let (table, family) =
            tables::family_of_sample(&HostProfile::Node.lasting_sample()).unwrap();
        assert!(TABLES[table].row_labels.is_empty());
        let column = TABLES[table].column_of(family, None).unwrap();
        assert!(!cell::CellPattern::new(table, 0, column).is_intermittent());
    }

    #[test]
    fn hosts_have_about_as_many_series_as_stated() {
        assert!((475..=525).contains(&HostProfile::Node.series()));
        assert!((2_400..=2_600).contains(&HostProfile::NodeLarge.series()));
    }
}
