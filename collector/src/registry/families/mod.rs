//! Metric families on the shared pages: which catalog defines a sample name.
//!
//! A sample name has one kind. The first catalog that declares a family owns its sample names and
//! their kind, as long as any agent with that family and kind is connected. A family of another
//! kind is suppressed and waits. When the names become free, the waiting families are tried in the
//! order of arrival.
//!
//! The sample names of the agent's built-in families and of the collector's process are reserved,
//! and the operator can set the kind of any family. A family that disagrees is suppressed, even if
//! it came first.
//!
//! Families of one name and kind are shown or suppressed together, so they are stored as one. A
//! counter and a counter named as is can also [mean the same](meaning::is_same): both can own a
//! sample name, and a page shows them as one family.
//! Adding or removing a catalog costs time in proportion to its own size.

mod meaning;
mod shared_page;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use fleetgauge_proto::built_in;
use fleetgauge_proto::catalog::{Family, FamilyKind};

use super::catalogs::CatalogEntry;
use super::layout::Layout;
use crate::exposition::FamilyHead;

use meaning::Meaning;
pub(super) use meaning::{can_be_counter, counter_of};
pub use shared_page::GaugeFamily;

/// Memory of a sample name without its text, in bytes. A map can be half empty after growth, and
/// has one byte of control data for each slot. Most names have at most one waiting family, in an
/// array of capacity four.
pub(super) const NAME_BYTES: usize =
    2 * (size_of::<(String, SampleName)>() + 1) + 4 * size_of::<(Box<str>, FamilyKind)>();

/// Bytes of a family that no other catalog declares, without its texts: a slot in a tree that can
/// be half empty, an array of capacity four, a tree node of eleven, and its metadata lines.
pub(super) const DECLARED_BYTES: usize = 2 * size_of::<(Box<str>, Vec<Declared>)>()
    + 4 * size_of::<Declared>()
    + 11 * size_of::<(u64, (u64, usize))>()
    + size_of::<[usize; 4]>()
    + size_of::<FamilyHead>()
    + size_of::<[usize; 2]>();

/// Kinds that the operator has set for families, by family name.
pub type ConfiguredKinds = HashMap<String, FamilyKind>;

#[derive(Debug, Default)]
pub(super) struct Families {
    configured_kinds: ConfiguredKinds,
    /// Name and kind of the built-in family, or family of the collector itself, that owns a sample
    /// name.
    reserved: HashMap<String, Meaning<'static>>,
    /// Families of live catalogs, in page order; for each name, one for each declared kind.
    declared: BTreeMap<Box<str>, Vec<Declared>>,
    sample_names: HashMap<String, SampleName>,
    /// Catalogs with connected agents, by key.
    live: HashMap<u64, Live>,
    /// Number of times that a catalog got its first agent; the order of arrival.
    arrivals: u64,
    /// Logical clock: counts the families that got their names.
    moment: u64,
    /// Number of suppressed families of live catalogs.
    suppressed: usize,
}

/// All families of one name and kind.
#[derive(Debug)]
struct Declared {
    kind: FamilyKind,
    /// How the family is shown on the shared pages; `None` if it is suppressed.
    shown: Option<Shown>,
    /// Live catalogs with this family, by arrival: catalog key, and index of the family in the
    /// catalog.
    members: BTreeMap<u64, (u64, usize)>,
}

#[derive(Debug)]
struct Shown {
    /// Logical time since which the family owns its sample names.
    since: u64,
    head: Arc<FamilyHead>,
}

/// The owners of a sample name, and the families that wait for it.
#[derive(Debug, Default)]
struct SampleName {
    /// Names of the shown families that own the sample name. Two of them mean the same: a counter
    /// `x`, and a counter named as is `x_total`.
    owners: [Option<Box<str>>; 2],
    /// Waiting families: at most eight, because few family names yield the same sample name.
    waiting: Vec<(Box<str>, FamilyKind)>,
}

impl SampleName {
    fn owners(&self) -> impl Iterator<Item = &str> {
        self.owners.iter().flatten().map(|owner| &**owner)
    }

    fn add_owner(&mut self, name: &str) {
        if let Some(free) = self.owners.iter_mut().find(|owner| owner.is_none()) {
            *free = Some(name.into());
        }
    }

    fn remove_owner(&mut self, name: &str) {
        for owner in self.owners.iter_mut().filter(|owner| owner.as_deref() == Some(name)) {
            *owner = None;
        }
    }

