//! Which schema's families are shown on the shared pages.
//!
//! A sample name means one thing. The first schema to declare a family holds the family's names, and its kind, for
//! as long as any agent with that family and kind lives. A family that disagrees is left off the shared pages and
//! waits. When names become free, the families that wait for them are asked again, in the order of their arrival.
//!
//! Families of one name and kind are shown together or left off together, so they are kept as one. A schema that
//! comes or goes costs what it declares itself, however many other schemas there are.

mod page;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use fleetgauge_proto::schema::{Family, FamilyKind};

use super::schemas::SchemaEntry;
use crate::exposition::FamilyHead;

pub use page::GaugeFamily;

/// Memory of a sample name in the map of names, without the texts: a map may be half empty after it has grown, and has a byte of
/// its own for each place. One family waits for most names, if any, in an array that begins with four.
pub(super) const NAME_BYTES: usize =
    2 * (size_of::<(String, SampleName)>() + 1) + 4 * size_of::<(Box<str>, FamilyKind)>();

/// Memory of a family that nobody else declares, without the texts: its place in a tree that may be half empty, an array that begins
/// with four places, a tree's node with eleven, and its heading.
pub(super) const DECLARED_BYTES: usize = 2 * size_of::<(Box<str>, Vec<Declared>)>()
    + 4 * size_of::<Declared>()
    + 11 * size_of::<(u64, (u64, usize))>()
    + size_of::<[usize; 4]>()
    + size_of::<FamilyHead>()
    + size_of::<[usize; 2]>();

/// Kinds that the operator has decided on, by family name.
pub type Pins = HashMap<String, FamilyKind>;

#[derive(Debug, Default)]
pub(super) struct Families {
    pins: Pins,
    /// Families of live schemas, sorted for the page; of each name, one for every kind that it is declared with.
    declared: BTreeMap<Box<str>, Vec<Declared>>,
    sample_names: HashMap<String, SampleName>,
    /// Schemas with agents, by key.
    live: HashMap<u64, Live>,
    /// Counts schemas that got their first agent.
    arrivals: u64,
    /// Counts the families that were given their names: the page's own time.
    moment: u64,
    /// How many families of live schemas are left off.
    left_off: usize,
}

/// All families of one name and kind.
#[derive(Debug)]
struct Declared {
    kind: FamilyKind,
    /// `None`: left off.
    shown: Option<Shown>,
    /// Live schemas with this family, in the order of their arrival: key and position of the family in the schema.
    members: BTreeMap<u64, (u64, usize)>,
}

#[derive(Debug)]
struct Shown {
    /// The moment at which it was given its names.
    since: u64,
    head: Arc<FamilyHead>,
}

/// Who has a sample name and who waits for it.
#[derive(Debug, Default)]
struct SampleName {
    /// Name of the shown family that it belongs to.
    owner: Option<Box<str>>,
    /// Families that would take it. Few names of families lead to one sample name, so there are never more than eight.
    waiting: Vec<(Box<str>, FamilyKind)>,
}

#[derive(Debug)]
struct Live {
    schema: Arc<SchemaEntry>,
    arrival: u64,
    agents: usize,
}

/// The kind of a family that has a place on the shared pages: one that is known and has series. Without series there is nothing
/// to show, and an agent whose short reports carry nothing would have every family declared anew whenever it comes back.
fn kind_to_show(family: &Family) -> Option<FamilyKind> {
    family.kind.filter(|_| !family.series.is_empty())
}

impl Declared {
    /// The arrival of its first member, that schema's key, and the position of the family in it.
    fn first(&self) -> Option<(u64, (u64, usize))> {
        self.members.first_key_value().map(|(arrival, member)| (*arrival, *member))
    }
}

impl Families {
    pub(super) fn new(pins: Pins) -> Self {
        Self { pins, ..Self::default() }
    }

    /// One more agent reports by this schema; whether it is the first.
    pub(super) fn join(&mut self, schema: &Arc<SchemaEntry>) -> bool {
        if let Some(live) = self.live.get_mut(&schema.key()) {
            live.agents += 1;
            return false;
        }
        self.arrivals += 1;
        let arrival = self.arrivals;
        self.live.insert(schema.key(), Live { schema: Arc::clone(schema), arrival, agents: 1 });
        for (position, family) in schema.schema().families.iter().enumerate() {
            if let Some(kind) = kind_to_show(family) {
                self.declare(arrival, (schema.key(), position), family, kind);
            }
        }
        true
    }

    /// One agent fewer reports by this schema.
    pub(super) fn leave(&mut self, schema: &SchemaEntry) {
        let Some(live) = self.live.get_mut(&schema.key()) else { return };
        live.agents -= 1;
        if live.agents > 0 {
            return;
        }
        let arrival = live.arrival;
        self.live.remove(&schema.key());
        let mut waiting = Vec::new();
        for family in &schema.schema().families {
            if let Some(kind) = kind_to_show(family) {
                self.withdraw(arrival, family, kind, &mut waiting);
            }
        }
        self.ask_again(waiting);
    }

