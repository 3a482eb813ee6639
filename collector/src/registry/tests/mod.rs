mod linear;
mod memory;

use std::sync::atomic::{AtomicBool, Ordering};

use fleetgauge_proto::message::{Family, Schema as Declared, Series};
use fleetgauge_proto::{Fingerprint, Limits, Schema, report};

use super::*;
use crate::exposition::{CHUNK_BYTES, Disconnected, Format, Sink, render};
use crate::limits::memory_budget::MemoryBudget;

const COUNTER: u8 = 2;

fn schema(families: &[(&str, u8)]) -> Schema {
    let family =
        |(name, kind): &(&'static str, u8)| Family { name, kind: *kind, unit: "", help: "" };
    let families: Vec<_> = families.iter().map(|(name, kind)| (leak(name), *kind)).collect();
    let series = (0..families.len() as u32)
        .map(|family| Series { family, width: 1, parameters: Vec::new(), labels: Vec::new() })
        .collect();
    let declared = Declared { stream: 0, families: families.iter().map(family).collect(), series };
    Schema::try_new(&declared, &Limits::default()).unwrap()
}

fn leak(name: &str) -> &'static str {
    Box::leak(name.into())
}

fn registry() -> Registry {
    registry_with(usize::MAX)
}

fn registry_with(memory: usize) -> Registry {
    let limits = SchemaLimits { schemas: 100, bytes: 1 << 20 };
    Registry::new(limits, Pins::new(), Arc::new(MemoryBudget::new(memory)))
}

/// Adds gauges of these names as schema `number`.
fn pin(registry: &Registry, number: u8, names: &[(&str, u8)]) -> Pinned {
    registry.schemas().intern(Fingerprint([number; 16]), schema(names), 10).unwrap()
}

fn pending(id: &str, session: u64) -> PendingAgent {
    PendingAgent {
        id: AgentId::try_new(id).unwrap(),
        host_nonce: [1; 16],
        labels: format!("agent=\"{id}\"").into(),
        handle: ConnectionHandle::new(session, "127.0.0.1:9".parse().unwrap(), 0),
    }
}