    fn is_unused(&self) -> bool {
        self.owners().next().is_none() && self.waiting.is_empty()
    }
}

#[derive(Debug)]
struct Live {
    catalog: Arc<CatalogEntry>,
    arrival: u64,
    agents: usize,
}

impl Declared {
    /// Returns the family's first member, and the arrival number of that member's catalog.
    fn first(&self) -> Option<(u64, (u64, usize))> {
        self.members.first_key_value().map(|(arrival, member)| (*arrival, *member))
    }
}

impl Families {
    pub(super) fn new(configured_kinds: ConfiguredKinds) -> Self {
        let built_in =
            built_in::families().filter(|(name, _)| !configured_kinds.contains_key(*name));
        // The operator cannot change the kinds of the collector's own families.
        let families: Vec<_> = built_in.chain(meaning::OWN).collect();
        // OpenMetrics shows a counter that is named as is without `_total`.
        let counters = families.iter().filter_map(|family| counter_of(*family));
        let counters = counters
            .filter(|name| !configured_kinds.contains_key(*name))
            .map(|name| (name, FamilyKind::Counter));
        let mut reserved = HashMap::new();
        for (name, kind) in families.iter().copied().chain(counters) {
            for sample in kind.sample_names(name) {
                reserved.entry(sample).or_insert((name, kind));
            }
        }
        Self { reserved, configured_kinds, ..Self::default() }
    }

    /// Adds an agent with this layout. Returns its catalogs that no other agent has.
    pub(super) fn join(&mut self, layout: &Layout) -> Vec<Arc<CatalogEntry>> {
        layout.catalogs().filter(|catalog| self.join_catalog(catalog)).cloned().collect()
    }

    fn join_catalog(&mut self, catalog: &Arc<CatalogEntry>) -> bool {
        if let Some(live) = self.live.get_mut(&catalog.key()) {
            live.agents += 1;
            return false;
        }
        self.arrivals += 1;
        let arrival = self.arrivals;
        self.live.insert(catalog.key(), Live { catalog: Arc::clone(catalog), arrival, agents: 1 });
        for (position, family) in catalog.catalog().families.iter().enumerate() {
            if let Some(kind) = family.kind {
                self.declare(arrival, (catalog.key(), position), family, kind);
            }
        }
        true
    }

    /// Removes an agent with this layout.
    pub(super) fn leave(&mut self, layout: &Layout) {
        for catalog in layout.catalogs() {
            self.leave_catalog(catalog);
        }
    }

    fn leave_catalog(&mut self, catalog: &CatalogEntry) {
        let Some(live) = self.live.get_mut(&catalog.key()) else { return };
        live.agents -= 1;
        if live.agents > 0 {
            return;
        }
        let arrival = live.arrival;
        self.live.remove(&catalog.key());
        let mut waiting = Vec::new();
        for family in &catalog.catalog().families {
            if let Some(kind) = family.kind {
                self.withdraw(arrival, family, kind, &mut waiting);
            }
        }
        self.show_waiting(waiting);
    }

    fn declare(&mut self, arrival: u64, member: (u64, usize), family: &Family, kind: FamilyKind) {
        let kinds = self.declared.entry(family.name.clone()).or_default();
        if let Some(declared) = kinds.iter_mut().find(|declared| declared.kind == kind) {
            declared.members.insert(arrival, member);
            self.suppressed += usize::from(declared.shown.is_none());
            return;
        }
        let members = BTreeMap::from([(arrival, member)]);
        kinds.push(Declared { kind, shown: None, members });
        self.suppressed += 1;
        if self.is_allowed(family, kind) && !self.show(family, kind) {
            for name in family.sample_names() {
                let waiting = &mut self.sample_names.entry(name).or_default().waiting;
                waiting.push((family.name.clone(), kind));
            }
        }
    }

    /// Removes a family of a catalog. Appends the families that wait for its names to `waiting`.
    fn withdraw(
        &mut self,
        arrival: u64,
        family: &Family,
        kind: FamilyKind,
        waiting: &mut Vec<(Box<str>, FamilyKind)>,
    ) {
        let Some(kinds) = self.declared.get_mut(&family.name) else { return };
        let Some(at) = kinds.iter().position(|declared| declared.kind == kind) else { return };
        let declared = &mut kinds[at];
        declared.members.remove(&arrival);
        let shown = declared.shown.is_some();
        self.suppressed -= usize::from(!shown);
        if !declared.members.is_empty() {
            return;
        }
        kinds.swap_remove(at);
        if kinds.is_empty() {
            self.declared.remove(&family.name);
        }
        for name in family.sample_names() {
            let Some(sample) = self.sample_names.get_mut(&name) else { continue };
            if shown {
                sample.remove_owner(&family.name);
                waiting.extend_from_slice(&sample.waiting);
            } else {
                sample.waiting.retain(|(name, own)| *name != family.name || *own != kind);
            }
            if sample.is_unused() {
                self.sample_names.remove(&name);
            }
        }
    }

