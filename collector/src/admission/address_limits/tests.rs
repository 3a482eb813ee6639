//! Tests of the address limiter without sockets: they pass it connections, disconnections and
//! times.

use std::net::Ipv4Addr;

use super::*;

const WELL: SessionOutcome = SessionOutcome { reported: true, failed: false };
const NEVER_REPORTED: SessionOutcome = SessionOutcome { reported: false, failed: false };
const FAILED: SessionOutcome = SessionOutcome { reported: false, failed: true };
const HARMFUL: SessionOutcome = SessionOutcome { reported: true, failed: true };

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from(0x0a00_0000 + number).into()
}

/// A limiter with these limits: 50 connections, 30 of them unreported, ten handshakes per second,
/// five failures per minute, a pause of half a minute.
fn addresses() -> AddressLimiter {
    with_budget(usize::MAX)
}

fn with_budget(bytes: usize) -> AddressLimiter {
    let limits = AddressLimits {
        connections: 50,
        unreported: 30,
        handshakes: 10,
        failures: 5,
        pause: Duration::from_secs(30),
        exempt: Prefixes::try_new(["192.0.2.0/24"]).unwrap(),
    };
    AddressLimiter::new(limits, Arc::new(MemoryBudget::new(bytes)))
}

impl AddressLimiter {
    /// Counts a connection that ends at once with this outcome. If this pauses the address, returns
    /// the duration of the pause.
    fn connect_and_end(
        &self,
        address: IpAddr,
        outcome: SessionOutcome,
        now: Millis,
    ) -> Option<Millis> {
        self.take(address, now).unwrap();
        if outcome.reported {
            self.reported(address);
        }
        let pause = self.ended(address, outcome, now);
        self.leave(address, now);
        pause
    }

    fn refusal(&self, address: IpAddr, now: Millis) -> Option<(Code, Option<Millis>)> {
        self.check(address, now).err().map(|refusal| (refusal.code, refusal.retry_after))
    }
}

#[test]
fn address_with_too_many_failures_is_paused() {
    let (addresses, bad) = (addresses(), address(1));
    for _ in 0..5 {
        assert_eq!(addresses.connect_and_end(bad, FAILED, 1_000), None);
        assert_eq!(addresses.refusal(bad, 1_000), None);
    }
    assert_eq!(addresses.connect_and_end(bad, FAILED, 1_000), Some(30_000));
    assert_eq!(addresses.refusal(bad, 1_000), Some((Code::AddressPaused, Some(30_000))));
    assert_eq!(addresses.refusal(bad, 21_000), Some((Code::AddressPaused, Some(10_000))));
    assert_eq!(addresses.refusal(address(2), 1_000), None, "other addresses are not paused");
    assert_eq!(addresses.refusal(bad, 31_000), None);
    let again = addresses.connect_and_end(bad, FAILED, 31_000);
    assert_eq!(again, Some(30_000), "the bucket of failures is still full");
}

#[test]
fn failures_during_a_pause_do_not_extend_it() {
    let (addresses, bad) = (addresses(), address(1));
    (0..20).for_each(|_| addresses.take(bad, 0).unwrap());
    let pauses = (0..20).filter(|_| addresses.ended(bad, FAILED, 0).is_some()).count();
    assert_eq!(pauses, 1);
    assert_eq!(addresses.refusal(bad, 30_000), None);
}

#[test]
fn rare_failures_do_not_pause() {
    let (addresses, clumsy) = (addresses(), address(1));
    for minute in 0..60 {
        for _ in 0..5 {
            assert_eq!(addresses.connect_and_end(clumsy, FAILED, minute * 60_000), None);
        }
    }
}

#[test]
fn ends_without_failure_do_not_pause() {
    let (addresses, shy) = (addresses(), address(1));
    for second in 0..100 {
        assert_eq!(addresses.connect_and_end(shy, NEVER_REPORTED, second * 1_000), None);
        assert_eq!(addresses.refusal(shy, second * 1_000), None);
    }
}

#[test]
fn address_with_reporting_agents_is_not_paused() {
    let (addresses, collector) = (addresses(), address(1));
    addresses.take(collector, 0).unwrap();
    addresses.reported(collector);
    for _ in 0..40 {
        assert_eq!(addresses.connect_and_end(collector, FAILED, 10_000), None);
        assert_eq!(addresses.refusal(collector, 20_000), None);
    }
    // Nor shortly after its agent has left.
    addresses.ended(collector, WELL, 20_000);
    addresses.leave(collector, 20_000);
    for _ in 0..40 {
        assert_eq!(addresses.connect_and_end(collector, FAILED, 20_000 + TRUSTED_FOR - 1), None);
    }
    let later = 20_000 + TRUSTED_FOR;
    assert!((0..6).any(|_| addresses.connect_and_end(collector, FAILED, later).is_some()));
}

#[test]
fn first_report_ends_a_pause() {
    let (addresses, collector) = (addresses(), address(1));
    addresses.take(collector, 0).unwrap();
    for _ in 0..6 {
        addresses.connect_and_end(collector, FAILED, 0);
    }
    assert!(addresses.refusal(collector, 10_000).is_some());
    addresses.reported(collector);
    assert_eq!(addresses.refusal(collector, 10_000), None);
}

#[test]
fn agents_that_report_and_then_fail_earn_no_trust() {
    let (addresses, harmful) = (addresses(), address(1));
    let pauses = (0..6).filter_map(|_| addresses.connect_and_end(harmful, HARMFUL, 0)).count();
    assert_eq!(pauses, 1);
    assert!(addresses.refusal(harmful, 0).is_some());
}

