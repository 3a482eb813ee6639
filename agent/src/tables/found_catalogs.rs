//! The catalogs and rows of all families that sources found.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::message::{self, Catalog, Column, Family};
use fleetgauge_proto::rows::TableRows;
use fleetgauge_proto::{Limits, Violation};

use super::found::{EXPORTED_PREFIX, FoundGroup, FoundGroups, Labels};
use super::found_layout::{FamilySet, Layout};
use super::size::Size;
use super::writer::sorted_rows;

/// Maximum size of a help text, in bytes, so that a full catalog fits into a frame.
const MAX_HELP_BYTES: usize = 400;

/// The families that all sources found, as tables of catalogs.
///
/// A family that two sources found is one family with the samples of both. Families with a single
/// row and the same labels share a table; any other has its own.
#[derive(Debug, Default)]
pub(super) struct FoundCatalogs {
    /// What the tables were made of, by source.
    groups: Vec<Arc<FoundGroups>>,
    pub(super) tables: Vec<FoundTable>,
    /// For each source, the place of each sample among the values of all tables; `None` if it is
    /// left out.
    pub(super) places: Vec<Vec<Option<usize>>>,
    /// Number of values of all tables.
    pub(super) values: usize,
    /// Size of all tables.
    pub(super) size: Size,
    /// Limits of the collector that the catalogs were made for.
    limits: Limits,
    /// Label names that the families must not have.
    pinned_labels: Arc<[Box<str>]>,
    /// Families that are left out, with the reason, in the order of their names.
    pub(super) left_out: Vec<(Box<str>, String)>,
    /// Families that once had several rows, or other labels than those that they shared a table
    /// with. They keep their own table, so that a row more or less never changes the catalog.
    own_table: HashSet<Box<str>>,
    shared_before: BTreeMap<Box<str>, Labels>,
}

/// A table of found families: all columns have values for all rows.
#[derive(Debug)]
pub(super) struct FoundTable {
    /// Index of its catalog among those of found families.
    catalog: usize,
    families: Vec<FoundColumn>,
    row_labels: Vec<Box<str>>,
    pub(super) rows: Arc<TableRows>,
}

#[derive(Debug)]
struct FoundColumn {
    name: Box<str>,
    kind: FamilyKind,
    help: Box<str>,
}

/// A family of all sources: where its samples are.
struct Merged<'a> {
    group: &'a FoundGroup,
    /// Sources and positions of the samples, by their labels.
    samples: BTreeMap<&'a Labels, (usize, usize)>,
}

impl FoundCatalogs {
    /// Takes the samples of all sources. Returns whether anything changed. `declared` has the names
    /// of the families of declared tables, and of their samples.
    pub(super) fn update(
        &mut self,
        groups: &[&Arc<FoundGroups>],
        declared: &HashSet<String>,
        limits: &Limits,
    ) -> bool {
        let old = self.groups.iter();
        let has_same_limits = self.limits == *limits;
        if has_same_limits
            && groups.len() == old.len()
            && old.zip(groups).all(|(old, now)| Arc::ptr_eq(old, now))
        {
            return false;
        }
        self.limits = *limits;
        self.groups = groups.iter().map(|group| Arc::clone(group)).collect();
        self.build(declared);
        true
    }

    /// Sets the label names that the families must not have. Such a label is renamed as Prometheus
    /// renames those that it sets itself.
    pub(super) fn rename_labels(&mut self, pinned: &Arc<[Box<str>]>) {
        if self.pinned_labels != *pinned {
            self.pinned_labels = Arc::clone(pinned);
            // The next update makes all tables anew.
            self.groups.clear();
        }
    }