    fn declare(&mut self, arrival: u64, member: (u64, usize), family: &Family, kind: FamilyKind) {
        let kinds = self.declared.entry(family.name.clone()).or_default();
        if let Some(declared) = kinds.iter_mut().find(|declared| declared.kind == kind) {
            declared.members.insert(arrival, member);
            self.left_off += usize::from(declared.shown.is_none());
            return;
        }
        let members = BTreeMap::from([(arrival, member)]);
        kinds.push(Declared { kind, shown: None, members });
        self.left_off += 1;
        if self.may_be(family, kind) && !self.show(family, kind) {
            for name in family.sample_names() {
                let waiting = &mut self.sample_names.entry(name).or_default().waiting;
                waiting.push((family.name.clone(), kind));
            }
        }
    }

    /// Takes a schema's family away; adds to `asked` who waits for the names that are free now.
    fn withdraw(
        &mut self,
        arrival: u64,
        family: &Family,
        kind: FamilyKind,
        asked: &mut Vec<(Box<str>, FamilyKind)>,
    ) {
        let Some(kinds) = self.declared.get_mut(&family.name) else { return };
        let Some(at) = kinds.iter().position(|declared| declared.kind == kind) else { return };
        let declared = &mut kinds[at];
        declared.members.remove(&arrival);
        let shown = declared.shown.is_some();
        self.left_off -= usize::from(!shown);
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
                sample.owner = None;
                asked.extend_from_slice(&sample.waiting);
            } else {
                sample.waiting.retain(|(name, own)| *name != family.name || *own != kind);
            }
            if sample.owner.is_none() && sample.waiting.is_empty() {
                self.sample_names.remove(&name);
            }
        }
    }

    /// Shows those whose names are free now, the first to have arrived first.
    fn ask_again(&mut self, waiting: Vec<(Box<str>, FamilyKind)>) {
        let mut in_order = BTreeMap::new();
        for (name, kind) in waiting {
            let declared = self.declared.get(&name).into_iter().flatten();
            let first = declared.filter(|own| own.kind == kind).find_map(Declared::first);
            if let Some((arrival, (schema, position))) = first
                && let Some(live) = self.live.get(&schema)
            {
                in_order.insert((arrival, position), Arc::clone(&live.schema));
            }
        }
        for ((_, position), schema) in in_order {
            let family = &schema.schema().families[position];
            let Some(kind) = kind_to_show(family) else { continue };
            if self.show(family, kind) {
                for name in family.sample_names() {
                    let Some(sample) = self.sample_names.get_mut(&name) else { continue };
                    sample.waiting.retain(|(name, own)| *name != family.name || *own != kind);
                }
            }
        }
    }

    /// Shows a family that is left off, unless one of its names has an owner; whether it does.
    fn show(&mut self, family: &Family, kind: FamilyKind) -> bool {
        let is_taken = |name: String| {
            self.sample_names.get(&name).is_some_and(|sample| sample.owner.is_some())
        };
        if family.sample_names().any(is_taken) {
            return false;
        }
        let mut kinds = self.declared.get_mut(&family.name).into_iter().flatten();
        let Some(declared) = kinds.find(|declared| declared.kind == kind) else { return false };
        self.moment += 1;
        let head = Arc::new(FamilyHead::new(family, kind));
        declared.shown = Some(Shown { since: self.moment, head });
        self.left_off -= declared.members.len();
        for name in family.sample_names() {
            self.sample_names.entry(name).or_default().owner = Some(family.name.clone());
        }
        true
    }

    /// Whether the operator lets a family be of this kind.
    fn may_be(&self, family: &Family, kind: FamilyKind) -> bool {
        self.pins.get(&*family.name).is_none_or(|pinned| *pinned == kind)
    }

    /// The shown family of this name.
    fn shown(&self, name: &str) -> Option<(&Declared, &Shown)> {
        let kinds = self.declared.get(name)?;
        kinds.iter().find_map(|declared| Some((declared, declared.shown.as_ref()?)))
    }

    /// The families of a live schema that are left off.
    pub(super) fn left_off_by(&self, schema: &SchemaEntry) -> Vec<Box<str>> {
        if !self.live.contains_key(&schema.key()) {
            return Vec::new();
        }
        let shown = |family: &Family| self.shown(&family.name).map(|(declared, _)| declared.kind);
        let families = schema.schema().families.iter();
        families
            .filter(|family| kind_to_show(family).is_some_and(|kind| shown(family) != Some(kind)))
            .map(|family| family.name.clone())
            .collect()
    }

    /// How many families of live schemas are left off.
    pub(super) fn left_off(&self) -> usize {
        self.left_off
    }
}
