//! Slabs: places of agents in blocks, and moves in and out of them.

use fleetgauge_proto::report::ABSENT;

use super::rows::{disks, replace};
use super::*;

/// Returns the number of places in blocks, vacant ones included, and of blocks.
fn footprint(registry: &Registry) -> (usize, usize) {
    let stripes = registry.stripes.iter().map(|stripe| stripe.lock().footprint());
    stripes.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
}

/// The value of a family `gN` of an agent `aM`.
fn value(family: usize, agent: usize) -> f64 {
    (family * 10_000 + agent) as f64
}

/// Checks the values of a page with this many lines.
fn check_values(registry: &Registry, lines: usize) {
    let page = page(registry);
    assert_eq!(page.len(), lines);
    for line in page {
        let (family, rest) = line.split_once("{agent=\"a").unwrap();
        let (agent, shown) = rest.split_once("\"} ").unwrap();
        let expected = value(family[1..].parse().unwrap(), agent.parse().unwrap());
        assert_eq!(shown.parse(), Ok(expected), "{line}");
    }
}

#[test]
fn places_are_reused_and_freed() {
    let registry = registry();
    let names: Vec<_> = (0..100).map(|n| (leak(&format!("g{n}")), GAUGE)).collect();
    let wide = pin_fixed(&registry, 9, &names);
    let ids: Vec<_> = (0..2_000).map(|n| format!("a{n}")).collect();
    let values = |agent| -> Vec<_> { (0..100).map(|family| value(family, agent)).collect() };
    for (n, id) in ids.iter().enumerate() {
        let _ = enter(&registry, id, n as u64 + 1, &wide, &values(n));
    }
    let full = footprint(&registry);
    assert_eq!(full.0, 2_000);
    // Every second agent leaves and returns. Its place is reused.
    for round in 1..4_u64 {
        for (n, id) in ids.iter().enumerate().step_by(2) {
            let session = (round - 1) * 10_000 + n as u64 + 1;
            assert!(registry.leave(&pending(id, 0).id, session));
        }
        assert_eq!(registry.agent_count(), 1_000);
        check_values(&registry, 1_000 * 100);
        for (n, id) in ids.iter().enumerate().step_by(2) {
            let _ = enter(&registry, id, round * 10_000 + n as u64 + 1, &wide, &values(n));
        }
        assert_eq!(footprint(&registry), full);
    }
    check_values(&registry, 2_000 * 100);
    for (n, id) in ids.iter().enumerate() {
        let session = if n % 2 == 0 { 30_000 } else { 0 } + n as u64 + 1;
        assert!(registry.leave(&pending(id, 0).id, session));
    }
    assert_eq!(footprint(&registry), (0, 0));
    assert!(page(&registry).is_empty());
}

#[test]
fn agents_of_several_catalogs_are_copied_from_a_block() {
    let registry = registry();
    let (one, two) =
        (pin_fixed(&registry, 1, &[("g0", GAUGE), ("g1", GAUGE)]), pin_fixed(&registry, 2, &[]));
    let three = pin_fixed(&registry, 3, &[("g2", GAUGE)]);
    for n in 0..500 {
        let mut values = PendingValues::empty();
        for (slot, catalog) in [(1, &one), (2, &two), (4, &three)] {
            registry.set_catalog(&mut values, slot, catalog.clone()).unwrap();
        }
        apply(&mut values, &[0, 1, 2].map(|family| value(family, n)));
        assert!(registry.enter(&pending(&format!("a{n}"), n as u64 + 1), values, 0).is_ok());
    }
    check_values(&registry, 1_500);
    let shards = (0..3).map(|index| FleetShard::new(index, 3));
    let lines = shards.map(|shard| lines(&registry.snapshot_of_shard(shard)).len());
    assert_eq!(lines.sum::<usize>(), 1_500);
}

#[test]
fn agent_moves_out_of_its_block_and_back() {
    let registry = registry();
    let taken = || registry.budget.taken();
    let (fixed, disks) = (pin_fixed(&registry, 2, &[("load", GAUGE)]), disks(&registry, 1));
    let other = enter(&registry, "other", 2, &fixed, &[1.0]);
    let agent = enter(&registry, "a", 1, &fixed, &[7.0]);
    let in_block = (taken(), footprint(&registry));
    let set = |catalog: &CatalogPin| {
        let mut pending = registry.pending_values_of(&agent).unwrap().unwrap();
        registry.set_catalog(&mut pending, 0, catalog.clone()).unwrap();
        apply(&mut pending, &[8.0]);
        assert_eq!(registry.replace(&agent, pending), Ok(Some(vec![])));
    };
    for _ in 0..3 {
        set(&disks);
        replace(&registry, &agent, &change(0, 1, &[], &["sda"]));
        assert_eq!(store(&agent, &[9.0, 1.0, ABSENT]), Ok(true));
        let lines = ["load{agent=\"a\"} 9", "load{agent=\"other\"} 1"];
        assert_eq!(page(&registry), [lines[0], lines[1], "used{agent=\"a\",device=\"sda\"} 1"]);
        set(&fixed);
        assert_eq!(page(&registry), ["load{agent=\"a\"} 8", lines[1]]);
        assert_eq!((taken(), footprint(&registry)), in_block);
    }
    assert!(registry.leave(agent.id(), 1));
    assert!(registry.leave(other.id(), 2));
    assert_eq!(footprint(&registry), (0, 0));
}
