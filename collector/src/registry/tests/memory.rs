//! Memory that the registry takes from the budget and gives back.

use super::*;

#[test]
fn all_memory_is_given_back() {
    let registry = registry();
    let taken = || registry.budget.taken();
    let catalogs: Vec<_> = (1..=3)
        .map(|n| {
            let families = [("load", GAUGE), ("more", GAUGE)];
            pin_fixed(&registry, n, &families[..1 + n as usize % 2])
        })
        .collect();
    let without_agents = taken();
    for round in 0..3_u64 {
        let ids: Vec<_> = (0..500).map(|n| format!("agent-{n}-{}", "x".repeat(n % 100))).collect();
        for (n, id) in ids.iter().enumerate() {
            let catalog = &catalogs[(n + round as usize) % 3];
            let width = catalog.entry().catalog().families.len();
            // From the second session on, it takes over an older connection.
            for session in [1, 2] {
                let session = round * 10_000 + session * 1_000 + n as u64;
                let values = values_of(&registry, catalog, &vec![1.0; width]);
                let entered = registry.enter(&pending(id, session), values, round * 120_000);
                assert!(entered.is_ok());
            }
        }
        assert!(taken() > without_agents + 500 * 150);
        for (n, id) in ids.iter().enumerate() {
            assert!(registry.leave(&pending(id, 0).id, round * 10_000 + 2_000 + n as u64));
        }
        assert_eq!(taken(), without_agents);
    }
    drop(catalogs);
    registry.catalogs.evict_unused();
    assert_eq!(taken(), 0);
    assert!(registry.catalogs.is_empty());
}

#[test]
fn agents_over_the_memory_limit_are_refused() {
    const LIMIT: usize = 1 << 20;
    let registry = registry_with(LIMIT);
    let names: Vec<_> = (0..100).map(|n| (leak(&format!("g{n}")), GAUGE)).collect();
    let wide = pin_fixed(&registry, 9, &names);
    let enter = |n: u64| {
        let agent =
            PendingAgent { labels: "x".repeat(8_000).into(), ..pending(&format!("a{n}"), n) };
        let mut values = PendingValues::empty();
        registry.set_catalog(&mut values, 0, wide.clone())?;
        apply(&mut values, &[1.0; 100]);
        registry.enter(&agent, values, 0).map(drop)
    };
    let shown = (1..1_000).take_while(|n| enter(*n).is_ok()).count();
    assert!((80..130).contains(&shown), "{shown}");
    for n in 1_000..3_000 {
        assert_eq!(enter(n), Err(Code::CollectorFull));
        assert!(registry.budget.taken() <= LIMIT, "{}", registry.budget.taken());
    }
    assert_eq!(registry.agent_count(), shown);
    assert_eq!(registry.budget.refusals(), 2_001);
    // A catalog is refused as well. Agents that leave and unpinned catalogs free memory.
    let names: Vec<_> = (0..20).map(|n| (leak(&format!("other{n}")), GAUGE)).collect();
    let other = || registry.catalogs().intern(Fingerprint([8; 16]), catalog(&names), 10).map(drop);
    assert_eq!(other(), Err(Code::CollectorFull));
    for n in 1..=5 {
        assert!(registry.leave(&pending(&format!("a{n}"), n).id, n));
    }
    assert_eq!(other(), Ok(()));
    assert_eq!(registry.catalogs().len(), 2);
    assert!((4_000..4_010).take_while(|n| enter(*n).is_ok()).count() >= 3);
    assert_eq!(registry.catalogs().len(), 1, "the unused catalog was evicted");
}

#[test]
fn map_shrinks_after_a_fleet_has_left() {
    let registry = registry();
    let one = pin_fixed(&registry, 1, &[("load", GAUGE)]);
    let ids: Vec<_> = (1..=20_000).map(|n| format!("a{n}")).collect();
    for (n, id) in (1..).zip(&ids) {
        let _ = enter(&registry, id, n, &one, &[1.0]);
    }
    let full = registry.agents.capacity();
    registry.shrink();
    assert_eq!(registry.agents.capacity(), full, "it is in use");
    for (n, id) in (1..).zip(&ids).skip(10) {
        assert!(registry.leave(&pending(id, n).id, n));
    }
    registry.shrink();
    assert!(registry.agents.capacity() < IDLE_SLOTS, "{}", registry.agents.capacity());
    assert_eq!(page(&registry).len(), 10);
}

