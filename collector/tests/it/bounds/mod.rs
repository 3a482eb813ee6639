//! Limits: input over a limit is rejected with its code and counted. Connected agents are not
//! affected, and HTTP is served.

mod addresses;

use fleetgauge_collector::Config;
use fleetgauge_collector::admission::prefixes::Prefixes;
use fleetgauge_collector::limits::memory_budget::CONNECTION_BYTES;
use fleetgauge_proto::Code;

use crate::support::agent::{Agent, Identity, Received, identity};
use crate::support::collector::{Collector, config, unpaced};
use crate::support::eventually;
use crate::support::frames::{gauges, label, ping, raw, report};

/// A collector with lowered limits, and a resident agent that reports to it.
struct Full {
    resident: Agent,
    collector: Collector,
}

impl Full {
    fn new(narrow: impl FnOnce(&mut Config)) -> Self {
        Self::with(narrow, Collector::with)
    }

    fn with(narrow: impl FnOnce(&mut Config), start: impl FnOnce(Config) -> Collector) -> Self {
        let mut config = config();
        narrow(&mut config);
        let collector = start(config);
        let resident =
            Agent::join(collector.agents, &identity("resident"), &gauges(&["up"]), &[1.0]);
        Self { resident, collector }
    }

    /// Checks that another connection is rejected, and that the resident is not affected.
    fn refuses(&mut self, code: Code) {
        let reason = code.reason();
        let before = self.collector.rejects(reason);
        let mut late = Agent::connect(self.collector.agents);
        let (_, retry_after_ms) = late.expect_reject(code);
        assert!(retry_after_ms.is_some_and(|ms| ms >= 1_000), "a retry delay is sent");
        assert_eq!(self.collector.rejects(reason), before + 1.0);
        drop(late);
        eventually("the end is counted", || self.collector.closed(reason) == before + 1.0);
        self.unharmed();
    }

    fn unharmed(&mut self) {
        let value = self.resident.sequence as f64 + 1.0;
        self.resident.report(&[value]);
        assert_eq!(self.collector.page().values_of("resident"), [value]);
        assert_eq!(self.collector.get("/healthz", &[]).status, 200);
    }
}

#[test]
fn max_memory_bytes_limits_connections() {
    // Memory for four connections, one of them a reporting agent.
    let mut full = Full::new(|config| config.bounds.memory = 4 * CONNECTION_BYTES + 3_000);
    let idle: Vec<_> = (0..2).map(|_| Agent::connect(full.collector.agents)).collect();
    eventually("all are connected", || full.collector.metric("fleetgauge_connections_open") == 3.0);
    let more: Vec<_> = (0..5).map(|_| Agent::connect(full.collector.agents)).collect();
    eventually("some are refused for lack of memory", || {
        full.collector.rejects("collector_full") >= 1.0
    });
    full.refuses(Code::CollectorFull);
    let (taken, limit) = full.collector.memory();
    assert!(taken <= limit, "{taken} of {limit}");
    assert!(full.collector.metric("fleetgauge_memory_refusals_total") >= 2.0);
    drop((idle, more));
    eventually("the permit is free again", || {
        full.collector.memory().0 < taken - CONNECTION_BYTES as f64
    });
    let new = Agent::join(full.collector.agents, &identity("new"), &gauges(&["up"]), &[1.0]);
    full.unharmed();
    drop(new);
}

#[test]
fn max_memory_bytes_limits_large_catalogs_and_labels() {
    let mut full = Full::new(|config| config.bounds.memory = 4 << 20);
    let long = "x".repeat(1_000);
    let names: Vec<_> = (0..900).map(|n| format!("g{n}")).collect();
    let mut shown = Vec::new();
    for n in 0..200 {
        // A different catalog for each agent.
        let own = format!("own_{n}");
        let names: Vec<_> = names.iter().map(String::as_str).chain([own.as_str()]).collect();
        let labels = "abcdefgh".chars().map(String::from).collect::<Vec<_>>();
        let labels = labels.iter().map(|name| label(&(name, &long))).collect();
        let id = format!("large-{n}");
        let identity = Identity { labels, ..identity(&id) };
        let catalog = gauges(&names);
        let mut agent = Agent::greet(full.collector.agents, &identity, &catalog);
        if let Received::Welcome { .. } = agent.receive() {
            let all = [catalog.bytes, report(1, &vec![1.0; names.len()]), ping(1)].concat();
            // The agent can be rejected before all bytes are sent.
            let _ = std::io::Write::write_all(&mut agent.stream, &all);
            let received = agent.receive();
            let refused = matches!(received, Received::Reject { code: Code::CollectorFull, .. });
            assert!(refused || received == Received::Pong(1), "{received:?}");
        }
        let (taken, limit) = full.collector.memory();
        assert!(taken <= limit + 64.0 * 1024.0, "{taken} of {limit} with {n}");
        shown.push(agent);
    }
    assert!(full.collector.rejects("collector_full") >= 100.0);
    full.unharmed();
    let taken = full.collector.memory().0;
    drop(shown);
    // Unpinned catalogs stay until they are evicted. The 8 kB of labels and 7 kB of values of each
    // agent are freed.
    eventually("what they took is given back", || full.collector.memory().0 < taken - 40_000.0);
    full.unharmed();
}

