//! Which schema's families are shown on the shared pages.
//!
//! A sample name means one thing. The first schema to declare a family holds its names, and its kind, for as
//! long as any agent with that family and kind lives; a schema that disagrees has the family left off the
//! shared pages. When the last holder goes, those left off are asked again, in the order of their coming.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use fleetgauge_proto::schema::{Family, FamilyKind};

use super::schemas::SchemaEntry;
use crate::exposition::FamilyHead;

/// Kinds that the operator has decided on, by family name.
pub type Pins = HashMap<String, FamilyKind>;

#[derive(Debug, Default)]
pub(super) struct Families {
    pins: Pins,
    /// Families that are shown, sorted for the page.
    shown: BTreeMap<Box<str>, Shown>,
    /// Which shown family every sample name belongs to.
    sample_names: HashMap<String, Box<str>>,
    /// Schemas with agents, by when they got their first.
    live: BTreeMap<u64, Live>,
    arrivals: u64,
    /// Place in `live`, by schema key.
    arrived: HashMap<u64, u64>,
    /// Counts the families that were given their names: the page's own time.
    moment: u64,
}

#[derive(Debug)]
struct Shown {
    kind: FamilyKind,
    /// The moment at which it was given its names.
    since: u64,
    head: Arc<FamilyHead>,
    /// Live schemas that show it: place in `live` and position of the family in the schema.
    members: BTreeMap<u64, usize>,
}

#[derive(Debug)]
struct Live {
    schema: Arc<SchemaEntry>,
    agents: usize,
    /// How many of its families could be shown, and are.
    known: usize,
    shown: usize,
}

/// A gauge of the shared pages and where its values are.
#[derive(Debug)]
pub struct GaugeFamily {
    /// Its name.
    pub name: Box<str>,
    /// Its unit, as who declared it first has it; may be empty.
    pub unit: Box<str>,
    /// How many series of it there are, absent ones included.
    pub series: usize,
    /// Key of the schema, and position in its rows, of every series.
    pub members: Vec<(u64, usize)>,
}

/// A family of the shared page: its heading and where its series are.
#[derive(Debug)]
pub(super) struct PageFamily {
    pub(super) head: Arc<FamilyHead>,
    /// Schema key and position of the family in that schema.
    pub(super) members: Vec<(u64, usize)>,
}

impl Families {
    pub(super) fn new(pins: Pins) -> Self {
        Self { pins, ..Self::default() }
    }

    /// One more agent reports by this schema; whether it is the first.
    pub(super) fn join(&mut self, schema: &Arc<SchemaEntry>) -> bool {
        if let Some(live) = self.arrived.get(&schema.key()).and_then(|at| self.live.get_mut(at)) {
            live.agents += 1;
            return false;
        }
        self.arrivals += 1;
        let place = self.arrivals;
        self.arrived.insert(schema.key(), place);
        let known = schema.schema().families.iter().filter(|f| f.kind.is_some()).count();
        let live = Live { schema: Arc::clone(schema), agents: 1, known, shown: 0 };
        self.live.insert(place, live);
        for (position, family) in schema.schema().families.iter().enumerate() {
            self.claim(place, position, family);
        }
        true
    }

    /// One agent fewer reports by this schema.
    pub(super) fn leave(&mut self, schema: &SchemaEntry) {
        let Some(&place) = self.arrived.get(&schema.key()) else { return };
        let Some(live) = self.live.get_mut(&place) else { return };
        live.agents -= 1;
        if live.agents > 0 {
            return;
        }
        self.live.remove(&place);
        self.arrived.remove(&schema.key());
        let mut freed = false;
        for (position, family) in schema.schema().families.iter().enumerate() {
            freed |= self.release(place, position, family);
        }
        if freed {
            self.claim_again();
        }
    }

    /// Shows a live schema's family unless its names mean something else.
    fn claim(&mut self, place: u64, position: usize, family: &Family) {
        let Some(kind) = family.kind.filter(|kind| self.may_be(family, *kind)) else { return };
        let taken =
            |name: String| self.sample_names.get(&name).is_some_and(|owner| *owner != family.name);
        if family.sample_names().any(taken) {
            return;
        }
        let shown = self.shown.entry(family.name.clone()).or_insert_with(|| {
            self.moment += 1;
            Shown {
                kind,
                since: self.moment,
                head: Arc::new(FamilyHead::new(family, kind)),
                members: BTreeMap::new(),
            }
        });
        if shown.kind != kind {
            return;
        }
        if shown.members.insert(place, position).is_none()
            && let Some(live) = self.live.get_mut(&place)
        {
            live.shown += 1;
        }
        for name in family.sample_names() {
            self.sample_names.insert(name, family.name.clone());
        }
    }

    /// Takes a schema's family off; whether its names are free now.
    fn release(&mut self, place: u64, position: usize, family: &Family) -> bool {
        let Some(shown) = self.shown.get_mut(&family.name) else { return false };
        // A family of a kind nobody knows may have the name of one that is shown.
        if shown.members.get(&place) != Some(&position) {
            return false;
        }
        shown.members.remove(&place);
        if !shown.members.is_empty() {
            return false;
        }
        self.shown.remove(&family.name);
        for name in family.sample_names() {
            self.sample_names.remove(&name);
        }
        true
    }

