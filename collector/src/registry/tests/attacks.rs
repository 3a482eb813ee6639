//! Attacks on the memory of the registry: what a small frame makes it store or charge.

use std::time::{Duration, Instant};

use super::*;

/// A catalog of one gauge in this many tables with the row label `device`.
fn many_tables(registry: &Registry, number: u8, tables: u32) -> CatalogPin {
    let numbers: Vec<_> = (0..tables).map(|n| n.to_string()).collect();
    let columns = |n| vec![Column { labels: vec![rows::label("n", n)], ..column(0) }];
    let table = |n| Table { row_labels: vec!["device"], columns: columns(n) };
    let tables = numbers.iter().map(|n| table(n)).collect();
    pin(registry, number, catalog_of(&[(&format!("g{number}"), GAUGE)], tables))
}

/// A Hello of 300 bytes once stored 800,000 sets of rows.
#[test]
fn hello_of_catalogs_of_many_tables_stores_no_rows_and_takes_no_memory_for_them() {
    const TABLES: u32 = 2_000;
    let registry = registry();
    let catalogs: Vec<_> = (0..16).map(|n| many_tables(&registry, n, TABLES)).collect();
    let before = registry.budget.taken();
    let mut values = PendingValues::empty();
    for (slot, catalog) in catalogs.iter().enumerate() {
        registry.set_catalog(&mut values, slot, catalog.clone()).unwrap();
    }
    assert_eq!(registry.rows.len(), 0);
    let taken = registry.budget.taken() - before;
    assert!(taken < 16 * 100, "{taken} bytes for 16 catalogs");
    let columns = 16 * TABLES;
    let limits = |max_series| Limits { max_series, ..Limits::default() };
    let violation = values.check_catalogs(&limits(columns - 1)).unwrap_err();
    assert_eq!(violation.code(), Code::TooManySeries);
    assert_eq!(values.check_catalogs(&limits(columns)), Ok(()));
    assert!(registry.enter(&pending("a", 1), values, 0).is_ok());
    let taken = registry.budget.taken() - before;
    assert!(taken < 16 * 100 + 500, "{taken} bytes for an agent");
}

/// The sum of the columns is checked before the names, which take longer to compare.
#[test]
fn hello_that_repeats_a_catalog_is_refused() {
    let registry = registry();
    let one = many_tables(&registry, 1, 10);
    let mut pending = PendingValues::empty();
    for slot in 0..16 {
        registry.set_catalog(&mut pending, slot, one.clone()).unwrap();
    }
    for (max_series, code) in [(159, Code::TooManySeries), (160, Code::DuplicateFamily)] {
        let limits = Limits { max_series, ..Limits::default() };
        assert_eq!(pending.check_catalogs(&limits).unwrap_err().code(), code);
    }
}

#[test]
fn first_row_of_one_of_many_tables_is_charged() {
    const TABLES: usize = 1_000;
    let registry = registry();
    let many = many_tables(&registry, 1, TABLES as u32);
    let mut pending = PendingValues::empty();
    registry.set_catalog(&mut pending, 3, many).unwrap();
    let before = registry.budget.taken();
    let limits = Limits::default();
    registry.change_rows(&mut pending, &[change(3, 7, &[], &["sda"])], &limits).unwrap();
    let taken = registry.budget.taken() - before;
    assert!(taken > TABLES * 8, "{taken} bytes: a reference for each table");
    registry.change_rows(&mut pending, &[change(3, 7, &[0], &[])], &limits).unwrap();
    assert_eq!(registry.budget.taken(), before);
}

#[test]
fn current_values_are_charged_before_a_rows_frame_copies_them() {
    let registry = registry_with(1 << 20);
    let names: Vec<_> = (0..1_000).map(|n| (leak(&format!("g{n}")), GAUGE)).collect();
    let wide = pin_fixed(&registry, 1, &names[..100]);
    let agent = enter(&registry, "a", 1, &wide, &[1.0; 100]);
    let before = registry.budget.taken();
    let pending = registry.pending_values_of(&agent).unwrap().unwrap();
    assert!(registry.budget.taken() >= before + 100 * 8);
    drop(pending);
    registry.budget.correct(0, registry.budget.limit() - before - 100);
    let copied = registry.pending_values_of(&agent).map(|pending| pending.is_some());
    assert_eq!(copied, Err(Code::CollectorFull));
}

