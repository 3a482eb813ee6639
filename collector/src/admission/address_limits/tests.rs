//! The address limiter without sockets: connections, their ends and the time.

use std::net::Ipv4Addr;

use super::*;

const WELL: SessionOutcome = SessionOutcome { reported: true, failed: false };
const NEVER_REPORTED: SessionOutcome = SessionOutcome { reported: false, failed: false };
const FAILED: SessionOutcome = SessionOutcome { reported: false, failed: true };
const HARMFUL: SessionOutcome = SessionOutcome { reported: true, failed: true };

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from(0x0a00_0000 + number).into()
}

/// 50 connections, 30 of them unreported, ten handshakes a second, five failures a minute, half a
/// minute's pause.
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
    /// A connection that ends so as soon as it has come; the pause that begins.
    fn visit(&self, address: IpAddr, conduct: SessionOutcome, now: Millis) -> Option<Millis> {
        self.take(address, now).unwrap();
        if conduct.reported {
            self.reported(address);
        }
        let pause = self.ended(address, conduct, now);
        self.leave(address, now);
        pause
    }

    fn told(&self, address: IpAddr, now: Millis) -> Option<(Code, Option<Millis>)> {
        self.check(address, now).err().map(|refusal| (refusal.code, refusal.retry_after))
    }
}

#[test]
fn an_address_that_fails_too_often_is_paused() {
    let (addresses, bad) = (addresses(), address(1));
    for _ in 0..5 {
        assert_eq!(addresses.visit(bad, FAILED, 1_000), None);
        assert_eq!(addresses.told(bad, 1_000), None);
    }
    assert_eq!(addresses.visit(bad, FAILED, 1_000), Some(30_000));
    assert_eq!(addresses.told(bad, 1_000), Some((Code::AddressPaused, Some(30_000))));
    assert_eq!(addresses.told(bad, 21_000), Some((Code::AddressPaused, Some(10_000))));
    assert_eq!(addresses.told(address(2), 1_000), None, "others are not");
    assert_eq!(addresses.told(bad, 31_000), None);
    let again = addresses.visit(bad, FAILED, 31_000);
    assert_eq!(again, Some(30_000), "it has not made up for anything yet");
}

#[test]
fn failures_that_are_still_under_way_do_not_make_a_pause_longer() {
    let (addresses, bad) = (addresses(), address(1));
    (0..20).for_each(|_| addresses.take(bad, 0).unwrap());
    let pauses = (0..20).filter(|_| addresses.ended(bad, FAILED, 0).is_some()).count();
    assert_eq!(pauses, 1);
    assert_eq!(addresses.told(bad, 30_000), None);
}

#[test]
fn failures_that_are_rare_pause_nobody() {
    let (addresses, clumsy) = (addresses(), address(1));
    for minute in 0..60 {
        for _ in 0..5 {
            assert_eq!(addresses.visit(clumsy, FAILED, minute * 60_000), None);
        }
    }
}

#[test]
fn ends_that_are_no_failures_pause_nobody() {
    let (addresses, shy) = (addresses(), address(1));
    for second in 0..100 {
        assert_eq!(addresses.visit(shy, NEVER_REPORTED, second * 1_000), None);
        assert_eq!(addresses.told(shy, second * 1_000), None);
    }
}

#[test]
fn an_address_whose_agents_report_is_not_paused() {
    let (addresses, collector) = (addresses(), address(1));
    addresses.take(collector, 0).unwrap();
    addresses.reported(collector);
    for _ in 0..40 {
        assert_eq!(addresses.visit(collector, FAILED, 10_000), None);
        assert_eq!(addresses.told(collector, 20_000), None);
    }
    // Nor while its agent is away.
    addresses.ended(collector, WELL, 20_000);
    addresses.leave(collector, 20_000);
    for _ in 0..40 {
        assert_eq!(addresses.visit(collector, FAILED, 20_000 + TRUSTED_FOR - 1), None);
    }
    let later = 20_000 + TRUSTED_FOR;
    assert!((0..6).any(|_| addresses.visit(collector, FAILED, later).is_some()));
}

#[test]
fn an_agent_that_reports_lifts_the_pause() {
    let (addresses, collector) = (addresses(), address(1));
    addresses.take(collector, 0).unwrap();
    for _ in 0..6 {
        addresses.visit(collector, FAILED, 0);
    }
    assert!(addresses.told(collector, 10_000).is_some());
    addresses.reported(collector);
    assert_eq!(addresses.told(collector, 10_000), None);
}

#[test]
fn reports_do_not_buy_the_right_to_fail() {
    let (addresses, harmful) = (addresses(), address(1));
    let pauses = (0..6).filter_map(|_| addresses.visit(harmful, HARMFUL, 0)).count();
    assert_eq!(pauses, 1);
    assert!(addresses.told(harmful, 0).is_some());
}