    /// Shows the waiting families whose names are free, in the order of arrival.
    fn show_waiting(&mut self, waiting: Vec<(Box<str>, FamilyKind)>) {
        let mut in_order = BTreeMap::new();
        for (name, kind) in waiting {
            let declared = self.declared.get(&name).into_iter().flatten();
            let first = declared.filter(|own| own.kind == kind).find_map(Declared::first);
            if let Some((arrival, (catalog, position))) = first
                && let Some(live) = self.live.get(&catalog)
            {
                in_order.insert((arrival, position), Arc::clone(&live.catalog));
            }
        }
        for ((_, position), catalog) in in_order {
            let family = &catalog.catalog().families[position];
            let Some(kind) = family.kind else { continue };
            if self.show(family, kind) {
                for name in family.sample_names() {
                    let Some(sample) = self.sample_names.get_mut(&name) else { continue };
                    sample.waiting.retain(|(name, own)| *name != family.name || *own != kind);
                }
            }
        }
    }

    /// Shows a suppressed family unless one of its sample names is owned by a family of another
    /// meaning. Returns whether it is now shown.
    fn show(&mut self, family: &Family, kind: FamilyKind) -> bool {
        let own = (&*family.name, kind);
        let contradicts = |owner: &str| {
            self.shown(owner).is_some_and(|(shown, _)| !meaning::is_same((owner, shown.kind), own))
        };
        let is_taken = |name: String| {
            self.sample_names.get(&name).is_some_and(|sample| sample.owners().any(contradicts))
        };
        if family.sample_names().any(is_taken) {
            return false;
        }
        let mut kinds = self.declared.get_mut(&family.name).into_iter().flatten();
        let Some(declared) = kinds.find(|declared| declared.kind == kind) else { return false };
        self.moment += 1;
        let head = Arc::new(FamilyHead::new(family, kind));
        declared.shown = Some(Shown { since: self.moment, head });
        self.suppressed -= declared.members.len();
        for name in family.sample_names() {
            self.sample_names.entry(name).or_default().add_owner(&family.name);
        }
        true
    }

    /// Whether the family may have this kind: the operator has set no other one, and no reserved
    /// family of another meaning has its sample names.
    fn is_allowed(&self, family: &Family, kind: FamilyKind) -> bool {
        let own = (&*family.name, kind);
        let agrees = |reserved: &Meaning<'_>| meaning::is_same(*reserved, own);
        self.configured_kinds.get(&*family.name).is_none_or(|pinned| *pinned == kind)
            && family.sample_names().all(|sample| self.reserved.get(&sample).is_none_or(agrees))
    }

    /// Returns the shown family with this name.
    fn shown(&self, name: &str) -> Option<(&Declared, &Shown)> {
        let kinds = self.declared.get(name)?;
        kinds.iter().find_map(|declared| Some((declared, declared.shown.as_ref()?)))
    }

    /// Returns the suppressed families of these catalogs.
    pub(super) fn suppressed_of(&self, catalogs: &[Arc<CatalogEntry>]) -> Vec<Box<str>> {
        catalogs.iter().flat_map(|catalog| self.suppressed_of_catalog(catalog)).collect()
    }

    /// Returns the number of agents with a catalog.
    pub(super) fn agents(&self, catalog: &CatalogEntry) -> usize {
        self.live.get(&catalog.key()).map_or(0, |live| live.agents)
    }

    fn suppressed_of_catalog(&self, catalog: &CatalogEntry) -> Vec<Box<str>> {
        if !self.live.contains_key(&catalog.key()) {
            return Vec::new();
        }
        let shown = |family: &Family| self.shown(&family.name).map(|(declared, _)| declared.kind);
        let families = catalog.catalog().families.iter();
        families
            .filter(|family| family.kind.is_some_and(|kind| shown(family) != Some(kind)))
            .map(|family| family.name.clone())
            .collect()
    }

    /// Returns the number of suppressed families of live catalogs.
    pub(super) fn suppressed(&self) -> usize {
        self.suppressed
    }
}
