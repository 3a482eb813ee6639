//! Many catalogs with few agents: the time under the lock for one catalog must not grow with the
//! number of others.
//!
//! The tests measure CPU time of their thread in a debug build. Each bound is at least five times
//! the measured time, and far below the cost when every family of every catalog was tried again.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::*;

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// Returns the CPU time that `work` takes.
fn cost(work: impl FnOnce()) -> Duration {
    let begun = cpu();
    work();
    cpu() - begun
}

fn assert_cost(what: &str, cost: Duration, bound: Duration) {
    println!("{what}: {cost:?} of at most {bound:?}");
    assert!(cost < bound, "{what}: {cost:?} of CPU time, at most {bound:?}");
}

/// Catalogs that share families and have one of their own, and an agent for each.
struct Crowd {
    registry: Registry,
    catalogs: Vec<CatalogPin>,
    collector: Vec<String>,
}

impl Crowd {
    fn new(catalogs: usize, collector: usize, own: impl Fn(usize) -> (String, u8)) -> Self {
        let limits = CatalogLimits { catalogs: catalogs + 10, bytes: usize::MAX };
        let registry =
            Registry::new(limits, ConfiguredKinds::new(), Arc::new(MemoryBudget::new(usize::MAX)));
        let collector: Vec<_> = (0..collector).map(|n| format!("shared_{n}")).collect();
        let catalogs = (0..catalogs).map(|n| {
            let (name, kind) = own(n);
            let collector = collector.iter().map(|name| (name.as_str(), GAUGE));
            let families: Vec<_> = collector.chain([(name.as_str(), kind)]).collect();
            intern(&registry, n, &families)
        });
        let catalogs = catalogs.collect();
        Self { registry, catalogs, collector }
    }

    /// Registers the first agent, whose catalog declares the shared families as counters, and
    /// `also`.
    fn first_enters(&self, also: &[(&str, u8)]) {
        let counters = self.collector.iter().map(|name| (name.as_str(), COUNTER));
        let families: Vec<_> = counters.chain(also.iter().copied()).collect();
        let catalog = intern(&self.registry, self.catalogs.len(), &families);
        let row = vec![1.0; families.len()];
        let _ = enter(&self.registry, "first", 1, &catalog, &row);
    }

    fn first_leaves(&self) {
        assert!(self.registry.leave(&pending("first", 0).id, 1));
    }

    fn all_enter(&self) {
        let row = vec![1.0; self.collector.len() + 1];
        for (n, catalog) in self.catalogs.iter().enumerate() {
            let _ = enter(&self.registry, &format!("a{n}"), n as u64 + 10, catalog, &row);
        }
    }

    fn all_leave(&self) {
        for n in 0..self.catalogs.len() {
            assert!(self.registry.leave(&pending(&format!("a{n}"), 0).id, n as u64 + 10));
        }
    }

    fn families_on_the_page(&self) -> usize {
        self.registry.snapshot().families.len()
    }
}

fn intern(registry: &Registry, number: usize, families: &[(&str, u8)]) -> CatalogPin {
    let mut fingerprint = [0; 16];
    fingerprint[..8].copy_from_slice(&(number as u64).to_le_bytes());
    registry.catalogs().intern(Fingerprint(fingerprint), catalog(families), 10).unwrap()
}

#[test]
fn leaving_with_distinct_families_is_cheap() {
    let crowd = Crowd::new(1_000, 100, |n| (format!("own_{n}"), GAUGE));
    assert_cost("they come", cost(|| crowd.all_enter()), Duration::from_secs(5));
    assert_eq!(crowd.families_on_the_page(), 100 + 1_000);
    assert_cost("they leave", cost(|| crowd.all_leave()), Duration::from_secs(5));
    assert_eq!(crowd.families_on_the_page(), 0);
    assert_eq!(crowd.registry.agent_count(), 0);
}

#[test]
fn leaving_with_suppressed_families_is_cheap() {
    let crowd = Crowd::new(1_000, 100, |n| (format!("own_{n}"), GAUGE));
    crowd.first_enters(&[]);
    crowd.all_enter();
    assert_eq!(crowd.registry.families_suppressed(), 1_000 * 100);
    assert_cost("they leave", cost(|| crowd.all_leave()), Duration::from_secs(5));
    assert_eq!(crowd.registry.families_suppressed(), 0);
    assert_eq!(crowd.families_on_the_page(), 100);
}

