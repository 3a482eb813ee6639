mod attacks;
mod collisions;
mod counters;
mod linear;
mod memory;
mod rows;
mod slabs;
mod snapshots;

use std::sync::atomic::{AtomicBool, Ordering};

use fleetgauge_proto::message::{Catalog as Declared, Column, Family, RowChange, Table};
use fleetgauge_proto::report::{ABSENT, EncodedValues};
use fleetgauge_proto::{Catalog, Fingerprint, Limits, Violation};

use super::*;
use crate::exposition::{CHUNK_BYTES, Disconnected, Format, Sink, Snapshot, render, visited};
use crate::limits::memory_budget::MemoryBudget;

const GAUGE: u8 = 1;
const COUNTER: u8 = 2;
const HISTOGRAM: u8 = 3;
const COUNTER_AS_NAMED: u8 = 7;

/// A catalog of one table without row labels, with a column for each family.
fn catalog(families: &[(&str, u8)]) -> Catalog {
    let columns = (0..families.len() as u32).map(column).collect();
    let tables =
        if families.is_empty() { vec![] } else { vec![Table { row_labels: vec![], columns }] };
    catalog_of(families, tables)
}

fn catalog_of(families: &[(&str, u8)], tables: Vec<Table<'_>>) -> Catalog {
    let family =
        |(name, kind): &(&'static str, u8)| Family { name, kind: *kind, unit: "", help: "" };
    let families: Vec<_> = families.iter().map(|(name, kind)| (leak(name), *kind)).collect();
    let families = families.iter().map(family).collect();
    let declared = Declared { stream: 0, slot: 0, families, tables };
    Catalog::try_new(&declared, &Limits::default()).unwrap()
}

/// A column of one value without labels.
fn column(family: u32) -> Column<'static> {
    Column { family, width: 1, decimals: 0, parameters: vec![], labels: vec![] }
}

fn leak(name: &str) -> &'static str {
    Box::leak(name.into())
}

fn registry() -> Registry {
    registry_with(usize::MAX)
}

fn registry_with(memory: usize) -> Registry {
    let limits = CatalogLimits { catalogs: 100, bytes: 1 << 20 };
    Registry::new(limits, ConfiguredKinds::new(), Arc::new(MemoryBudget::new(memory)))
}

fn pin(registry: &Registry, number: u8, catalog: Catalog) -> CatalogPin {
    registry.catalogs().intern(Fingerprint([number; 16]), catalog, 10).unwrap()
}

/// Adds the catalog of these families as number `number`.
fn pin_fixed(registry: &Registry, number: u8, families: &[(&str, u8)]) -> CatalogPin {
    pin(registry, number, catalog(families))
}

fn pending(id: &str, session: u64) -> PendingAgent {
    PendingAgent {
        id: AgentId::try_new(id).unwrap(),
        host_nonce: [1; 16],
        labels: format!("agent=\"{id}\"").into(),
        handle: ConnectionHandle::new(session, "127.0.0.1:9".parse().unwrap(), 0),
    }
}

/// The values of an agent with one catalog whose tables with row labels have no rows.
fn values_of(registry: &Registry, catalog: &CatalogPin, values: &[f64]) -> PendingValues {
    let mut pending = PendingValues::empty();
    registry.set_catalog(&mut pending, 0, catalog.clone()).unwrap();
    apply(&mut pending, values);
    pending
}

/// Sets all values.
fn apply(pending: &mut PendingValues, values: &[f64]) {
    pending.apply(&encode(values, pending.layout()).values()).unwrap();
}

/// Stores a report of all values. Returns whether the agent still holds its id.
fn store(agent: &RegisteredAgent, values: &[f64]) -> Result<bool, Violation> {
    let stored = agent.store(&encode(values, &layout(agent)).values())?;
    assert!(stored.is_none_or(|count| count == values.len()));
    Ok(stored.is_some())
}

fn layout(agent: &RegisteredAgent) -> Arc<Layout> {
    agent.layout().unwrap()
}

fn encode(values: &[f64], layout: &Layout) -> EncodedValues {
    let mut encoded = EncodedValues::default();
    encoded.encode_all(values, layout.shape());
    encoded
}

fn enter(
    registry: &Registry,
    id: &str,
    session: u64,
    catalog: &CatalogPin,
    values: &[f64],
) -> Arc<RegisteredAgent> {
    let values = values_of(registry, catalog, values);
    registry.enter(&pending(id, session), values, 0).unwrap().agent
}

fn change<'a>(slot: u8, table: u32, removed: &[u32], added: &[&'a str]) -> RowChange<'a> {
    RowChange { slot, table, removed: removed.to_vec(), added: added.to_vec() }
}

