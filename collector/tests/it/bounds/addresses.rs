//! Per-address limits: one address cannot exhaust shared limits, and is not affected by others.

use std::time::Duration;

use fleetgauge_collector::admission::prefixes::Prefixes;
use fleetgauge_proto::Code;

use super::Full;
use crate::support::agent::{Agent, Received, identity};
use crate::support::eventually;
use crate::support::frames::gauges;

/// Source address of the attacks; the resident agent has another.
const BAD: &str = "127.0.0.66";
/// Duration of a pause: long enough to test a reconnect during the pause on a busy machine.
const PAUSE: Duration = Duration::from_secs(8);

/// A collector with strict limits per address: no address is exempt, three failures a minute are
/// allowed, and a pause is short.
fn strict_limits() -> Full {
    Full::new(|config| {
        config.bounds.address.exempt = Prefixes::default();
        config.bounds.address.failures = 3;
        config.bounds.address.pause = PAUSE;
    })
}

impl Full {
    fn attack_from(&self, address: &str, bytes: &[u8], code: Code) {
        let mut attacker = Agent::connect_from(address, self.collector.agents);
        attacker.send(bytes);
        attacker.expect_reject(code);
    }

    /// Sends garbage from this address until the collector pauses the address.
    fn paused(&self, address: &str) {
        let pauses = self.collector.metric("fleetgauge_address_pauses_total");
        (0..4).for_each(|_| self.attack_from(address, b"GET / HTTP/1.1\r\n\r\n", Code::BadMagic));
        assert_eq!(self.collector.metric("fleetgauge_address_pauses_total"), pauses + 1.0);
    }
}

/// Connects an agent and expects it to be welcomed at once.
fn welcomed(from: &str, id: &str, full: &Full) -> Agent {
    let mut agent = Agent::connect_from(from, full.collector.agents);
    agent.send(&identity(id).hello(&gauges(&["up"])));
    agent.expect_welcome(&gauges(&["up"]));
    agent.report(&[1.0]);
    agent
}

#[test]
fn address_that_sends_garbage_is_paused_for_a_while() {
    let mut full = strict_limits();
    full.paused(BAD);
    let mut late = Agent::connect_from(BAD, full.collector.agents);
    let (text, retry_after_ms) = late.expect_reject(Code::AddressPaused);
    assert!(text.contains("retry later"), "{text}");
    let retry_after_ms = retry_after_ms.unwrap();
    assert!((1..=PAUSE.as_millis() as u32).contains(&retry_after_ms), "{retry_after_ms}");
    assert_eq!(full.collector.rejects("address_paused"), 1.0);
    full.unharmed();
    drop(welcomed("127.0.0.67", "neighbour", &full));
    eventually("the pause is over", || {
        let mut again = Agent::connect_from(BAD, full.collector.agents);
        again.send(&identity("again").hello(&gauges(&["up"])));
        matches!(again.receive(), Received::Welcome { .. })
    });
}

#[test]
fn address_of_silent_connections_is_paused() {
    let full = strict_limits();
    let silent: Vec<_> = (0..4).map(|_| Agent::connect_from(BAD, full.collector.agents)).collect();
    for mut silent in silent {
        silent.expect_reject(Code::HelloTimeout);
    }
    eventually("the address is paused", || {
        full.collector.metric("fleetgauge_address_pauses_total") == 1.0
    });
}

#[test]
fn address_that_keeps_claiming_a_held_id_is_paused() {
    let mut full = strict_limits();
    let (collector, resident) = (&full.collector, &mut full.resident);
    for _ in 0..4 {
        let mut thief = Agent::connect_from(BAD, collector.agents);
        thief.send(&identity("resident").on_host(66).hello(&gauges(&["up"])));
        assert!(matches!(resident.receive(), Received::Ping(_)));
        resident.report(&[resident.sequence as f64 + 1.0]);
        thief.expect_reject(Code::IdConflict);
    }
    Agent::connect_from(BAD, collector.agents).expect_reject(Code::AddressPaused);
    full.unharmed();
}

