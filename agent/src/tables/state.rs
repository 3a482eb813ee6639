//! The current rows and values of all sources.

use std::collections::HashSet;
use std::sync::Arc;

use fleetgauge_proto::Limits;
use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::message::Family;
use fleetgauge_proto::report::ABSENT;
use fleetgauge_proto::rows::TableRows;

use super::found::FoundGroups;
use super::found_catalogs::FoundCatalogs;
use super::size::{self, Excess, Size};
use super::table_set::{Place, Shape};
use super::{Output, Sample, TableSet};
use crate::catalogs::Catalogs;

/// The current rows and values of the tables of all sources.
///
/// Values last for one round of readings, rows until their source answers again.
#[derive(Debug)]
pub struct TableState {
    set: TableSet,
    /// Names of the families of declared tables, and of their samples.
    declared: HashSet<String>,
    tables: Vec<Table>,
    found: Vec<Found>,
    found_catalogs: FoundCatalogs,
    catalogs: Catalogs,
    /// Size of all columns, and of the series of the table without row labels.
    fixed: Size,
    /// Upper bound of the size of each source's other series.
    sizes: Vec<Size>,
    /// Size of the rows in each source's declared tables.
    declared_sizes: Vec<Size>,
    /// The samples of a source that is left out: none. Always the same, so that catalogs are not
    /// made anew.
    no_groups: Arc<FoundGroups>,
    /// Sources whose series are left out, because the agent would have too many.
    left_out: Vec<usize>,
    /// The limit that all series together exceed.
    excess: Option<Excess>,
    /// Sizes and limits for which the sources to leave out were chosen.
    chosen_for: Option<(Vec<Size>, Limits)>,
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
            declared: set.catalog().families.iter().flat_map(sample_names).collect(),
            tables: set.shapes.iter().map(table).collect(),
            found,
            found_catalogs: FoundCatalogs::default(),
            catalogs: set.catalogs().clone(),
            fixed: fixed_size(set.catalogs()),
            sizes: vec![Size::default(); set.places.len()],
            declared_sizes: vec![Size::default(); set.places.len()],
            no_groups: Arc::default(),
            left_out: Vec::new(),
            excess: None,
            chosen_for: None,
            set,
        }
    }

    /// Begins a round: all values are absent, but for those that sources from index `kept` on
    /// found.
    pub fn clear_values(&mut self, kept: usize) {
        for table in &mut self.tables {
            table.values.fill(ABSENT);
        }
        self.found.iter_mut().take(kept).for_each(|found| found.values.clear());
    }

    /// Makes the values that a source found absent. The samples keep their places, so that a source
    /// that fails and recovers changes no catalogs.
    pub fn clear(&mut self, source: usize) {
        if let Some(found) = self.found.get_mut(source) {
            found.values.clear();
        }
    }

    /// Takes the finished reading of a source.
    pub fn set(&mut self, source: usize, output: &Output) {
        let Some(places) = self.set.places.get(source) else { return };
        let mut has_changed = false;
        for (place, written) in places.iter().zip(&output.tables) {
            match place {
                Place::Fixed(positions) => {
                    for (position, value) in positions.iter().zip(written.values().flatten()) {
                        self.tables[0].values[*position] = *value;
                    }
                }
                Place::Table(table) => {
                    let table = &mut self.tables[*table];
                    if !Arc::ptr_eq(&table.rows, written.rows()) && table.rows != *written.rows() {
                        table.rows = Arc::clone(written.rows());
                        has_changed = true;
                    }
                    table.values.clear();
                    written.values().for_each(|values| table.values.extend_from_slice(values));
                }
            }
        }
        let found = &mut self.found[source];
        has_changed |= !Arc::ptr_eq(&found.groups, output.found_groups());
        found.groups = Arc::clone(output.found_groups());
        found.values.clear();
        found.values.extend_from_slice(output.found_values());
        if has_changed {
            let declared = self.declared_size(source);
            self.declared_sizes[source] = declared;
            self.sizes[source] = declared.plus(self.found[source].groups.size());
        }
    }

    /// Renames the labels of found families that have these names.
    pub(crate) fn rename_labels(&mut self, names: &Arc<[Box<str>]>) {
        self.found_catalogs.rename_labels(names);
    }

    /// Returns the rows and values, without those of sources that do not fit the limits.
    pub fn sample(&mut self, limits: &Limits) -> Sample {
        self.fit(limits);
        self.fitted_sample()
    }

    /// Chooses the sources to leave out, so that the others do not exceed the limits of the
    /// collector: those with the most series or labels. Makes the catalogs of found families.
    pub(crate) fn fit(&mut self, limits: &Limits) {
        let is_chosen = self
            .chosen_for
            .as_ref()
            .is_some_and(|(sizes, chosen_limits)| *sizes == self.sizes && chosen_limits == limits);
        if !is_chosen {
            self.left_out = size::sources_over(self.fixed, &self.sizes, limits);
            let all = self.sizes.iter().fold(self.fixed, |sum, size| sum.plus(*size));
            self.excess = all.excess(limits);
            self.chosen_for = Some((self.sizes.clone(), *limits));
        }
        // A family that several sources found can be larger than the sum of their parts, because
        // all its rows have all labels.
        loop {
            self.update_catalogs(limits);
            let Some(excess) = self.fitted_size().excess(limits) else { return };
            let sizes = self.sizes.iter().enumerate();
            let reported = sizes.filter(|(source, _)| !self.left_out.contains(source));
            let Some((largest, _)) = size::largest(reported, excess) else { return };
            self.left_out.push(largest);
            self.excess.get_or_insert(excess);
        }
    }

    /// Returns the rows and values of the sources that are not left out.
    pub(crate) fn fitted_sample(&self) -> Sample {
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
    pub fn families_left_out(&self) -> &[(Box<str>, String)] {
        &self.found_catalogs.left_out
    }

    /// Returns the samples that a source found, as text.
    #[cfg(test)]
    pub(crate) fn found_lines(&self, source: usize) -> Vec<String> {
        let Found { groups, values } = &self.found[source];
        super::exposition::found_lines(groups, values)
    }

    /// Returns the limit that all sources together exceed, so that some are left out.
    pub(crate) const fn excess(&self) -> Option<Excess> {
        self.excess
    }

    /// Returns the number of series of a source, without those in tables without row labels.
    pub(crate) fn series(&self, source: usize) -> usize {
        self.sizes.get(source).map_or(0, |size| size.series)
    }

    /// Returns the size of what is not left out.
    fn fitted_size(&self) -> Size {
        let mut size = self.fixed.plus(self.found_catalogs.size);
        for (source, declared) in self.declared_sizes.iter().enumerate() {
            if !self.left_out.contains(&source) {
                size = size.plus(*declared);
            }
        }
        size
    }

    /// Returns the size of the rows in a source's declared tables.
    fn declared_size(&self, source: usize) -> Size {
        let tables = self.set.places[source].iter().filter_map(|place| match place {
            Place::Table(table) => self.tables.get(*table),
            Place::Fixed(_) => None,
        });
        tables.map(Table::size).fold(Size::default(), Size::plus)
    }

    /// Makes the catalogs anew if a source found other families or samples than before.
    fn update_catalogs(&mut self, limits: &Limits) {
        let groups = self.found.iter().enumerate().map(|(source, found)| {
            if self.left_out.contains(&source) { &self.no_groups } else { &found.groups }
        });
        let groups: Vec<_> = groups.collect();
        if !self.found_catalogs.update(&groups, &self.declared, limits) {
            return;
        }
        let mut messages = vec![self.set.catalog().clone()];
        let found_before = self.catalogs.by_slot().len() - 1;
        messages.extend(self.found_catalogs.messages(found_before));
        match Catalogs::try_new(messages) {
            Ok(catalogs) if catalogs != self.catalogs => self.catalogs = catalogs,
            Ok(_) => {}
            Err(violation) => {
                // Each family was checked alone, and catalogs have room for those placed in them:
                // this is a bug. It must not cost the declared tables.
                debug_assert!(false, "catalogs of found families: {violation}");
                self.found_catalogs.leave_out_all(&violation.to_string());
                let mut messages = vec![self.set.catalog().clone()];
                messages.extend(self.found_catalogs.messages(found_before));
                if let Ok(catalogs) = Catalogs::try_new(messages) {
                    self.catalogs = catalogs;
                }
            }
        }
    }
}

impl Table {
    fn size(&self) -> Size {
        let Shape { labels, width, columns } = self.shape;
        Size::of_rows(columns, width, labels, &self.rows)
    }
}

/// Returns the names that a family reserves on the collector's page: `x_total` of a counter `x`.
fn sample_names(family: &Family<'static>) -> impl Iterator<Item = String> + use<> {
    let (kind, name) = (FamilyKind::from_u8(family.kind), family.name);
    kind.into_iter().flat_map(|kind| kind.sample_names(name))
}

/// Returns the size of all columns, and of the series of tables without row labels.
fn fixed_size(catalogs: &Catalogs) -> Size {
    let none = TableRows::default();
    let tables = catalogs.tables().iter().map(|table| Size::of_table(table, &none));
    tables.fold(Size::default(), Size::plus)
}