/// A session once ended because an agent removed rows.
#[test]
fn rows_are_removed_while_the_memory_limit_is_exceeded() {
    let registry = registry_with(1 << 20);
    let disks = rows::disks(&registry, 1);
    let names: Vec<_> = (0..1_000).map(|n| format!("disk{n:04}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut pending = values_of(&registry, &disks, &[1.0]);
    let limits = Limits::default();
    registry.change_rows(&mut pending, &[change(0, 1, &[], &names)], &limits).unwrap();
    let before = registry.budget.taken();
    registry.budget.correct(0, 1 << 20);
    let all: Vec<u32> = (0..1_000).collect();
    registry.change_rows(&mut pending, &[change(0, 1, &all, &[])], &limits).unwrap();
    assert!(registry.budget.taken() - (1 << 20) < before - 2_000 * 8);
}

#[test]
fn rows_evict_unused_catalogs_at_the_memory_limit() {
    let registry = registry_with(2 << 20);
    let disks = rows::disks(&registry, 1);
    let names: Vec<_> = (0..100).map(|n| (leak(&format!("g{n}")), GAUGE)).collect();
    drop(pin_fixed(&registry, 2, &names));
    let mut pending = PendingValues::empty();
    registry.set_catalog(&mut pending, 0, disks).unwrap();
    registry.budget.correct(0, registry.budget.limit() - registry.budget.taken());
    let names: Vec<_> = (0..1_000).map(|n| format!("disk{n:04}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let added = change(0, 1, &[], &names);
    registry.change_rows(&mut pending, &[added], &Limits::default()).unwrap();
    assert_eq!((registry.catalogs().len(), registry.budget.refusals()), (1, 0));
    assert!(registry.budget.taken() <= registry.budget.limit());
}

/// Eviction takes long, and a stripe has a sixty-fourth of the fleet.
#[test]
fn catalogs_are_evicted_without_the_lock_of_a_stripe() {
    let registry = registry_with(2 << 20);
    let one = pin_fixed(&registry, 1, &[("load", GAUGE)]);
    let long = PendingAgent { labels: "x".repeat(1_000).into(), ..pending("a", 1) };
    let agent = registry.enter(&long, values_of(&registry, &one, &[1.0]), 0).unwrap().agent;
    let evicts = |number, work: &(dyn Fn() + Sync)| {
        drop(pin_fixed(&registry, number, &[("x", GAUGE), ("y", GAUGE), ("z", GAUGE)]));
        registry.budget.correct(0, registry.budget.limit() - registry.budget.taken());
        std::thread::scope(|scope| {
            let stripe = registry.stripe(agent.id()).lock();
            scope.spawn(work);
            let deadline = Instant::now() + Duration::from_secs(60);
            while registry.catalogs().len() > 1 {
                assert!(Instant::now() < deadline, "waits for the stripe");
                std::thread::yield_now();
            }
            drop(stripe);
        });
    };
    let replacement = registry.pending_values_of(&agent).unwrap();
    let newcomer = Mutex::new(Some(values_of(&registry, &one, &[1.0])));
    let replacement = Mutex::new(replacement);
    evicts(2, &|| {
        let replaced = registry.replace(&agent, replacement.lock().take().unwrap());
        assert_eq!(replaced, Ok(Some(vec![])));
    });
    evicts(3, &|| {
        let entered = registry.enter(&pending("a", 2), newcomer.lock().take().unwrap(), 0);
        assert!(entered.is_ok());
    });
}

#[test]
fn layouts_of_many_catalogs_are_charged() {
    let registry = registry();
    let names: Vec<_> = (0..16).map(|n| leak(&format!("g{n}"))).collect();
    let catalogs: Vec<_> =
        (0..16).map(|n| pin_fixed(&registry, n, &[(names[n as usize], GAUGE)])).collect();
    let before = registry.budget.taken();
    let agent = pending("a", 1);
    let taken_by = |count: usize| {
        let mut pending = PendingValues::empty();
        for (slot, catalog) in catalogs.iter().take(count).enumerate() {
            registry.set_catalog(&mut pending, slot, catalog.clone()).unwrap();
        }
        assert!(registry.budget.taken() > before + count * 32, "pending");
        apply(&mut pending, &vec![1.0; count]);
        registry.enter(&agent, pending, 0).unwrap();
        let taken = registry.budget.taken() - before;
        assert!(registry.leave(&agent.id, 1));
        assert_eq!(registry.budget.taken(), before);
        taken
    };
    // Each slot takes 32 bytes for its catalog, 8 for a value and 16 for its key in the layout
    // store.
    assert!(taken_by(16) - taken_by(1) >= 15 * (32 + 8 + 16));
}

#[test]
fn stores_shrink_after_a_fleet_has_left() {
    let registry = registry();
    let kept: Vec<_> = (0..20_000)
        .map(|n| {
            let name = format!("disk{n}");
            let added = change(0, 1, &[], &[&name]);
            let (rows, _) = fleetgauge_proto::rows::TableRows::default().edit(1, &added).unwrap();
            registry.rows.intern(rows, |bytes| registry.take(bytes)).unwrap()
        })
        .collect();
    let full = registry.rows.capacity();
    registry.shrink();
    assert_eq!(registry.rows.capacity(), full, "it is in use");
    drop(kept);
    registry.shrink();
    assert!(registry.rows.capacity() < IDLE_SLOTS, "{}", registry.rows.capacity());
}
