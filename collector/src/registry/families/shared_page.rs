//! The families of one shared page: the shown ones, and those of catalogs that changed meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use fleetgauge_proto::catalog::{Family, FamilyKind};

use super::meaning::{self, Meaning, can_be_counter, counter_of};
use super::{CatalogEntry, Declared, Families, Live, SampleName};
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
    /// Whether OpenMetrics shows a counter that is named as is as a counter.
    pub(in crate::registry) is_counter: bool,
    /// Catalog key, and index of the family in the catalog, for each member.
    pub(in crate::registry) members: Vec<(u64, usize)>,
}

/// A page under construction.
#[derive(Default)]
struct Page<'a> {
    families: BTreeMap<&'a str, (FamilyKind, PageFamily)>,
    /// Sample names of the families that [`Families::add`] has added to the page.
    added: HashMap<String, Meaning<'a>>,
}

impl PageFamily {
    fn new(head: Arc<FamilyHead>, members: Vec<(u64, usize)>) -> Self {
        Self { head, is_counter: false, members }
    }
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
                        page.families.insert(name, (declared.kind, PageFamily::new(head, members)));
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
        self.unite_counters(&mut page);
        page.families.into_values().map(|(_, family)| family).collect()
    }

    /// Moves the members of each counter that is named as is to the counter that means the same. If
    /// there is none on the page, it is shown as that counter unless its names are taken.
    fn unite_counters(&self, page: &mut Page<'_>) {
        let named = page
            .families
            .iter()
            .filter_map(|(name, (kind, _))| Some((*name, counter_of((name, *kind))?)));
        for (name, counter) in named.collect::<Vec<_>>() {
            if matches!(page.families.get(counter), Some((FamilyKind::Counter, _))) {
                let moved = page.families.remove(name).map(|(_, family)| family.members);
                if let Some((_, family)) = page.families.get_mut(counter) {
                    family.members.extend(moved.into_iter().flatten());
                }
                continue;
            }
            let is_own = meaning::OWN.contains(&(counter, FamilyKind::Counter));
            let is_taken = |name: &str| meaning::is_own(name) || self.is_on(page, name);
            let is_counter = is_own || can_be_counter(counter, is_taken);
            if let Some((_, family)) = page.families.get_mut(name) {
                family.is_counter = is_counter;
            }
        }
    }

    /// Whether a family on the page takes this name.
    fn is_on(&self, page: &Page<'_>, name: &str) -> bool {
        let owners = self.sample_names.get(name).into_iter().flat_map(SampleName::owners);
        page.added.contains_key(name)
            || owners.into_iter().any(|own| page.families.contains_key(own))
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
        let own = (&*family.name, kind);
        let contradicts = |owner: &str| {
            self.shown(owner).is_some_and(|(declared, shown)| {
                !meaning::is_same((owner, declared.kind), own)
                    && (shown.since <= begun || page.families.contains_key(owner))
            })
        };
        let means_something_else = |name: String| {
            let mut owners = self.sample_names.get(&name).into_iter().flat_map(SampleName::owners);
            owners.any(contradicts)
                || page.added.get(&name).is_some_and(|added| !meaning::is_same(*added, own))
        };
        if family.sample_names().any(means_something_else) {
            return;
        }
        page.added.extend(family.sample_names().map(|name| (name, own)));
        let head = Arc::new(FamilyHead::new(family, kind));
        page.families.insert(&family.name, (kind, PageFamily::new(head, vec![member])));
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
