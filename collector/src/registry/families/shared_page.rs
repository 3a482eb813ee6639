//! The families of one shared page: the shown ones, and those of catalogs that changed meanwhile.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use fleetgauge_proto::catalog::{Family, FamilyKind};

use super::{CatalogEntry, Declared, Families, Live};
use crate::exposition::FamilyHead;

/// A gauge family on the shared pages, and where its values are stored.
#[derive(Debug)]
pub struct GaugeFamily {
    /// Name of the family.
    pub name: Box<str>,
    /// Its unit in the first catalog that declared it; can be empty.
    pub unit: Box<str>,
    /// Its columns.
    pub members: Vec<GaugeMember>,
}

/// A column of a gauge.
#[derive(Debug, Clone, Copy)]
pub struct GaugeMember {
    /// Key of the catalog.
    pub catalog: u64,
    /// Index of the table in the catalog.
    pub table: usize,
    /// Index of the value in a row.
    pub offset: usize,
}

/// A family on the shared page.
#[derive(Debug)]
pub(in crate::registry) struct PageFamily {
    pub(in crate::registry) head: Arc<FamilyHead>,
    /// Catalog key, and index of the family in the catalog, for each member.
    pub(in crate::registry) members: Vec<(u64, usize)>,
}

/// A page under construction.
#[derive(Default)]
struct Page<'a> {
    families: BTreeMap<&'a str, (FamilyKind, PageFamily)>,
    /// Sample names of the families that [`Families::add`] has added to the page.
    added: HashSet<String>,
}

impl Families {
    /// Returns the logical time. Read it before the agents are copied, and pass it to
    /// [`Self::page`] as `begun`.
    pub(in crate::registry) fn moment(&self) -> u64 {
        self.moment
    }

    /// Returns the families of the shared page that have series in the `copied` catalogs, sorted by
    /// name. `begun` is the logical time before the copy.
    ///
    /// Since the copy, a family can have been removed, for example because its agent replaced the
    /// catalog. It is still shown if its names are free; otherwise the agent would be on no page.
    /// A family whose names had another kind before the copy stays suppressed, even if this page
    /// is a shard without the other family.
    pub(in crate::registry) fn page(
        &self,
        copied: &[&Arc<CatalogEntry>],
        begun: u64,
    ) -> Vec<PageFamily> {
        let copied: HashMap<u64, &CatalogEntry> =
            copied.iter().map(|catalog| (catalog.key(), &***catalog)).collect();
        let mut page = Page::default();
        let mut suppressed = Vec::new();
        for (name, kinds) in &self.declared {
            for declared in kinds {
                let members = declared.members.values().copied();
                let members: Vec<_> =
                    members.filter(|(catalog, _)| copied.contains_key(catalog)).collect();
                match &declared.shown {
                    _ if members.is_empty() => {}
                    Some(shown) => {
                        let head = Arc::clone(&shown.head);
                        page.families.insert(name, (declared.kind, PageFamily { head, members }));
                    }
                    None => suppressed.push(members),
                }
            }
        }
        suppressed.sort_unstable_by_key(|members| self.arrival(members[0]));
        for member in suppressed.into_iter().flatten() {
            self.add(&mut page, begun, copied[&member.0], member);
        }
        let mut departed: Vec<_> =
            copied.iter().filter(|(catalog, _)| !self.live.contains_key(catalog)).collect();
        departed.sort_unstable_by_key(|(key, _)| **key);
        for (key, catalog) in departed {
            for position in 0..catalog.catalog().families.len() {
                self.add(&mut page, begun, catalog, (*key, position));
            }
        }
        page.families.into_values().map(|(_, family)| family).collect()
    }

    fn arrival(&self, (catalog, position): (u64, usize)) -> Option<(u64, usize)> {
        Some((self.live.get(&catalog)?.arrival, position))
    }

    /// Adds a suppressed family to the page unless its names have another kind there.
    fn add<'a>(
        &'a self,
        page: &mut Page<'a>,
        begun: u64,
        catalog: &'a CatalogEntry,
        member: (u64, usize),
    ) {
        let family: &Family = &catalog.catalog().families[member.1];
        let kind = family.kind.filter(|kind| self.is_allowed(family, *kind));
        let Some(kind) = kind else { return };
        if let Some((own, on_page)) = page.families.get_mut(&*family.name) {
            if *own == kind {
                on_page.members.push(member);
            }
            return;
        }
        let contradicts = |owner: &str| {
            self.shown(owner).is_some_and(|(declared, shown)| {
                let same = *owner == *family.name && declared.kind == kind;
                !same && (shown.since <= begun || page.families.contains_key(owner))
            })
        };
        let means_something_else = |name: String| {
            let owner = self.sample_names.get(&name).and_then(|sample| sample.owner.as_deref());
            owner.is_some_and(contradicts) || page.added.contains(&name)
        };
        if family.sample_names().any(means_something_else) {
            return;
        }
        page.added.extend(family.sample_names());
        let head = Arc::new(FamilyHead::new(family, kind));
        page.families.insert(&family.name, (kind, PageFamily { head, members: vec![member] }));
    }

    /// Returns the gauges on the shared pages, sorted by name, with the columns that have no row
    /// labels; gauges without such columns are omitted. `only` selects one gauge with this name and
    /// all its columns.
    pub(in crate::registry) fn gauges(&self, only: Option<&str>) -> Vec<GaugeFamily> {
        let declared = match only {
            // A range does not visit the other families.
            Some(name) => {
                self.declared.range::<str, _>((Bound::Included(name), Bound::Included(name)))
            }
            None => self.declared.range::<str, _>(..),
        };
        declared.filter_map(|(name, kinds)| self.gauge(name, kinds, only.is_some())).collect()
    }

    /// Returns the gauge of this name; with `rows` also its columns that have row labels.
    fn gauge(&self, name: &str, kinds: &[Declared], rows: bool) -> Option<GaugeFamily> {
        let is_shown =
            |declared: &&Declared| declared.kind == FamilyKind::Gauge && declared.shown.is_some();
        let declared = kinds.iter().find(is_shown)?;
        let member = |(key, at): &(u64, usize)| Some((self.live.get(key)?, *at));
        let members: Vec<_> = declared.members.values().filter_map(member).collect();
        let (first, at) = members.first()?;
        let unit = first.catalog.catalog().families[*at].unit.clone();
        let mut gauge = GaugeFamily { name: name.into(), unit, members: Vec::new() };
        for (Live { catalog, .. }, at) in members {
            let tables = &catalog.catalog().tables;
            let is_wanted = |table: usize| rows || tables[table].row_labels.is_empty();
            let columns = catalog.plan().places(at).filter(|(table, _)| is_wanted(*table));
            let key = catalog.key();
            let member = |(table, offset)| GaugeMember { catalog: key, table, offset };
            gauge.members.extend(columns.map(member));
        }
        (!gauge.members.is_empty()).then_some(gauge)
    }
}
