//! The current rows and values of all sources.

use std::sync::Arc;

use fleetgauge_proto::report::ABSENT;
use fleetgauge_proto::rows::TableRows;

use super::table_set::{Place, Shape};
use super::{Readout, Sample, TableSet};

/// The current rows and values of the tables of all sources.
///
/// Values last for one round of readings, rows until their source answers again.
#[derive(Debug)]
pub struct TableState {
    /// Places of the tables of each source.
    places: Vec<Vec<Place>>,
    tables: Vec<Table>,
}

#[derive(Debug)]
struct Table {
    shape: Shape,
    rows: Arc<TableRows>,
    values: Vec<f64>,
}

impl TableState {
    /// Starts without rows and with absent values.
    #[must_use]
    pub fn new(set: &TableSet) -> Self {
        let table = |shape: &Shape| {
            let cells = if shape.labels == 0 { shape.width } else { 0 };
            Table { shape: *shape, rows: Arc::default(), values: vec![ABSENT; cells] }
        };
        Self { places: set.places.clone(), tables: set.shapes.iter().map(table).collect() }
    }

    /// Begins a round: all values are absent.
    pub fn clear_values(&mut self) {
        for table in &mut self.tables {
            table.values.fill(ABSENT);
        }
    }

    /// Takes the reading of a source.
    pub fn set(&mut self, source: usize, readout: Readout) {
        let Some(places) = self.places.get(source) else { return };
        for (place, (rows, values)) in places.iter().zip(readout.tables) {
            match place {
                Place::Fixed(positions) => {
                    for (position, value) in positions.iter().zip(values) {
                        self.tables[0].values[*position] = value;
                    }
                }
                Place::Table(table) => self.tables[*table].replace(rows, values),
            }
        }
    }

    /// Returns the rows and values.
    #[must_use]
    pub fn sample(&self) -> Sample {
        Sample {
            rows: self.tables.iter().map(|table| table.rows.clone()).collect(),
            values: self.tables.iter().flat_map(|table| &table.values).copied().collect(),
        }
    }
}

impl Table {
    fn replace(&mut self, rows: TableRows, values: Vec<f64>) {
        debug_assert_eq!(values.len(), rows.len() * self.shape.width);
        if *self.rows != rows {
            self.rows = Arc::new(rows);
        }
        self.values = values;
    }
}
