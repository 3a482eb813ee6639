//! Tables of metrics: what sources declare, write and report.
//!
//! A source **owns** its tables. It declares their columns once ([`TableSpec`]), and in each
//! reading sets the rows that exist and their values ([`Output`]), in any order. [`TableSet`]
//! joins the tables of all sources into a catalog, and [`TableState`] the readings into a
//! [`Sample`]:
//!
//! | reading of the source | its rows | its values |
//! |---|---|---|
//! | has a row | there | as set; absent where not set |
//! | lacks a row | removed | |
//! | fails or is late | stay until the source answers again | absent |
//!
//! Tables without row labels have exactly one row. Those of all sources become one table, with the
//! columns in the order of the families.

#[cfg(test)]
pub(crate) mod exposition;
mod found;
mod found_catalogs;
mod found_layout;
mod output;
mod size;
mod spec;
mod state;
mod table_set;
mod texts;
mod writer;

pub(crate) use found::EXPORTED_PREFIX;
pub use found::FoundFamily;
pub use output::Output;
pub(crate) use size::{Excess, Size};
pub use spec::{ColumnSpec, TableSpec};
pub use state::TableState;
pub use table_set::TableSet;

use std::sync::Arc;

use fleetgauge_proto::rows::TableRows;

/// The rows and values of one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sample {
    /// Rows of each table, in the order of the catalogs' tables. Those of a table without row
    /// labels are ignored. Rows that did not change since the sample before are shared with it.
    pub rows: Vec<Arc<TableRows>>,
    /// Values by table, row and column.
    pub values: Vec<f64>,
}

#[cfg(test)]
mod tests;
