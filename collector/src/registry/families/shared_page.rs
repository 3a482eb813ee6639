//! The families of one shared page: shown families, and those whose schemas changed during the
//! scrape.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use fleetgauge_proto::schema::{Family, FamilyKind};

use super::{Declared, Families, SchemaEntry, kind_to_show};
use crate::exposition::FamilyHead;

/// A gauge family on the shared pages, and where its values are stored.
#[derive(Debug)]
pub struct GaugeFamily {
    /// Name of the family.
    pub name: Box<str>,
    /// Unit of the family in the first schema that declared it; can be empty.
    pub unit: Box<str>,
    /// Number of the family's series over all agents, series without a current value included.
    pub series: usize,
    /// Each series of the family: schema key, and offset of the value in a row.
    pub members: Vec<(u64, usize)>,
}

/// A family on the shared page.
#[derive(Debug)]
pub(in crate::registry) struct PageFamily {
    pub(in crate::registry) head: Arc<FamilyHead>,
    /// Schemas with the family: schema key, and index of the family in the schema.
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
    /// Returns the logical time. Read it before the rows are copied, and pass it to [`Self::page`]
    /// as `begun`.
    pub(in crate::registry) fn moment(&self) -> u64 {
        self.moment
    }

    /// Returns the families of the shared page that have series in the `copied` schemas, sorted by
    /// name. `begun` is the logical time before the copy.
    ///
    /// After the copy, a schema can lose its last agent, for example because the agent changed to
    /// another schema. A family of such a schema is still shown if its sample names are free;
    /// otherwise the copied values would be on no page. A family whose names had another kind
    /// before the copy stays suppressed, even if this page is a shard without the other family.
    pub(in crate::registry) fn page(
        &self,
        copied: &[&Arc<SchemaEntry>],
        begun: u64,
    ) -> Vec<PageFamily> {
        let copied: HashMap<u64, &SchemaEntry> =
            copied.iter().map(|schema| (schema.key(), &***schema)).collect();
        let mut page = Page::default();
        let mut suppressed = Vec::new();
        for (name, kinds) in &self.declared {
            for declared in kinds {
                let members = declared.members.values().copied();
                let members: Vec<_> =
                    members.filter(|(schema, _)| copied.contains_key(schema)).collect();
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
            copied.iter().filter(|(schema, _)| !self.live.contains_key(schema)).collect();
        departed.sort_unstable_by_key(|(key, _)| **key);
        for (key, schema) in departed {
            for position in 0..schema.schema().families.len() {
                self.add(&mut page, begun, schema, (*key, position));
            }
        }
        page.families.into_values().map(|(_, family)| family).collect()
    }

    fn arrival(&self, (schema, position): (u64, usize)) -> Option<(u64, usize)> {
        Some((self.live.get(&schema)?.arrival, position))
    }

    /// Adds a suppressed family to the page unless its names have another kind there.
    fn add<'a>(
        &'a self,
        page: &mut Page<'a>,
        begun: u64,
        schema: &'a SchemaEntry,
        member: (u64, usize),
    ) {
        let family: &Family = &schema.schema().families[member.1];
        let kind = kind_to_show(family).filter(|kind| self.is_allowed(family, *kind));
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

    /// Returns the gauges on the shared pages, sorted by name; `only` selects the one with this
    /// name.
    pub(in crate::registry) fn gauges(&self, only: Option<&str>) -> Vec<GaugeFamily> {
        let declared = match only {
            // A range does not visit the other families.
            Some(name) => {
                self.declared.range::<str, _>((Bound::Included(name), Bound::Included(name)))
            }
            None => self.declared.range::<str, _>(..),
        };
        let gauges = declared.filter_map(|(name, kinds)| {
            let is_shown = |declared: &&Declared| {
                declared.kind == FamilyKind::Gauge && declared.shown.is_some()
            };
            let declared = kinds.iter().find(is_shown)?;
            let member = |(key, at): &(u64, usize)| Some((self.live.get(key)?, *at));
            let members: Vec<_> = declared.members.values().filter_map(member).collect();
            let (first, at) = members.first()?;
            let mut gauge = GaugeFamily {
                name: name.clone(),
                unit: first.schema.schema().families[*at].unit.clone(),
                series: 0,
                members: Vec::new(),
            };
            for (live, at) in members {
                let series = &live.schema.schema().families[at].series;
                gauge.series += series.len() * live.agents;
                gauge.members.extend(series.iter().map(|one| (live.schema.key(), one.offset)));
            }
            Some(gauge)
        });
        gauges.collect()
    }
}