/// Sample lines of all agents, sorted.
fn page(registry: &Registry) -> Vec<String> {
    lines(&registry.snapshot())
}

fn lines(snapshot: &Snapshot) -> Vec<String> {
    let mut page = Vec::new();
    render(snapshot, Format::Text, &mut page).unwrap();
    let text = String::from_utf8(page).unwrap();
    let mut lines: Vec<_> =
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn agent_that_left_cannot_store_values() {
    let registry = registry();
    let one = pin_fixed(&registry, 1, &[("load", GAUGE)]);
    let old = enter(&registry, "a", 1, &one, &[1.0]);
    let late = encode(&[9.0], &layout(&old));
    assert!(registry.leave(&pending("a", 1).id, 1));
    assert_eq!(old.store(&late.values()), Ok(None));
    let new = enter(&registry, "a", 2, &one, &[2.0]);
    assert_eq!(old.store(&late.values()), Ok(None), "the id belongs to another session");
    assert!(registry.pending_values_of(&old).unwrap().is_none());
    assert_eq!(page(&registry), ["load{agent=\"a\"} 2"]);
    assert_eq!(store(&new, &[3.0]), Ok(true));
    assert_eq!(page(&registry), ["load{agent=\"a\"} 3"]);
}

#[test]
fn only_the_holder_can_release_an_id() {
    let registry = registry();
    let one = pin_fixed(&registry, 1, &[("load", GAUGE)]);
    let _ = enter(&registry, "a", 1, &one, &[1.0]);
    let _ = enter(&registry, "a", 2, &one, &[2.0]);
    assert!(!registry.leave(&pending("a", 1).id, 1));
    assert_eq!(page(&registry), ["load{agent=\"a\"} 2"]);
    assert!(registry.leave(&pending("a", 2).id, 2));
    assert!(!registry.leave(&pending("a", 2).id, 2));
    assert!(page(&registry).is_empty());
}

#[test]
fn takeovers_are_limited_per_minute() {
    let registry = registry();
    let one = pin_fixed(&registry, 1, &[("load", GAUGE)]);
    let mut session = 0;
    let mut take = |now| {
        session += 1;
        let agent = pending("a", session);
        let claim = registry.claim(&agent.id, &agent.host_nonce, now);
        let entered = registry.enter(&agent, values_of(&registry, &one, &[1.0]), now);
        assert_eq!(matches!(claim, Claim::Contested), entered.is_err());
        entered.map(|_| ())
    };
    // The first agent registers a free id. Three take it over.
    for now in [0, 1_000, 2_000, 3_000] {
        assert_eq!(take(now), Ok(()));
    }
    assert_eq!(take(4_000), Err(Code::IdConflict));
    assert_eq!(take(60_999), Err(Code::IdConflict));
    // The first takeover is a minute old.
    assert_eq!(take(61_000), Ok(()));
    assert_eq!(take(61_999), Err(Code::IdConflict));
    assert_eq!(take(62_000), Ok(()));
}

#[test]
fn new_catalog_of_the_same_session_is_no_takeover() {
    let registry = registry();
    let one = pin_fixed(&registry, 1, &[("load", GAUGE)]);
    let two = pin_fixed(&registry, 2, &[("load", GAUGE), ("more", GAUGE)]);
    let pending = pending("a", 1);
    let agent = registry.enter(&pending, values_of(&registry, &two, &[1.0, 2.0]), 0).unwrap().agent;
    for n in 0..20 {
        let (catalog, row) = if n % 2 == 0 { (&one, vec![1.0]) } else { (&two, vec![1.0, 2.0]) };
        let values = values_of(&registry, catalog, &row);
        assert_eq!(registry.replace(&agent, values), Ok(Some(vec![])));
        assert_eq!(page(&registry).len(), row.len());
    }
    assert!(matches!(registry.claim(&pending.id, &pending.host_nonce, 21), Claim::Free));
    assert!(!pending.handle.take_signals().has(Signal::Superseded));
}

#[test]
fn sample_names_are_freed_with_their_last_agent() {
    let registry = registry();
    let gauge = pin_fixed(&registry, 1, &[("load", GAUGE)]);
    let counter = pin_fixed(&registry, 2, &[("load", COUNTER)]);
    let total = pin_fixed(&registry, 3, &[("load_total", GAUGE)]);
    let _ = enter(&registry, "g1", 1, &gauge, &[1.0]);
    let _ = enter(&registry, "g2", 2, &gauge, &[2.0]);
    let _ = enter(&registry, "c", 3, &counter, &[3.0]);
    assert_eq!(registry.families_suppressed(), 1);
    let _ = enter(&registry, "t", 4, &total, &[4.0]);
    assert_eq!(registry.families_suppressed(), 1, "the counter does not own its names");
    registry.leave(&pending("g1", 1).id, 1);
    assert_eq!(page(&registry), ["load_total{agent=\"t\"} 4", "load{agent=\"g2\"} 2"]);
    registry.leave(&pending("g2", 2).id, 2);
    assert_eq!(page(&registry), ["load_total{agent=\"t\"} 4"]);
    registry.leave(&pending("t", 4).id, 4);
    assert_eq!(page(&registry), ["load_total{agent=\"c\"} 3"]);
    registry.leave(&pending("c", 3).id, 3);
    let counters = [counter.entry()];
    let begun = registry.families.lock().moment();
    assert_eq!(registry.families.lock().page(&counters, begun).len(), 1, "copied before it left");
    assert!(registry.families.lock().page(&[], begun).is_empty());
    assert_eq!(registry.families_suppressed(), 0);
}

#[test]
fn one_of_two_conflicting_families_that_left_is_shown() {
    let registry = registry();
    let counter = pin_fixed(&registry, 1, &[("load", COUNTER)]);
    let total = pin_fixed(&registry, 2, &[("load_total", GAUGE)]);
    let _ = enter(&registry, "c", 1, &counter, &[1.0]);
    let _ = enter(&registry, "t", 2, &total, &[2.0]);
    let begun = registry.families.lock().moment();
    registry.leave(&pending("c", 1).id, 1);
    registry.leave(&pending("t", 2).id, 2);
    let page = registry.families.lock().page(&[counter.entry(), total.entry()], begun);
    assert_eq!(page.len(), 1, "both use the sample name load_total: {page:?}");
}

/// Found by the fuzz target `exposition`: a shard without the agents that own a name once showed a
/// family that conflicts with theirs.
#[test]
fn suppressed_families_are_suppressed_in_every_shard() {
    let registry = registry();
    let gauge = pin_fixed(&registry, 1, &[("load", GAUGE)]);
    let counter = pin_fixed(&registry, 2, &[("load", COUNTER), ("more", GAUGE)]);
    let _ = enter(&registry, "g", 1, &gauge, &[1.0]);
    let _ = enter(&registry, "c", 2, &counter, &[2.0, 3.0]);
    assert_eq!(page(&registry), ["load{agent=\"g\"} 1", "more{agent=\"c\"} 3"]);
    let mut lines = Vec::new();
    for part in (0..64).map(|part| FleetShard::new(part, 64)) {
        let mut page = Vec::new();
        render(&registry.snapshot_of_shard(part), Format::Text, &mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        lines.extend(page.lines().filter(|line| !line.starts_with('#')).map(str::to_owned));
    }
    lines.sort();
    assert_eq!(lines, page(&registry));
}

#[test]
fn agent_that_changes_its_catalog_is_on_every_page() {
    changes_its_catalog(("load", GAUGE), ("load", GAUGE));
    changes_its_catalog(("load", GAUGE), ("load", COUNTER));
    changes_its_catalog(("load", COUNTER), ("load_total", GAUGE));
    changes_its_catalog(("load", COUNTER), ("load_total", COUNTER_AS_NAMED));
}

fn changes_its_catalog(first: (&'static str, u8), second: (&'static str, u8)) {
    let registry = registry();
    let one = pin_fixed(&registry, 1, &[first]);
    let two = pin_fixed(&registry, 2, &[second, ("more", GAUGE)]);
    let agent = enter(&registry, "a", 1, &one, &[1.0]);
    let replace = |catalog: &CatalogPin, row: &[f64]| {
        let replaced = registry.replace(&agent, values_of(&registry, catalog, row));
        assert!(matches!(replaced, Ok(Some(_))));
    };
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                replace(&two, &[1.0, 2.0]);
                replace(&one, &[1.0]);
            }
        });
        for n in 0..10_000 {
            let shown = page(&registry);
            let loads = shown.iter().filter(|line| line.starts_with("load")).count();
            if loads != 1 {
                stop.store(true, Ordering::Relaxed);
            }
            assert_eq!(loads, 1, "page {n}: {shown:?}");
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn least_recently_used_catalog_is_evicted() {
    let store = CatalogStore::new(
        CatalogLimits { catalogs: 2, bytes: 100 },
        Arc::new(MemoryBudget::new(usize::MAX)),
    );
    let intern = |n: u8, bytes| {
        store.intern(Fingerprint([n; 16]), catalog(&[("a", GAUGE)]), bytes).map(drop)
    };
    let held = store.intern(Fingerprint([1; 16]), catalog(&[("a", GAUGE)]), 60).unwrap();
    assert_eq!(intern(2, 40), Ok(()));
    assert_eq!(intern(3, 40), Ok(()), "the second is evicted");
    assert!(store.find(&Fingerprint([2; 16])).is_none());
    assert!(store.find(&Fingerprint([3; 16])).is_some());
    assert_eq!(intern(4, 41), Err(Code::CatalogsFull));
    assert!(store.find(&Fingerprint([1; 16])).is_some(), "it is pinned");
    drop(held);
    assert_eq!(intern(5, 100), Ok(()));
    assert_eq!(store.len(), 1);
    assert_eq!(intern(6, 101), Err(Code::CatalogsFull));
}

/// Both agents looked the catalog up before it existed. The second must not be refused.
#[test]
fn catalog_declared_twice_at_once_counts_once() {
    let budget = Arc::new(MemoryBudget::new(usize::MAX));
    let store = CatalogStore::new(CatalogLimits { catalogs: 1, bytes: 100 }, Arc::clone(&budget));
    let declare = |n: u8| store.intern(Fingerprint([n; 16]), catalog(&[("a", GAUGE)]), 100);
    let first = declare(1).unwrap();
    let taken = budget.taken();
    let second = declare(1).unwrap();
    assert!(Arc::ptr_eq(first.entry(), second.entry()));
    assert_eq!((store.len(), budget.taken()), (1, taken));
    assert_eq!(declare(2).map(drop), Err(Code::CatalogsFull));
}

/// The size of the longest chunk, and of all chunks.
#[derive(Default)]
struct Longest(usize, usize);

impl Sink for Longest {
    fn chunk(&mut self, bytes: &[u8]) -> Result<(), Disconnected> {
        self.0 = self.0.max(bytes.len());
        self.1 += bytes.len();
        Ok(())
    }
}

#[test]
fn metadata_of_many_families_is_rendered_in_chunks_and_only_of_those_with_samples() {
    const HELP: usize = 1_000;
    let registry = registry();
    let names: Vec<_> = (0..1_000).map(|n| format!("m{n}")).collect();
    let help = "h".repeat(HELP);
    let family = |name: &'static str| Family { name, kind: GAUGE, unit: "", help: leak(&help) };
    let families: Vec<_> = names.iter().map(|name| family(leak(name))).collect();
    let columns = (0..1_000).map(column).collect();
    let tables = vec![Table { row_labels: vec![], columns }];
    let declared = Declared { stream: 0, slot: 0, families, tables };
    let catalog = Catalog::try_new(&declared, &Limits::default()).unwrap();
    let pin = pin(&registry, 1, catalog);
    for (session, present) in [(1, 0), (2, 1), (3, 1_000)] {
        let values = (0..1_000).map(|n| if n < present { 1.0 } else { ABSENT });
        let _ = enter(&registry, "a", session, &pin, &values.collect::<Vec<_>>());
        let mut longest = Longest::default();
        let counted = render(&registry.snapshot(), Format::Text, &mut longest).unwrap();
        assert_eq!((counted.lines, counted.bytes), (present, longest.1 as u64));
        let families = present as usize;
        assert!((families * HELP..=families * (HELP + 100)).contains(&longest.1));
        assert!(longest.0 < CHUNK_BYTES + HELP + 100, "{}", longest.0);
    }
}

#[test]
fn wide_column_with_long_labels_is_rendered_in_chunks() {
    const LABELS: usize = 30_000;
    let registry = registry();
    let parameters: Vec<_> = (0..256).map(f64::from).collect();
    let columns = vec![Column { width: 258, parameters, ..column(0) }];
    let tables = vec![Table { row_labels: vec![], columns }];
    let wide = pin(&registry, 1, catalog_of(&[("latency", HISTOGRAM)], tables));
    let agent = PendingAgent { labels: "x".repeat(LABELS).into(), ..pending("a", 1) };
    registry.enter(&agent, values_of(&registry, &wide, &[1.0; 258]), 0).unwrap();
    let mut longest = Longest::default();
    let counted = render(&registry.snapshot(), Format::Text, &mut longest).unwrap();
    assert_eq!((counted.lines, counted.bytes), (259, longest.1 as u64));
    assert!(longest.1 > 259 * LABELS);
    assert!(longest.0 < CHUNK_BYTES + LABELS + 100, "{}", longest.0);
}
