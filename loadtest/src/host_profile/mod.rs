//! Host profiles: how many series a simulated host has, in which tables, rows and values.
//!
//! A simulated agent stores neither rows nor values. Both are functions, so that the worker which
//! reports them and the judge which reads them from a page compute the same:
//!
//! - **Tables and columns** ([`tables`]) depend on nothing, so all agents share one catalog. A
//!   family's name holds its table and its number: the judge finds the column of a line without a
//!   map.
//! - **Rows** depend on the profile. Their label values depend on the agent and the row number, in
//!   tables of devices, or on the row number only, in tables such as `cpu` whose rows are alike on
//!   all hosts. The row number ends the first label value.
//! - **Values** ([`cell`]) depend on agent, table, row, column and sequence number. A value starts
//!   at a number that is its own and rises by a fixed step at every change. A sixth of the values
//!   changes with every report and the others rarely or never, together a fifth, as in pages of an
//!   idle node_exporter.
//!
//! The inverse of a value function gives the range of sequence numbers whose reports have this
//! value. The judge intersects the ranges of all values of an agent:
//!
//! | finding | how it shows |
//! |---|---|
//! | foreign or misplaced | the value is not start + n * step of this agent, row and column |
//! | torn | the ranges have no sequence number in common |
//! | stale, future | the common range ends before, or starts after, what was written |
//! | missing, duplicate | the number of series differs; of a sampled agent, the set of cells |
//!
//! A value of another cell passes the first check by chance only: starts are 40-bit hashes.

pub mod cell;
pub mod tables;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use tables::TABLES;

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

    /// Returns the number of series of a host in [`TABLES`].
    #[must_use]
    pub fn series(self) -> usize {
        let rows = self.row_counts().into_iter().zip(&TABLES);
        rows.map(|(rows, table)| rows as usize * table.columns()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_about_as_many_series_as_stated() {
        assert!((475..=525).contains(&HostProfile::Node.series()));
        assert!((2_400..=2_600).contains(&HostProfile::NodeLarge.series()));
    }
}