#[test]
fn memory_of_rows_and_their_values_is_given_back() {
    let registry = registry();
    let disks = rows::disks(&registry, 1);
    let without_agents = registry.budget.taken();
    let names: Vec<_> = (0..1_000).map(|n| format!("disk{n:04}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let all: Vec<u32> = (0..1_000).collect();
    let agent = enter(&registry, "a", 1, &disks, &[7.0]);
    let without_rows = registry.budget.taken();
    for _ in 0..3 {
        rows::replace(&registry, &agent, &change(0, 1, &[], &names));
        let rows = 1_000 * (2 * 8 + "disk0000".len());
        assert!(registry.budget.taken() > without_rows + rows);
        rows::replace(&registry, &agent, &change(0, 1, &all, &[]));
        assert_eq!(registry.budget.taken(), without_rows);
    }
    rows::replace(&registry, &agent, &change(0, 1, &[], &names));
    assert!(registry.leave(agent.id(), 1));
    assert_eq!(registry.budget.taken(), without_agents);
    assert_eq!(registry.rows.len(), 0);
}

#[test]
fn rows_over_the_memory_limit_are_refused() {
    let registry = registry_with(64 << 10);
    let disks = rows::disks(&registry, 1);
    let agent = enter(&registry, "a", 1, &disks, &[7.0]);
    let before = registry.budget.taken();
    let names: Vec<_> = (0..10_000).map(|n| format!("disk{n:04}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut pending = registry.pending_values_of(&agent).unwrap().unwrap();
    let refused =
        registry.change_rows(&mut pending, &[change(0, 1, &[], &names)], &Limits::default());
    assert!(matches!(refused, Err(ChangeError::Full(Code::CollectorFull))));
    drop(pending);
    assert_eq!((registry.budget.taken(), registry.budget.refusals()), (before, 1));
    assert_eq!(page(&registry), ["load{agent=\"a\"} 7"]);
}

#[test]
fn values_that_no_page_shows_yet_are_charged() {
    let registry = registry();
    let disks = rows::disks(&registry, 1);
    let before = registry.budget.taken();
    let names: Vec<_> = (0..1_000).map(|n| format!("disk{n:04}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut pending = values_of(&registry, &disks, &[1.0]);
    registry.change_rows(&mut pending, &[change(0, 1, &[], &names)], &Limits::default()).unwrap();
    let rows = 1_000 * "disk0000".len();
    assert!(registry.budget.taken() > before + rows + 2_000 * 8);
    drop(pending);
    assert_eq!(registry.budget.taken(), before);
}

#[test]
fn equal_layouts_are_shared_and_unused_ones_removed() {
    let registry = registry();
    let one = pin_fixed(&registry, 1, &[("load", GAUGE)]);
    let agents: Vec<_> =
        (1..=20).map(|n| enter(&registry, &format!("a{n}"), n, &one, &[1.0])).collect();
    assert!(agents.iter().all(|agent| Arc::ptr_eq(&layout(agent), &layout(&agents[0]))));
    assert_eq!(registry.layouts.len(), 1);
    for n in 0..1_000_u64 {
        let mut fingerprint = [0; 16];
        fingerprint[8..].copy_from_slice(&n.to_le_bytes());
        let own = catalog(&[("own", GAUGE)]);
        let own = registry.catalogs().intern(Fingerprint(fingerprint), own, 10).unwrap();
        let _ = enter(&registry, "b", 100 + n, &own, &[1.0]);
        assert!(registry.leave(&pending("b", 0).id, 100 + n));
        assert!(registry.layouts.len() < 70, "{}", registry.layouts.len());
    }
}
