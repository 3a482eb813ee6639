//! The places of all cells of a host, computed once for all hosts.

use super::HostProfile;
use super::cell::Place;
use super::tables::TABLES;

/// The places of a profile, by table, row number and column.
#[derive(Debug)]
pub struct HostLayout {
    rows: [u32; TABLES.len()],
    tables: [Vec<Place>; TABLES.len()],
}

impl HostLayout {
    /// Computes the places of a profile.
    #[must_use]
    pub fn new(profile: HostProfile) -> Self {
        let rows = profile.row_counts();
        let places = |table: usize| {
            let columns = 0..TABLES[table].columns();
            let row = |row| columns.clone().map(move |column| Place::new(table, row, column));
            (0..rows[table]).flat_map(row).collect()
        };
        Self { rows, tables: std::array::from_fn(places) }
    }

    /// Returns the number of rows of each table without row churn.
    #[must_use]
    pub const fn rows(&self) -> [u32; TABLES.len()] {
        self.rows
    }

    /// Returns the places of a row, by column; empty if there is no such row.
    #[must_use]
    pub fn row(&self, table: usize, number: u32) -> &[Place] {
        let columns = TABLES[table].columns();
        let first = number as usize * columns;
        self.tables[table].get(first..first + columns).unwrap_or_default()
    }
}
