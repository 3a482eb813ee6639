//! The current rows and values of all sources.

use std::collections::HashSet;
use std::sync::Arc;

use fleetgauge_proto::Limits;
use fleetgauge_proto::report::ABSENT;
use fleetgauge_proto::rows::TableRows;

use super::found::FoundGroups;
use super::found_catalogs::FoundCatalogs;
use super::table_set::{Place, Shape};
use super::{Output, Sample, TableSet};
use crate::catalogs::Catalogs;

/// The current rows and values of the tables of all sources.
///
/// Values last for one round of readings, rows until their source answers again.
#[derive(Debug)]
pub struct TableState {
    set: TableSet,
    /// Names of the families of declared tables.
    declared: HashSet<&'static str>,
    tables: Vec<Table>,
    found: Vec<Found>,
    found_catalogs: FoundCatalogs,
    catalogs: Catalogs,
    /// Sources whose series are left out, because the agent would have too many.
    left_out: Vec<usize>,
}

/// A declared table.
#[derive(Debug)]
struct Table {
    shape: Shape,
    rows: Arc<TableRows>,
    values: Vec<f64>,
}

/// The samples that a source found in its last reading.
#[derive(Debug, Default)]
struct Found {
    groups: Arc<FoundGroups>,
    /// Values by position; empty if the source has not answered in this round.
    values: Vec<f64>,
}

impl TableState {
    /// Starts without rows and with absent values.
    #[must_use]
    pub fn new(set: TableSet) -> Self {
        let table = |shape: &Shape| {
            let cells = if shape.labels == 0 { shape.width } else { 0 };
            Table { shape: *shape, rows: Arc::default(), values: vec![ABSENT; cells] }
        };
        let found = set.places.iter().map(|_| Found::default()).collect();
        Self {
            declared: set.catalog().families.iter().map(|family| family.name).collect(),
            tables: set.shapes.iter().map(table).collect(),
            found,
            found_catalogs: FoundCatalogs::default(),
            catalogs: set.catalogs().clone(),
            left_out: Vec::new(),
            set,
        }
    }

    /// Begins a round: all values are absent.
    pub fn clear_values(&mut self) {
        for table in &mut self.tables {
            table.values.fill(ABSENT);
        }
        self.found.iter_mut().for_each(|found| found.values.clear());
    }

    /// Takes the finished reading of a source.
    pub fn set(&mut self, source: usize, output: &Output) {
        let Some(places) = self.set.places.get(source) else { return };
        for (place, written) in places.iter().zip(&output.tables) {
            match place {
                Place::Fixed(positions) => {
                    for (position, value) in positions.iter().zip(written.values().flatten()) {
                        self.tables[0].values[*position] = *value;
                    }
                }
                Place::Table(table) => {
                    let table = &mut self.tables[*table];
                    let rows = written.rows();
                    if !Arc::ptr_eq(&table.rows, rows) && table.rows != *rows {
                        table.rows = Arc::clone(rows);
                    }
                    table.values.clear();
                    written.values().for_each(|values| table.values.extend_from_slice(values));
                }
            }
        }
        let found = &mut self.found[source];
        found.groups = Arc::clone(output.found_groups());
        found.values.clear();
        found.values.extend_from_slice(output.found_values());
    }

    /// Returns the rows and values. If they exceed the limits of the collector, leaves out
    /// the sources with the most series.
    pub fn sample(&mut self, limits: &Limits) -> Sample {
        self.left_out = self.sources_over(limits);
        self.update_catalogs();
        let found_tables = self.found_catalogs.tables.len();
        let mut rows = Vec::with_capacity(self.tables.len() + found_tables);
        let declared = self.tables.iter().map(|table| table.values.len()).sum::<usize>();
        let mut values = Vec::with_capacity(declared + self.found_catalogs.values);
        let left_out = |index: usize| {
            let owns = |source: &usize| self.set.places[*source].contains(&Place::Table(index));
            self.left_out.iter().any(owns)
        };
        for (index, table) in self.tables.iter().enumerate() {
            if left_out(index) {
                rows.push(Arc::default());
                continue;
            }
            rows.push(Arc::clone(&table.rows));
            values.extend_from_slice(&table.values);
        }
        let first = values.len();
        rows.extend(self.found_catalogs.tables.iter().map(|table| Arc::clone(&table.rows)));
        values.resize(first + self.found_catalogs.values, ABSENT);
        for (found, places) in self.found.iter().zip(&self.found_catalogs.places) {
            for (value, place) in found.values.iter().zip(places) {
                if let Some(place) = place {
                    values[first + place] = *value;
                }
            }
        }
        Sample { rows, values }
    }