#[test]
fn address_of_a_reporting_agent_is_not_paused() {
    let mut full = strict_limits();
    let mut neighbour = welcomed(BAD, "neighbour", &full);
    for _ in 0..20 {
        full.attack_from(BAD, b"nonsense", Code::BadMagic);
    }
    neighbour.report(&[2.0]);
    drop(neighbour);
    eventually("the session has ended", || {
        full.collector.metric("fleetgauge_agents_connected") == 1.0
    });
    for _ in 0..20 {
        full.attack_from(BAD, b"nonsense", Code::BadMagic);
    }
    drop(welcomed(BAD, "neighbour", &full));
    assert_eq!(full.collector.metric("fleetgauge_address_pauses_total"), 0.0);
    full.unharmed();
}

#[test]
fn connections_closed_without_error_do_not_pause() {
    let mut full = strict_limits();
    for _ in 0..50 {
        drop(Agent::connect_from(BAD, full.collector.agents));
    }
    eventually("all sessions have ended", || full.collector.closed("closed") == 50.0);
    drop(welcomed(BAD, "calm", &full));
    full.unharmed();
}

#[test]
fn max_handshakes_per_address_is_enforced() {
    let mut full = Full::new(|config| {
        config.bounds.address.exempt = Prefixes::default();
        config.bounds.address.handshakes = 1;
    });
    let flood: Vec<_> = (0..40).map(|_| Agent::connect_from(BAD, full.collector.agents)).collect();
    eventually("some are too many", || full.collector.rejects("address_paused") >= 25.0);
    let mut late = Agent::connect_from(BAD, full.collector.agents);
    let (_, retry_after_ms) = late.expect_reject(Code::AddressPaused);
    let retry_after_ms = retry_after_ms.unwrap();
    assert!((5_000..=10_000).contains(&retry_after_ms), "{retry_after_ms}");
    drop(welcomed("127.0.0.67", "neighbour", &full));
    full.unharmed();
    drop(flood);
}

#[test]
fn flood_of_reports_is_rejected_with_a_retry_delay() {
    let mut full = strict_limits();
    let mut flood = welcomed(BAD, "flood", &full);
    let reports: Vec<u8> =
        (2..10_002).flat_map(|n| crate::support::frames::report(n, &[1.0])).collect();
    // At some point the collector stops reading.
    let _ = std::io::Write::write_all(&mut flood.stream, &reports);
    let (text, retry_after_ms) = flood.expect_code(Code::TooManyReports);
    assert!(text.contains("limit is 5 per "), "{text}");
    assert_eq!(retry_after_ms, Some(60_000));
    eventually("the session has ended", || !full.collector.page().shows("flood"));
    assert!(full.collector.metric("fleetgauge_reports_total") < 110.0);
    full.unharmed();
}

#[test]
fn agent_that_floods_repeatedly_is_paused() {
    let full = strict_limits();
    for round in 0..4 {
        let mut flood = welcomed(BAD, "flood", &full);
        let pings = crate::support::frames::ping(1).repeat(200);
        let _ = std::io::Write::write_all(&mut flood.stream, &pings);
        flood.expect_code(Code::TooManyReports);
        eventually("it is counted", || {
            full.collector.closed("too_many_reports") == f64::from(round + 1)
        });
    }
    Agent::connect_from(BAD, full.collector.agents).expect_reject(Code::AddressPaused);
}

#[test]
fn one_address_cannot_take_all_handshake_permits() {
    let mut full = Full::new(|config| {
        config.bounds.address.exempt = Prefixes::default();
        config.bounds.address.unreported = 3;
        config.bounds.handshakes = 4;
    });
    // A reporting agent at the address makes no difference.
    let _own = welcomed(BAD, "own", &full);
    let silent: Vec<_> = (0..3).map(|_| Agent::connect_from(BAD, full.collector.agents)).collect();
    let mut late = Agent::connect_from(BAD, full.collector.agents);
    let (_, retry_after_ms) = late.expect_reject(Code::HandshakesFull);
    assert!((1_000..=6_000).contains(&retry_after_ms.unwrap()), "{retry_after_ms:?}");
    drop(welcomed("127.0.0.67", "neighbour", &full));
    full.unharmed();
    drop(silent);
}