#[test]
fn max_memory_bytes_limits_incomplete_frames() {
    let mut full = Full::new(|config| config.bounds.memory = 2 << 20);
    // Each connection announces a megabyte and sends half of it.
    let unfinished = raw(3, &vec![0; 1 << 20]);
    let mut attackers = Vec::new();
    for n in 0..10 {
        let mut agent = Agent::join(
            full.collector.agents,
            &identity(&format!("slow-{n}")),
            &gauges(&["up"]),
            &[1.0],
        );
        let _ = std::io::Write::write_all(&mut agent.stream, &unfinished[..1 << 19]);
        attackers.push(agent);
    }
    eventually("some are refused for lack of memory", || {
        full.collector.rejects("collector_full") >= 6.0
    });
    let (taken, limit) = full.collector.memory();
    assert!(taken <= limit && taken > 1e6, "{taken} of {limit}");
    full.unharmed();
    drop(attackers);
    eventually("it is given back", || full.collector.memory().0 < 100_000.0);
    full.unharmed();
}

#[test]
fn max_connections_is_enforced() {
    let mut full = Full::new(|config| config.bounds.connections = 2);
    let second = Agent::join(full.collector.agents, &identity("second"), &gauges(&["up"]), &[1.0]);
    for _ in 0..20 {
        full.refuses(Code::CollectorFull);
    }
    drop(second);
    eventually("the connection is closed", || {
        full.collector.metric("fleetgauge_connections_open") == 1.0
    });
    eventually("another agent connects", || {
        let mut third = Agent::connect(full.collector.agents);
        third.send(&identity("third").hello(&gauges(&["up"])));
        matches!(third.receive(), Received::Welcome { .. })
    });
}

#[test]
fn every_connection_of_a_burst_gets_a_reject() {
    let mut full = Full::new(|config| config.bounds.connections = 1);
    for _ in 0..5 {
        let burst: Vec<_> = (0..100).map(|_| Agent::connect(full.collector.agents)).collect();
        for mut late in burst {
            late.expect_reject(Code::CollectorFull);
        }
    }
    full.unharmed();
}

#[test]
fn max_connections_per_address_is_enforced() {
    let mut full = Full::new(|config| {
        config.bounds.address.exempt = Prefixes::default();
        config.bounds.address.connections = 1;
    });
    full.refuses(Code::AddressFull);
    let mut elsewhere = Agent::connect_from("127.0.0.2", full.collector.agents);
    elsewhere.send(&identity("elsewhere").hello(&gauges(&["up"])));
    assert!(matches!(elsewhere.receive(), Received::Welcome { .. }));
    full.unharmed();
}

#[test]
fn max_handshakes_is_enforced() {
    let mut full = Full::new(|config| config.bounds.handshakes = 2);
    let silent = Agent::connect(full.collector.agents);
    let welcomed = Agent::open(full.collector.agents, &identity("welcomed"), &gauges(&["up"]));
    eventually("both are in", || full.collector.metric("fleetgauge_connections_open") == 3.0);
    full.refuses(Code::HandshakesFull);
    drop(silent);
    eventually("one session has ended", || full.collector.closed("closed") == 1.0);
    let mut next = Agent::join(full.collector.agents, &identity("next"), &gauges(&["up"]), &[1.0]);
    // After its report the agent holds no handshake permit.
    let another = Agent::connect(full.collector.agents);
    eventually("there is room", || full.collector.metric("fleetgauge_connections_open") == 4.0);
    next.report(&[2.0]);
    full.refuses(Code::HandshakesFull);
    drop((welcomed, another));
}