#[test]
fn families_that_wait_for_another_name_are_not_tried() {
    let crowd = Crowd::new(1_000, 100, |_| ("own".to_owned(), GAUGE));
    crowd.first_enters(&[("own", COUNTER)]);
    crowd.all_enter();
    assert_eq!(crowd.registry.families_suppressed(), 1_000 * 101);
    let loot = intern(&crowd.registry, 1_001, &[("loot", GAUGE)]);
    let visits = cost(|| {
        for session in 20_000..20_100 {
            let _ = enter(&crowd.registry, "visitor", session, &loot, &[1.0]);
            assert!(crowd.registry.leave(&pending("visitor", 0).id, session));
        }
    });
    assert_cost("a hundred visits", visits, Duration::from_secs(1));
    // Families that wait for a freed name are tried.
    assert_cost("the first leaves", cost(|| crowd.first_leaves()), Duration::from_secs(1));
    assert_eq!(crowd.registry.families_suppressed(), 0);
    assert_eq!(crowd.families_on_the_page(), 101);
}

#[test]
fn page_with_many_suppressed_families_is_cheap() {
    let own = |n| ("own".to_owned(), if n == 0 { GAUGE } else { COUNTER });
    let crowd = Crowd::new(10_000, 10, own);
    crowd.all_enter();
    assert_eq!(crowd.registry.families_suppressed(), 9_999);
    let mut families = 0;
    let page = cost(|| families = crowd.families_on_the_page());
    assert_cost("a page", page, Duration::from_secs(2));
    assert_eq!(families, 11);
}

#[test]
fn evicting_all_unused_catalogs_is_cheap() {
    let Crowd { registry, catalogs, .. } = Crowd::new(10_000, 0, |n| (format!("own_{n}"), GAUGE));
    drop(catalogs);
    let evicting = cost(|| registry.catalogs.evict_unused());
    assert!(registry.catalogs.is_empty());
    assert_eq!(registry.budget.taken(), 0);
    assert_cost("they are forgotten", evicting, Duration::from_secs(1));
}

/// A registry that is full, with this number of catalogs.
fn full(count: usize) -> (Registry, Vec<CatalogPin>) {
    let limits = CatalogLimits { catalogs: count, bytes: 10 * count };
    let registry =
        Registry::new(limits, ConfiguredKinds::new(), Arc::new(MemoryBudget::new(usize::MAX)));
    let catalogs = (0..count).map(|n| intern(&registry, n, &[("load", GAUGE)])).collect();
    (registry, catalogs)
}

#[test]
fn catalog_that_evicts_many_others_is_cheap() {
    let (registry, catalogs) = full(20_000);
    drop(catalogs);
    let large = catalog(&[("large", GAUGE)]);
    let large = || registry.catalogs().intern(Fingerprint([0xff; 16]), large, 200_000).map(drop);
    assert_cost("they make room", cost(|| assert_eq!(large(), Ok(()))), Duration::from_secs(1));
    assert_eq!(registry.catalogs().len(), 1);
}

#[test]
fn many_catalogs_that_evict_one_each_are_cheap() {
    let (registry, catalogs) = full(20_000);
    drop(catalogs);
    let come = cost(|| {
        for n in 20_000..40_000 {
            drop(intern(&registry, n, &[("load", GAUGE)]));
        }
    });
    assert_cost("they come", come, Duration::from_secs(3));
    assert_eq!(registry.catalogs().len(), 20_000);
}

#[test]
fn many_refused_catalogs_are_cheap() {
    let (registry, catalogs) = full(20_000);
    let refused = cost(|| {
        for _ in 0..10_000 {
            let one = catalog(&[("load", GAUGE)]);
            let refused = registry.catalogs().intern(Fingerprint([0xff; 16]), one, 10).map(drop);
            assert_eq!(refused, Err(Code::CatalogsFull));
        }
    });
    assert_cost("they are refused", refused, Duration::from_secs(1));
    assert_eq!(registry.catalogs().len(), catalogs.len());
}