    /// Returns the catalogs of the tables, for slots 1 and up: at least `count`, the last ones
    /// empty if need be, because a session cannot have fewer catalogs than before.
    pub(super) fn messages(&self, count: usize) -> Vec<Catalog<'_>> {
        let mut catalogs: Vec<Catalog<'_>> = Vec::new();
        for table in &self.tables {
            if table.catalog == catalogs.len() {
                catalogs.push(empty_catalog());
            }
            let Some(catalog) = catalogs.last_mut() else { continue };
            let first = catalog.families.len();
            catalog.families.extend(table.families.iter().map(FoundColumn::message));
            let columns = (first..catalog.families.len()).map(column).collect();
            let row_labels = table.row_labels.iter().map(|name| &**name).collect();
            catalog.tables.push(message::Table { row_labels, columns });
        }
        catalogs.resize_with(count.max(catalogs.len()), empty_catalog);
        catalogs
    }

    fn build(&mut self, declared: &HashSet<String>) {
        let groups = std::mem::take(&mut self.groups);
        let old_tables = std::mem::take(&mut self.tables);
        self.places = groups.iter().map(|group| vec![None; group.samples()]).collect();
        (self.values, self.size, self.left_out) = (0, Size::default(), Vec::new());
        let merged = self.merge(&groups, declared);
        self.remember_tables(&merged);

        let layout = self.layout(&merged);
        let left_out =
            layout.left_out.iter().map(|(name, why)| ((*name).into(), (*why).to_owned()));
        self.left_out.extend(left_out);
        self.left_out.sort_unstable();
        for table in &layout.tables {
            self.add_table(table.catalog, &table.families, &merged);
        }
        self.share_rows(&old_tables);
        self.groups = groups;
    }

    /// Shares rows that did not change with the previous sample. The table of a family is found by
    /// its name: comparing all tables would be quadratic in the number of families.
    fn share_rows<'a>(&mut self, old_tables: &'a [FoundTable]) {
        let rows_of = |table: &'a FoundTable| table.names().map(|name| (name, &table.rows));
        let old_rows: HashMap<_, _> = old_tables.iter().flat_map(rows_of).collect();
        for table in &mut self.tables {
            let old = table.names().find_map(|name| old_rows.get(name));
            if let Some(same) = old.filter(|old| ***old == table.rows) {
                table.rows = Arc::clone(same);
            }
        }
    }

    /// Leaves out all families.
    pub(super) fn leave_out_all(&mut self, why: &str) {
        let families = self.tables.drain(..).flat_map(|table| table.families);
        self.left_out.extend(families.map(|family| (family.name, why.to_owned())));
        self.left_out.sort_unstable();
        self.places.iter_mut().flatten().for_each(|place| *place = None);
        (self.values, self.size) = (0, Size::default());
    }

    /// Places all families in tables and catalogs.
    fn layout<'a>(&self, merged: &BTreeMap<&'a str, Merged<'_>>) -> Layout<'a> {
        let mut shared: BTreeMap<&Labels, Vec<&'a str>> = BTreeMap::new();
        let mut own = Vec::new();
        for (name, family) in merged {
            match family.samples.first_key_value() {
                Some((labels, _)) if !self.own_table.contains(*name) => {
                    shared.entry(labels).or_default().push(name);
                }
                _ => own.push(vec![*name]),
            }
        }
        let mut layout = Layout::new(&self.limits);
        for names in shared.into_values().chain(own) {
            let members = names.iter().filter_map(|name| Some((*name, merged.get(name)?)));
            let labels = members.clone().next().map(|(_, family)| family.label_names());
            let labels = renamed(&labels.unwrap_or_default(), &self.pinned_labels);
            let row_labels = (labels.len(), labels.iter().map(|name| name.len()).sum());
            let families = members.map(|(name, family)| (name, name.len() + family.help().len()));
            layout.place(&FamilySet { families: families.collect(), row_labels });
        }
        layout
    }

    /// Merges the groups of all sources by family.
    fn merge<'a>(
        &mut self,
        groups: &'a [Arc<FoundGroups>],
        declared: &HashSet<String>,
    ) -> BTreeMap<&'a str, Merged<'a>> {
        let mut merged: BTreeMap<&str, Merged<'_>> = BTreeMap::new();
        let mut left_out = BTreeMap::new();
        for (source, group) in groups.iter().enumerate() {
            for (name, group) in &group.families {
                let (name, samples) = (&**name, BTreeMap::new());
                if declared.contains(name) {
                    left_out.insert(
                        name,
                        "the agent itself has a family or a sample of this name".to_owned(),
                    );
                    continue;
                }
                let family = merged.entry(name).or_insert(Merged { group, samples });
                if family.group.kind != group.kind {
                    let why = "two sources have this family with different types";
                    left_out.insert(name, why.to_owned());
                    continue;
                }
                for (labels, position) in &group.samples {
                    family.samples.entry(labels).or_insert((source, *position));
                }
            }
        }
        merged.retain(|name, family| match family.check(name, &self.pinned_labels) {
            Ok(()) => true,
            Err(violation) => {
                left_out.insert(name, violation.to_string());
                false
            }
        });
        self.left_out = left_out.into_iter().map(|(name, why)| (name.into(), why)).collect();
        merged
    }

    /// Notes which families cannot share a table any more.
    fn remember_tables(&mut self, merged: &BTreeMap<&str, Merged<'_>>) {
        for (name, family) in merged {
            let mut labels = family.samples.keys();
            let (first, has_more) = (labels.next(), labels.next().is_some());
            let before = self.shared_before.get(*name);
            if has_more || before.is_some_and(|before| Some(&before) != first) {
                self.own_table.insert((*name).into());
                self.shared_before.remove(*name);
            } else if let Some(labels) = first
                && before.is_none()
            {
                self.shared_before.insert((*name).into(), (*labels).clone());
            }
        }
        self.own_table.retain(|name| merged.contains_key(&**name));
        self.shared_before.retain(|name, _| merged.contains_key(&**name));
    }

    fn add_table(&mut self, catalog: usize, names: &[&str], merged: &BTreeMap<&str, Merged<'_>>) {
        let members: Vec<_> = names.iter().filter_map(|name| merged.get(name)).collect();
        let Some(first) = members.first() else { return };
        let row_labels = first.label_names();
        let mut rows: Vec<(Vec<&str>, &Labels)> =
            first.samples.keys().map(|labels| (values(labels, &row_labels), *labels)).collect();
        rows.sort_unstable();
        for (row, (_, labels)) in rows.iter().enumerate() {
            for (column, member) in members.iter().enumerate() {
                if let Some((source, position)) = member.samples.get(labels) {
                    let place = self.values + row * members.len() + column;
                    self.places[*source][*position] = Some(place);
                }
            }
        }
        let has_labels = !row_labels.is_empty();
        self.values += if has_labels { rows.len() } else { 1 } * members.len();
        let texts = rows.iter().flat_map(|(texts, _)| texts.iter().copied()).collect();
        let rows =
            if has_labels { sorted_rows(row_labels.len(), texts) } else { Default::default() };
        let columns = members.len();
        let size = Size::of_rows(columns, columns, row_labels.len(), &rows);
        self.size = self.size.plus(Size { columns, ..size });
        self.tables.push(FoundTable {
            catalog,
            families: names
                .iter()
                .zip(&members)
                .map(|(name, member)| member.column(name))
                .collect(),
            row_labels: renamed(&row_labels, &self.pinned_labels),
            rows: Arc::new(rows),
        });
    }
}

