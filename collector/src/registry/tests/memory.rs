//! Memory that the registry takes from the budget and gives back.

use super::*;

#[test]
fn all_memory_is_given_back() {
    let registry = registry();
    let taken = || registry.budget.taken();
    let schemas: Vec<_> = (1..=3)
        .map(|n| pin(&registry, n, &[("load", 1), ("more", 1)][..1 + n as usize % 2]))
        .collect();
    let without_agents = taken();
    for round in 0..3_u64 {
        let ids: Vec<_> = (0..500).map(|n| format!("agent-{n}-{}", "x".repeat(n % 100))).collect();
        for (n, id) in ids.iter().enumerate() {
            let schema = &schemas[(n + round as usize) % 3];
            let width = schema.entry().schema().width;
            // From the second session on, it takes over an older connection.
            for session in [1, 2] {
                let session = round * 10_000 + session * 1_000 + n as u64;
                let entered = registry.enter(
                    &pending(id, session),
                    schema.entry(),
                    &Values::All(&values(&vec![1.0; width])),
                    round * 120_000,
                );
                assert!(entered.is_ok());
            }
        }
        assert!(taken() > without_agents + 500 * 150);
        for (n, id) in ids.iter().enumerate() {
            assert!(registry.leave(&pending(id, 0).id, round * 10_000 + 2_000 + n as u64));
        }
        assert_eq!(taken(), without_agents);
    }
    drop(schemas);
    registry.schemas.forget_unused();
    assert_eq!(taken(), 0);
    assert!(registry.schemas.is_empty());
}

#[test]
fn agents_over_the_memory_limit_are_refused() {
    const LIMIT: usize = 1 << 20;
    let registry = registry_with(LIMIT);
    let wide = schema(&(0..100).map(|n| (leak(&format!("g{n}")), 1)).collect::<Vec<_>>());
    let wide = registry.schemas().intern(Fingerprint([9; 16]), wide, 10).unwrap();
    let row = values(&[1.0; 100]);
    let enter = |n: u64| {
        let agent =
            PendingAgent { labels: "x".repeat(8_000).into(), ..pending(&format!("a{n}"), n) };
        registry.enter(&agent, wide.entry(), &Values::All(&row), 0).map(drop)
    };
    let shown = (1..1_000).take_while(|n| enter(*n).is_ok()).count();
    assert!((80..130).contains(&shown), "{shown}");
    let page_growth = 16 * 1024;
    for n in 1_000..3_000 {
        assert_eq!(enter(n), Err(Code::CollectorFull));
        assert!(registry.budget.taken() <= LIMIT + page_growth, "{}", registry.budget.taken());
    }
    assert_eq!(registry.agent_count(), shown);
    assert_eq!(registry.budget.refusals(), 2_001);
    // A schema is refused as well. Agents that leave and unpinned schemas free memory.
    let names: Vec<_> = (0..20).map(|n| (leak(&format!("other{n}")), 1)).collect();
    let other = || registry.schemas().intern(Fingerprint([8; 16]), schema(&names), 10).map(drop);
    assert_eq!(other(), Err(Code::CollectorFull));
    for n in 1..=5 {
        assert!(registry.leave(&pending(&format!("a{n}"), n).id, n));
    }
    assert_eq!(other(), Ok(()));
    assert_eq!(registry.schemas().len(), 2);
    assert!((4_000..4_010).take_while(|n| enter(*n).is_ok()).count() >= 3);
    assert_eq!(registry.schemas().len(), 1, "the unused schema was evicted");
}

#[test]
fn map_shrinks_after_a_fleet_has_left() {
    let registry = registry();
    let one = pin(&registry, 1, &[("load", 1)]);
    let ids: Vec<_> = (1..=20_000).map(|n| format!("a{n}")).collect();
    for (n, id) in (1..).zip(&ids) {
        let _ = enter(&registry, id, n, &one, &[1.0]);
    }
    let full = registry.agents.capacity();
    registry.shrink();
    assert_eq!(registry.agents.capacity(), full, "the port is in use");
    for (n, id) in (1..).zip(&ids).skip(10) {
        assert!(registry.leave(&pending(id, n).id, n));
    }
    registry.shrink();
    assert!(registry.agents.capacity() < IDLE_SLOTS, "{}", registry.agents.capacity());
    assert_eq!(page(&registry).len(), 10);
}