#[test]
fn an_agent_that_does_harm_does_not_cost_its_neighbours_their_trust() {
    let (addresses, collector) = (addresses(), address(1));
    addresses.take(collector, 0).unwrap();
    addresses.reported(collector);
    for _ in 0..40 {
        assert_eq!(addresses.visit(collector, HARMFUL, 0), None);
    }
    assert_eq!(addresses.told(collector, 10_000), None);
}

#[test]
fn connections_are_counted() {
    let (addresses, busy) = (addresses(), address(1));
    for second in 0..50 {
        addresses.take(busy, second * 1_000).unwrap();
    }
    assert_eq!(addresses.take(busy, 50_000), Err(Code::AddressFull));
    assert_eq!(addresses.told(busy, 50_000), Some((Code::AddressFull, None)));
    assert_eq!(addresses.take(address(2), 50_000), Ok(()));
    addresses.forget_idle(1_000_000);
    assert_eq!(addresses.take(busy, 1_000_000), Err(Code::AddressFull), "however quiet they are");
    addresses.leave(busy, 1_000_000);
    assert_eq!(addresses.take(busy, 1_000_000), Ok(()));
}

#[test]
fn a_flood_of_connections_is_told_when_to_come_back() {
    let (addresses, flood) = (addresses(), address(1));
    let burst = std::iter::from_fn(|| {
        addresses.check(flood, 5_000).ok()?;
        Some(addresses.visit(flood, WELL, 5_000))
    });
    assert_eq!(burst.take(1_000).count(), 100, "ten seconds' worth, however well they end");
    assert_eq!(addresses.told(flood, 5_000), Some((Code::AddressPaused, Some(10_000))));
    assert_eq!(addresses.told(flood, 5_100), None, "ten a second from then on");
    assert_eq!(addresses.told(address(2), 5_000), None);
}

#[test]
fn the_exempt_are_free() {
    let (addresses, balancer) = (addresses(), "192.0.2.9".parse().unwrap());
    for _ in 0..200 {
        assert_eq!(addresses.told(balancer, 0), None);
        addresses.take(balancer, 0).unwrap();
        assert_eq!(addresses.ended(balancer, FAILED, 0), None);
    }
    assert!(addresses.is_empty());
    addresses.leave(balancer, 0);
}

#[test]
fn an_ipv6_host_has_a_64_and_an_ipv4_host_its_address_however_it_is_written() {
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
fn ever_new_addresses_leave_no_more_than_what_is_remembered() {
    let addresses = addresses();
    let old = address(5_000_000);
    addresses.visit(old, WELL, 0);
    for number in 0..200_000 {
        addresses.visit(address(number), FAILED, 0);
    }
    assert_eq!(addresses.len(), IDLE_ADDRESSES);
    assert_eq!(addresses.budget.taken(), IDLE_ADDRESSES * RECORD_BYTES);
    for _ in 0..40 {
        addresses.visit(old, FAILED, 0);
    }
    assert_eq!(addresses.told(old, 0), None, "they push out nobody who was known before");
    addresses.forget_idle(60_000);
    assert_eq!(addresses.len(), 1, "it is still trusted");
    addresses.forget_idle(TRUSTED_FOR + 60_000);
    assert!(addresses.is_empty());
    assert_eq!((addresses.budget.taken(), addresses.idle.into_inner()), (0, 0));
}

#[test]
fn addresses_take_no_more_than_the_budget() {
    let addresses = with_budget(10 * RECORD_BYTES);
    let taken = (0..20).filter(|number| addresses.take(address(*number), 0).is_ok()).count();
    assert_eq!(taken, 10);
    assert_eq!(addresses.take(address(19), 0), Err(Code::CollectorFull));
    (0..10).for_each(|number| addresses.leave(address(number), 0));
    addresses.forget_idle(1_000);
    assert_eq!((addresses.len(), addresses.budget.taken()), (0, 0));
}

#[test]
fn one_address_cannot_take_all_handshakes_not_even_with_an_agent_that_reports() {
    let (addresses, bad) = (addresses(), address(1));
    addresses.take(bad, 0).unwrap();
    addresses.reported(bad);
    for _ in 0..30 {
        assert_eq!(addresses.told(bad, 0), None);
        addresses.take(bad, 0).unwrap();
    }
    assert_eq!(addresses.told(bad, 0), Some((Code::HandshakesFull, None)));
    assert_eq!(addresses.told(address(2), 0), None, "others find room");
    addresses.reported(bad);
    assert_eq!(addresses.told(bad, 0), None, "one of them reports");
}

#[test]
fn handshakes_come_no_faster_than_was_said_whatever_their_number() {
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