impl FoundTable {
    /// Iterates over the names of its families.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.families.iter().map(|family| &*family.name)
    }
}

impl Merged<'_> {
    /// Returns the names of all labels of its samples.
    fn label_names(&self) -> Vec<&str> {
        let labels = self.samples.keys().flat_map(|labels| labels.iter());
        let names: BTreeSet<&str> = labels.map(|(name, _)| &**name).collect();
        names.into_iter().collect()
    }

    /// Checks the family as a collector does.
    fn check(&self, name: &str, pinned: &[Box<str>]) -> Result<(), Violation> {
        let found = self.column(name);
        let columns = vec![column(0)];
        let row_labels = renamed(&self.label_names(), pinned);
        let row_labels = row_labels.iter().map(|name| &**name).collect();
        let tables = vec![message::Table { row_labels, columns }];
        let families = vec![found.message()];
        let catalog = Catalog { stream: 0, slot: 0, families, tables };
        fleetgauge_proto::Catalog::try_new(&catalog, &Limits::default()).map(drop)
    }

    fn column(&self, name: &str) -> FoundColumn {
        FoundColumn { name: name.into(), kind: self.group.kind, help: self.help().into() }
    }

    fn help(&self) -> &str {
        let help = &self.group.help;
        &help[..help.floor_char_boundary(MAX_HELP_BYTES)]
    }
}

impl FoundColumn {
    fn message(&self) -> Family<'_> {
        Family { name: &self.name, kind: self.kind as u8, unit: "", help: &self.help }
    }
}

/// Returns label names, with a prefix before those that are `pinned`.
fn renamed(names: &[&str], pinned: &[Box<str>]) -> Vec<Box<str>> {
    let is_pinned = |name: &str| pinned.iter().any(|pinned| **pinned == *name);
    let mut all: Vec<Box<str>> = Vec::new();
    for name in names {
        let mut new = String::from(*name);
        if is_pinned(name) {
            while is_pinned(&new) || names.contains(&&*new) || all.iter().any(|one| **one == *new) {
                new.insert_str(0, EXPORTED_PREFIX);
            }
        }
        all.push(new.into());
    }
    all
}

fn empty_catalog<'a>() -> Catalog<'a> {
    Catalog { stream: 0, slot: 0, families: Vec::new(), tables: Vec::new() }
}

/// Returns the column of the family with this index.
fn column(family: usize) -> Column<'static> {
    let family = u32::try_from(family).unwrap_or(u32::MAX);
    Column { family, width: 1, decimals: 0, parameters: Vec::new(), labels: Vec::new() }
}

/// Returns the values of these labels; empty where a label is missing.
fn values<'a>(labels: &'a Labels, names: &[&str]) -> Vec<&'a str> {
    let value = |name: &&str| {
        let label = labels.binary_search_by(|(own, _)| (**own).cmp(name));
        label.ok().and_then(|at| labels.get(at)).map_or("", |(_, value)| &**value)
    };
    names.iter().map(value).collect()
}
