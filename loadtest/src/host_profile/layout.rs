//! The patterns of all cells of a host, computed once for all hosts.

use super::HostProfile;
use super::cell::CellPattern;
use super::tables::TABLES;

/// The patterns of a profile, by table, row number and column.
#[derive(Debug)]
pub struct HostLayout {
    rows: [u32; TABLES.len()],
    tables: [Vec<CellPattern>; TABLES.len()],
}

impl HostLayout {
    /// Computes the patterns of a profile.
    #[must_use]
    pub fn new(profile: HostProfile) -> Self {
        let rows = profile.row_counts();
        let patterns = |table: usize| {
            let columns = 0..TABLES[table].columns();
            let row = |row| columns.clone().map(move |column| CellPattern::new(table, row, column));
            (0..rows[table]).flat_map(row).collect()
        };
        Self { rows, tables: std::array::from_fn(patterns) }
    }

    /// Returns the number of rows of each table without row churn.
    #[must_use]
    pub const fn rows(&self) -> [u32; TABLES.len()] {
        self.rows
    }

    /// Returns the patterns of a row, by column; empty if there is no such row.
    #[must_use]
    pub fn row(&self, table: usize, number: u32) -> &[CellPattern] {
        let columns = TABLES[table].columns();
        let first = number as usize * columns;
        self.tables[table].get(first..first + columns).unwrap_or_default()
    }
}