#[test]
fn max_catalogs_is_enforced_when_all_are_in_use() {
    let mut full = Full::new(|config| config.bounds.catalogs.catalogs = 2);
    let other = Agent::join(full.collector.agents, &identity("other"), &gauges(&["other"]), &[1.0]);
    let mut third = Agent::open(full.collector.agents, &identity("third"), &gauges(&["third"]));
    third.expect_reject(Code::CatalogsFull);
    full.unharmed();
    // An unpinned catalog is evicted.
    drop(other);
    eventually("the session has ended", || {
        full.collector.metric("fleetgauge_agents_connected") == 1.0
    });
    let third = Agent::join(full.collector.agents, &identity("third"), &gauges(&["third"]), &[1.0]);
    assert_eq!(full.collector.metric("fleetgauge_catalogs"), 2.0);
    full.unharmed();
    drop(third);
}

#[test]
fn max_catalogs_size_is_enforced() {
    let mut full = Full::new(|config| config.bounds.catalogs.bytes = 100);
    let long = "x".repeat(100);
    let mut third = Agent::open(full.collector.agents, &identity("third"), &gauges(&[&long]));
    third.expect_reject(Code::CatalogsFull);
    full.unharmed();
}

#[test]
fn known_catalog_is_accepted_at_the_limit() {
    let mut full = Full::new(|_| {});
    let mut returning =
        Agent::greet(full.collector.agents, &identity("returning"), &gauges(&["up"]));
    assert!(matches!(returning.receive(), Received::Welcome { catalogs_known: true, .. }));
    returning.report(&[5.0]);
    assert_eq!(full.collector.page().values_of("returning"), [5.0]);
    full.unharmed();
}

#[test]
fn max_label_bytes_is_enforced() {
    let mut full = Full::new(|config| config.bounds.limits.max_label_bytes = 10);
    let identity = identity("late");
    let labels = vec![label(&("abc", "0123456")), label(&("x", ""))];
    let fits = crate::support::agent::Identity { labels, ..identity.clone() };
    drop(Agent::open(full.collector.agents, &fits, &gauges(&["up"])));
    let labels = vec![label(&("abc", "0123456")), label(&("x", "y"))];
    let over = crate::support::agent::Identity { labels, ..identity };
    let mut late = Agent::greet(full.collector.agents, &over, &gauges(&["up"]));
    late.expect_reject(Code::LabelTooLong);
    full.unharmed();
}

#[test]
fn interval_is_clamped() {
    let full = Full::new(|config| config.bounds.max_interval = std::time::Duration::from_secs(60));
    for (asked, given) in [(0, 1_000), (999, 1_000), (15_000, 15_000), (u32::MAX, 60_000)] {
        let identity = crate::support::agent::Identity { interval_ms: asked, ..identity("late") };
        let mut late = Agent::greet(full.collector.agents, &identity, &gauges(&["up"]));
        assert_eq!(late.receive(), Received::Welcome { interval_ms: given, catalogs_known: true });
    }
    drop(full);
}

#[test]
fn peer_that_does_not_read_is_not_read_from() {
    // A low rate limit would reject it before its buffers are full.
    let narrow = |config: &mut Config| {
        *config = unpaced();
        config.bounds.reports_per_interval = 100_000_000;
    };
    let mut full = Full::with(narrow, Collector::with_fixed_buffers);
    // The interval is long, so that the agent is not silent for too long before all buffers are
    // full.
    let patient = Identity { interval_ms: 300_000, ..identity("deaf") };
    let mut deaf = Agent::join(full.collector.agents, &patient, &gauges(&["up"]), &[1.0]);
    deaf.stream.set_nonblocking(true).unwrap();
    socket2::SockRef::from(&deaf.stream).set_recv_buffer_size(4096).unwrap();
    // Pings whose Pongs are not read. At some point the collector stops reading.
    let pings = crate::support::frames::ping(1).repeat(10_000);
    let stuck = std::time::Instant::now();
    let mut written = 0;
    while stuck.elapsed() < std::time::Duration::from_secs(60) {
        match std::io::Write::write(&mut deaf.stream, &pings[written % 9..]) {
            Ok(n) => written += n,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if full.collector.closed("write_timeout") == 1.0 {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            Err(_) => break,
        }
    }
    eventually("the connection is closed", || full.collector.closed("write_timeout") == 1.0);
    assert!(!full.collector.page().shows("deaf"));
    full.unharmed();
}