    fn claim_again(&mut self) {
        let live: Vec<_> =
            self.live.iter().map(|(place, live)| (*place, Arc::clone(&live.schema))).collect();
        for (place, schema) in live {
            for (position, family) in schema.schema().families.iter().enumerate() {
                self.claim(place, position, family);
            }
        }
    }

    /// The present, for [`Self::page`].
    pub(super) fn moment(&self) -> u64 {
        self.moment
    }

    /// The families of the shared page, sorted by name, that have series in the `copied` schemas; `begun` is the moment
    /// before they were copied.
    ///
    /// A schema may have lost its last agent, or a family, since then, to another schema of that very agent perhaps. It
    /// is on this page all the same where nothing else is, or that agent would be on none. A family whose names meant
    /// something else already is left off, whether or not that something is on this page: it may be on another part's.
    pub(super) fn page(&self, copied: &[&Arc<SchemaEntry>], begun: u64) -> Vec<PageFamily> {
        let keys: HashSet<u64> = copied.iter().map(|schema| schema.key()).collect();
        let member = |(place, position): (&u64, &usize)| {
            let key = self.live.get(place)?.schema.key();
            keys.contains(&key).then_some((key, *position))
        };
        let mut page = BTreeMap::new();
        for (name, shown) in &self.shown {
            let members: Vec<_> = shown.members.iter().filter_map(member).collect();
            if !members.is_empty() {
                let head = Arc::clone(&shown.head);
                page.insert(&**name, (shown.kind, PageFamily { head, members }));
            }
        }
        for schema in copied.iter().filter(|schema| self.lacks_a_family(schema)) {
            for (position, family) in schema.schema().families.iter().enumerate() {
                self.add(&mut page, begun, (schema.key(), position), family);
            }
        }
        page.into_values().map(|(_, family)| family).collect()
    }

    /// The gauges of the shared pages, sorted by name.
    pub(super) fn gauges(&self) -> Vec<GaugeFamily> {
        let gauges = self.shown.iter().filter(|(_, shown)| shown.kind == FamilyKind::Gauge);
        let gauges = gauges.filter_map(|(name, shown)| {
            let live = |(place, at): (&u64, &usize)| Some((self.live.get(place)?, *at));
            let live: Vec<_> = shown.members.iter().filter_map(live).collect();
            let (first, at) = live.first()?;
            let first = &first.schema.schema().families[*at];
            let mut gauge = GaugeFamily {
                name: name.clone(),
                unit: first.unit.clone(),
                series: 0,
                members: Vec::new(),
            };
            for (live, at) in live {
                let series = &live.schema.schema().families[at].series;
                gauge.series += series.len() * live.agents;
                gauge.members.extend(series.iter().map(|one| (live.schema.key(), one.offset)));
            }
            Some(gauge)
        });
        gauges.collect()
    }

    /// Whether a schema has left or has a family left off.
    fn lacks_a_family(&self, schema: &SchemaEntry) -> bool {
        let live = self.arrived.get(&schema.key()).and_then(|place| self.live.get(place));
        live.is_none_or(|live| live.shown < live.known)
    }

    /// Adds a family to the page unless its names mean something else there.
    fn add<'a>(
        &'a self,
        page: &mut BTreeMap<&'a str, (FamilyKind, PageFamily)>,
        begun: u64,
        member: (u64, usize),
        family: &'a Family,
    ) {
        let Some(kind) = family.kind.filter(|kind| self.may_be(family, *kind)) else { return };
        if let Some((shown, on_page)) = page.get_mut(&*family.name) {
            if *shown == kind && !on_page.members.contains(&member) {
                on_page.members.push(member);
            }
            return;
        }
        let contradicts = |owner: &str| {
            self.shown.get(owner).is_some_and(|shown| {
                let same = *owner == *family.name && shown.kind == kind;
                !same && (shown.since <= begun || page.contains_key(owner))
            })
        };
        let owner = |name: String| self.sample_names.get(&name).map(|owner| &**owner);
        if !family.sample_names().filter_map(owner).any(contradicts) {
            let head = Arc::new(FamilyHead::new(family, kind));
            let members = vec![member];
            page.insert(&family.name, (kind, PageFamily { head, members }));
        }
    }

    /// Whether the operator lets a family be of this kind.
    fn may_be(&self, family: &Family, kind: FamilyKind) -> bool {
        self.pins.get(&*family.name).is_none_or(|pinned| *pinned == kind)
    }

    /// The families of a live schema that are left off.
    pub(super) fn left_off_by(&self, schema: &SchemaEntry) -> Vec<Box<str>> {
        let Some(place) = self.arrived.get(&schema.key()) else { return Vec::new() };
        let shown = |position: usize, family: &Family| {
            let members = self.shown.get(&family.name).map(|shown| &shown.members);
            members.and_then(|members| members.get(place)) == Some(&position)
        };
        let families = schema.schema().families.iter().enumerate();
        families
            .filter(|(position, family)| family.kind.is_some() && !shown(*position, family))
            .map(|(_, family)| family.name.clone())
            .collect()
    }

    /// How many families of live schemas are left off.
    pub(super) fn left_off(&self) -> usize {
        self.live.values().map(|live| live.known - live.shown).sum()
    }
}