#[test]
fn failing_agent_does_not_end_the_trust_of_others() {
    let (addresses, collector) = (addresses(), address(1));
    addresses.take(collector, 0).unwrap();
    addresses.reported(collector);
    for _ in 0..40 {
        assert_eq!(addresses.connect_and_end(collector, HARMFUL, 0), None);
    }
    assert_eq!(addresses.refusal(collector, 10_000), None);
}

#[test]
fn connections_of_an_address_are_limited() {
    let (addresses, busy) = (addresses(), address(1));
    for second in 0..50 {
        addresses.take(busy, second * 1_000).unwrap();
    }
    assert_eq!(addresses.take(busy, 50_000), Err(Code::AddressFull));
    assert_eq!(addresses.refusal(busy, 50_000), Some((Code::AddressFull, None)));
    assert_eq!(addresses.take(address(2), 50_000), Ok(()));
    addresses.forget_idle(1_000_000);
    assert_eq!(addresses.take(busy, 1_000_000), Err(Code::AddressFull), "even after a long time");
    addresses.leave(busy, 1_000_000);
    assert_eq!(addresses.take(busy, 1_000_000), Ok(()));
}

#[test]
fn flood_of_connections_is_refused_with_a_retry_delay() {
    let (addresses, flood) = (addresses(), address(1));
    let burst = std::iter::from_fn(|| {
        addresses.check(flood, 5_000).ok()?;
        Some(addresses.connect_and_end(flood, WELL, 5_000))
    });
    assert_eq!(burst.take(1_000).count(), 100, "a burst of ten seconds");
    assert_eq!(addresses.refusal(flood, 5_000), Some((Code::AddressPaused, Some(10_000))));
    assert_eq!(addresses.refusal(flood, 5_100), None, "then ten per second");
    assert_eq!(addresses.refusal(address(2), 5_000), None);
}

#[test]
fn exempt_addresses_are_not_limited() {
    let (addresses, balancer) = (addresses(), "192.0.2.9".parse().unwrap());
    for _ in 0..200 {
        assert_eq!(addresses.refusal(balancer, 0), None);
        addresses.take(balancer, 0).unwrap();
        assert_eq!(addresses.ended(balancer, FAILED, 0), None);
    }
    assert!(addresses.is_empty());
    addresses.leave(balancer, 0);
}

#[test]
fn ipv6_addresses_count_by_64_prefix_and_mapped_ipv4_as_ipv4() {
    let same = |one: &str, other: &str| {
        let source = |text: &str| Source::from(text.parse::<IpAddr>().unwrap());
        source(one) == source(other)
    };
    assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"));
    assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
    assert!(same("::ffff:192.0.2.1", "192.0.2.1"));
    assert!(!same("192.0.2.1", "192.0.2.2"));
}

#[test]
fn idle_records_are_limited() {
    let addresses = addresses();
    let old = address(5_000_000);
    addresses.connect_and_end(old, WELL, 0);
    for number in 0..200_000 {
        addresses.connect_and_end(address(number), FAILED, 0);
    }
    assert_eq!(addresses.len(), IDLE_ADDRESSES);
    assert_eq!(addresses.budget.taken(), IDLE_ADDRESSES * RECORD_BYTES);
    for _ in 0..40 {
        addresses.connect_and_end(old, FAILED, 0);
    }
    assert_eq!(addresses.refusal(old, 0), None, "new addresses evict no older record");
    addresses.forget_idle(60_000);
    assert_eq!(addresses.len(), 1, "the record is still trusted");
    addresses.forget_idle(TRUSTED_FOR + 60_000);
    assert!(addresses.is_empty());
    assert_eq!((addresses.budget.taken(), addresses.idle.into_inner()), (0, 0));
}

#[test]
fn records_are_charged_to_the_memory_budget() {
    let addresses = with_budget(10 * RECORD_BYTES);
    let taken = (0..20).filter(|number| addresses.take(address(*number), 0).is_ok()).count();
    assert_eq!(taken, 10);
    assert_eq!(addresses.take(address(19), 0), Err(Code::CollectorFull));
    (0..10).for_each(|number| addresses.leave(address(number), 0));
    addresses.forget_idle(1_000);
    assert_eq!((addresses.len(), addresses.budget.taken()), (0, 0));
}

#[test]
fn unreported_connections_of_an_address_are_limited() {
    let (addresses, bad) = (addresses(), address(1));
    addresses.take(bad, 0).unwrap();
    addresses.reported(bad);
    for _ in 0..30 {
        assert_eq!(addresses.refusal(bad, 0), None);
        addresses.take(bad, 0).unwrap();
    }
    assert_eq!(addresses.refusal(bad, 0), Some((Code::HandshakesFull, None)));
    assert_eq!(addresses.refusal(address(2), 0), None, "other addresses are not refused");
    addresses.reported(bad);
    assert_eq!(addresses.refusal(bad, 0), None, "one of them has reported");
}

#[test]
fn handshake_rate_is_limited_for_any_configured_rate() {
    for handshakes in [3, 334, 999] {
        let limits = AddressLimits { handshakes, connections: 1 << 20, ..addresses().limits };
        let limits = AddressLimits { unreported: 1 << 20, ..limits };
        let (addresses, busy) =
            (AddressLimiter::new(limits, Arc::new(MemoryBudget::new(usize::MAX))), address(1));
        let taken = |at| {
            let fits = || addresses.check(busy, at).is_ok() && addresses.take(busy, at).is_ok();
            (0..).take_while(|_| fits()).count() as u64
        };
        assert_eq!(taken(0), handshakes * 10);
        let next: u64 = (1..=20).map(|tenth| taken(tenth * 100)).sum();
        assert_eq!(next, handshakes * 2);
    }
}