    /// Returns the catalogs of the last sample. Their number never falls.
    #[must_use]
    pub const fn catalogs(&self) -> &Catalogs {
        &self.catalogs
    }

    /// Returns the sources that the last sample leaves out, because the agent would have more
    /// series or label bytes than the collector accepts.
    #[must_use]
    pub fn left_out(&self) -> &[usize] {
        &self.left_out
    }

    /// Returns the families that the last sample leaves out, with the reasons.
    #[must_use]
    pub fn refused(&self) -> &[(Box<str>, String)] {
        &self.found_catalogs.refused
    }

    fn sources_over(&self, limits: &Limits) -> Vec<usize> {
        let mut sizes: Vec<_> = (0..self.found.len()).map(|source| self.size(source)).collect();
        let total = sizes.iter().fold(Size::default(), |total, size| total.plus(*size));
        if total.fits(limits) {
            return Vec::new();
        }
        let mut left_out = Vec::new();
        loop {
            let total = sizes.iter().fold(Size::default(), |total, size| total.plus(*size));
            let largest =
                sizes.iter().enumerate().max_by_key(|(_, size)| size.label_bytes.max(size.series));
            match largest {
                Some((source, size)) if !total.fits(limits) && *size != Size::default() => {
                    left_out.push(source);
                    sizes[source] = Size::default();
                }
                _ => return left_out,
            }
        }
    }

    /// Returns the size of a source's series, without those in tables without row labels.
    fn size(&self, source: usize) -> Size {
        let mut size = Size::default();
        for place in &self.set.places[source] {
            if let Place::Table(table) = place {
                let Table { rows, shape, .. } = &self.tables[*table];
                let series = rows.len() * shape.width;
                size = size.plus(Size { series, label_bytes: rows.label_bytes() });
            }
        }
        let groups = &self.found[source].groups;
        size.plus(Size { series: groups.samples(), label_bytes: groups.label_bytes() })
    }

    /// Makes the catalogs anew if a source found other families or samples than before.
    fn update_catalogs(&mut self) {
        let none = Arc::default();
        let groups = self.found.iter().enumerate().map(|(source, found)| {
            if self.left_out.contains(&source) { &none } else { &found.groups }
        });
        let groups: Vec<_> = groups.collect();
        if !self.found_catalogs.update(&groups, &self.declared) {
            return;
        }
        let mut messages = vec![self.set.catalog().clone()];
        let found_before = self.catalogs.by_slot().len() - 1;
        messages.extend(self.found_catalogs.messages(found_before));
        match Catalogs::try_new(messages) {
            Ok(catalogs) if catalogs != self.catalogs => self.catalogs = catalogs,
            Ok(_) => {}
            Err(violation) => {
                // Each family was checked alone. Together they may still contradict each other.
                tracing::warn!(%violation, "metrics left out");
                self.found_catalogs = FoundCatalogs::default();
                let mut messages = vec![self.set.catalog().clone()];
                messages.extend(self.found_catalogs.messages(found_before));
                if let Ok(catalogs) = Catalogs::try_new(messages) {
                    self.catalogs = catalogs;
                }
            }
        }
    }
}

/// Size of the series of a source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Size {
    series: usize,
    label_bytes: usize,
}

impl Size {
    const fn plus(self, other: Self) -> Self {
        let (series, label_bytes) =
            (self.series + other.series, self.label_bytes + other.label_bytes);
        Self { series, label_bytes }
    }

    const fn fits(self, limits: &Limits) -> bool {
        self.series <= limits.max_series as usize
            && self.series <= limits.max_values as usize
            && self.label_bytes <= limits.max_label_bytes as usize
    }
}