fn values(values: &[f64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    report::write_all(values, &mut bytes);
    bytes
}

fn enter(
    registry: &Registry,
    id: &str,
    session: u64,
    schema: &Pinned,
    row: &[f64],
) -> Arc<RegisteredAgent> {
    let bytes = values(row);
    let entered = registry.enter(&pending(id, session), schema.entry(), &Values::All(&bytes), 0);
    entered.unwrap().agent
}

fn page(registry: &Registry) -> Vec<String> {
    let mut page = Vec::new();
    render(&registry.snapshot(), Format::Text, &mut page).unwrap();
    let text = String::from_utf8(page).unwrap();
    let mut lines: Vec<_> =
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Number of rows, vacant ones included, and of blocks in all slabs.
fn footprint(registry: &Registry) -> (usize, usize) {
    let stripes = registry.stripes.iter().map(|stripe| {
        let slabs = stripe.lock();
        let slabs = slabs.slabs.values().map(Slab::footprint);
        slabs.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    });
    stripes.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
}

#[test]
fn rows_are_reused_and_freed() {
    let registry = registry();
    let wide = schema(&(0..100).map(|n| (leak(&format!("g{n}")), 1)).collect::<Vec<_>>());
    let wide = registry.schemas().intern(Fingerprint([9; 16]), wide, 10).unwrap();
    let ids: Vec<_> = (0..2_000).map(|n| format!("a{n}")).collect();
    for (n, id) in ids.iter().enumerate() {
        let _ = enter(&registry, id, n as u64 + 1, &wide, &[n as f64; 100]);
    }
    let full = footprint(&registry);
    assert_eq!(full.0, 2_000);
    // Every second agent leaves and returns. Its row is reused.
    for round in 1..4_u64 {
        for (n, id) in ids.iter().enumerate().step_by(2) {
            let session = (round - 1) * 10_000 + n as u64 + 1;
            assert!(registry.leave(&pending(id, 0).id, session));
        }
        assert_eq!(registry.agent_count(), 1_000);
        for (n, id) in ids.iter().enumerate().step_by(2) {
            let _ = enter(&registry, id, round * 10_000 + n as u64 + 1, &wide, &[n as f64; 100]);
        }
        assert_eq!(footprint(&registry), full);
    }
    let snapshot = registry.snapshot();
    for group in &snapshot.groups {
        for (labels, row) in group.rows() {
            let n: f64 = labels["agent=\"a".len()..labels.len() - "\"} ".len()].parse().unwrap();
            assert!(row.iter().all(|value| *value == n), "{labels} has {row:?}");
        }
    }
    for (n, id) in ids.iter().enumerate() {
        let session = if n % 2 == 0 { 30_000 } else { 0 } + n as u64 + 1;
        assert!(registry.leave(&pending(id, 0).id, session));
    }
    assert_eq!(footprint(&registry), (0, 0));
    assert!(registry.stripes.iter().all(|stripe| stripe.lock().slabs.is_empty()));
    assert!(page(&registry).is_empty());
}

#[test]
fn row_of_another_session_cannot_be_written() {
    let registry = registry();
    let one = pin(&registry, 1, &[("load", 1)]);
    let old = enter(&registry, "a", 1, &one, &[1.0]);
    assert!(registry.leave(&pending("a", 1).id, 1));
    assert!(!old.row().store(1, &Values::All(&values(&[9.0]))), "the row is vacant");
    let new = enter(&registry, "a", 2, &one, &[2.0]);
    assert!(
        !old.row().store(1, &Values::All(&values(&[9.0]))),
        "the row belongs to another session"
    );
    assert_eq!(page(&registry), ["load{agent=\"a\"} 2"]);
    assert!(new.row().store(2, &Values::All(&values(&[3.0]))));
    assert_eq!(page(&registry), ["load{agent=\"a\"} 3"]);
}

#[test]
fn only_the_holder_can_release_an_id() {
    let registry = registry();
    let one = pin(&registry, 1, &[("load", 1)]);
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
    let one = pin(&registry, 1, &[("load", 1)]);
    let bytes = values(&[1.0]);
    let mut session = 0;
    let mut take = |now| {
        session += 1;
        let agent = pending("a", session);
        let claim = registry.claim(&agent.id, &agent.host_nonce, now);
        let entered = registry.enter(&agent, one.entry(), &Values::All(&bytes), now);
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
fn new_schema_of_the_same_session_is_no_takeover() {
    let registry = registry();
    let one = pin(&registry, 1, &[("load", 1)]);
    let two = pin(&registry, 2, &[("load", 1), ("more", 1)]);
    let agent = pending("a", 1);
    for n in 0..20 {
        let (schema, row) = if n % 2 == 0 { (&one, vec![1.0]) } else { (&two, vec![1.0, 2.0]) };
        registry.enter(&agent, schema.entry(), &Values::All(&values(&row)), n).unwrap();
        assert_eq!(page(&registry).len(), row.len());
    }
    assert!(matches!(registry.claim(&agent.id, &agent.host_nonce, 21), Claim::Free));
    assert!(!agent.handle.take_signals().has(Signal::Superseded));
}

#[test]
fn sample_names_are_freed_with_their_last_agent() {
    let registry = registry();
    let gauge = pin(&registry, 1, &[("load", 1)]);
    let counter = pin(&registry, 2, &[("load", COUNTER)]);
    let total = pin(&registry, 3, &[("load_total", 1)]);
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
    let counter = pin(&registry, 1, &[("load", COUNTER)]);
    let total = pin(&registry, 2, &[("load_total", 1)]);
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
    let gauge = pin(&registry, 1, &[("load", 1)]);
    let counter = pin(&registry, 2, &[("load", COUNTER), ("more", 1)]);
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
fn agent_that_changes_its_schema_is_on_every_page() {
    changes_its_schema(("load", 1), ("load", 1));
    changes_its_schema(("load", 1), ("load", COUNTER));
    changes_its_schema(("load", COUNTER), ("load_total", 1));
}

fn changes_its_schema(first: (&'static str, u8), second: (&'static str, u8)) {
    let registry = registry();
    let one = pin(&registry, 1, &[first]);
    let two = pin(&registry, 2, &[second, ("more", 1)]);
    let agent = pending("a", 1);
    let enter = |schema: &Pinned, row: &[f64]| {
        registry.enter(&agent, schema.entry(), &Values::All(&values(row)), 0).unwrap();
    };
    enter(&one, &[1.0]);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                enter(&two, &[1.0, 2.0]);
                enter(&one, &[1.0]);
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
fn least_recently_used_schema_is_evicted() {
    let store = SchemaStore::new(
        SchemaLimits { schemas: 2, bytes: 100 },
        Arc::new(MemoryBudget::new(usize::MAX)),
    );
    let intern =
        |n: u8, bytes| store.intern(Fingerprint([n; 16]), schema(&[("a", 1)]), bytes).map(drop);
    let held = store.intern(Fingerprint([1; 16]), schema(&[("a", 1)]), 60).unwrap();
    assert_eq!(intern(2, 40), Ok(()));
    assert_eq!(intern(3, 40), Ok(()), "the second is evicted");
    assert!(store.find(&Fingerprint([2; 16])).is_none());
    assert!(store.find(&Fingerprint([3; 16])).is_some());
    assert_eq!(intern(4, 41), Err(Code::SchemasFull));
    assert!(store.find(&Fingerprint([1; 16])).is_some(), "the port is in use");
    drop(held);
    assert_eq!(intern(5, 100), Ok(()));
    assert_eq!(store.len(), 1);
    assert_eq!(intern(6, 101), Err(Code::SchemasFull));
}

/// Both agents looked the schema up before it existed. The second must not be refused.
#[test]
fn schema_declared_twice_at_once_counts_once() {
    let budget = Arc::new(MemoryBudget::new(usize::MAX));
    let store = SchemaStore::new(SchemaLimits { schemas: 1, bytes: 100 }, Arc::clone(&budget));
    let declare = |n: u8| store.intern(Fingerprint([n; 16]), schema(&[("a", 1)]), 100);
    let first = declare(1).unwrap();
    let taken = budget.taken();
    let second = declare(1).unwrap();
    assert!(Arc::ptr_eq(first.entry(), second.entry()));
    assert_eq!((store.len(), budget.taken()), (1, taken));
    assert_eq!(declare(2).map(drop), Err(Code::SchemasFull));
}

#[test]
fn wide_series_with_long_labels_is_rendered_in_chunks() {
    struct Longest(usize, usize);
    impl Sink for Longest {
        fn chunk(&mut self, bytes: &[u8]) -> Result<(), Disconnected> {
            self.0 = self.0.max(bytes.len());
            self.1 += bytes.len();
            Ok(())
        }
    }
    const LABELS: usize = 30_000;
    let registry = registry();
    let family = Family { name: "latency", kind: 3, unit: "", help: "" };
    let parameters: Vec<_> = (0..256).map(f64::from).collect();
    let series = Series { family: 0, width: 258, parameters, labels: Vec::new() };
    let declared = Declared { stream: 0, families: vec![family], series: vec![series] };
    let wide = Schema::try_new(&declared, &Limits::default()).unwrap();
    let wide = registry.schemas().intern(Fingerprint([1; 16]), wide, 10).unwrap();
    let agent = PendingAgent { labels: "x".repeat(LABELS).into(), ..pending("a", 1) };
    let row = values(&[1.0; 258]);
    registry.enter(&agent, wide.entry(), &Values::All(&row), 0).unwrap();
    let mut longest = Longest(0, 0);
    let counted = render(&registry.snapshot(), Format::Text, &mut longest).unwrap();
    assert_eq!((counted.lines, counted.bytes), (259, longest.1 as u64));
    assert!(longest.1 > 259 * LABELS);
    assert!(longest.0 < CHUNK_BYTES + LABELS + 100, "{}", longest.0);
}
