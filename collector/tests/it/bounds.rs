//! What is over a bound is refused with its code and counted; those already there are not harmed, and HTTP answers.

mod addresses;

use fleetgauge_collector::Config;
use fleetgauge_collector::addresses::Prefixes;
use fleetgauge_collector::budget::CONNECTION_BYTES;
use fleetgauge_proto::Code;

use crate::support::agent::{Agent, Heard, Who, who};
use crate::support::collector::{Collector, config, unpaced};
use crate::support::eventually;
use crate::support::frames::{gauges, label, ping, raw, report};

/// A collector with less room, and an agent that reports to it.
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
        let resident = Agent::join(collector.agents, &who("resident"), &gauges(&["up"]), &[1.0]);
        Self { resident, collector }
    }

    /// One more connection is refused; the resident is not harmed.
    fn refuses(&mut self, code: Code) {
        let reason = code.reason();
        let before = self.collector.rejects(reason);
        let mut late = Agent::connect(self.collector.agents);
        let (_, retry_after_ms) = late.expect_reject(code);
        assert!(retry_after_ms.is_some_and(|ms| ms >= 1_000), "it may come again");
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
fn max_memory_bytes_for_connections() {
    // Room for four connections, one of which is shown with a schema.
    let mut full = Full::new(|config| config.bounds.memory = 4 * CONNECTION_BYTES + 3_000);
    let idle: Vec<_> = (0..2).map(|_| Agent::connect(full.collector.agents)).collect();
    eventually("they are there", || full.collector.figure("fleetgauge_connections_open") == 3.0);
    let more: Vec<_> = (0..5).map(|_| Agent::connect(full.collector.agents)).collect();
    eventually("some find no memory", || full.collector.rejects("collector_full") >= 1.0);
    full.refuses(Code::CollectorFull);
    let (taken, limit) = full.collector.memory();
    assert!(taken <= limit, "{taken} of {limit}");
    assert!(full.collector.figure("fleetgauge_memory_refusals_total") >= 2.0);
    drop((idle, more));
    eventually("it is free again", || full.collector.memory().0 < taken - CONNECTION_BYTES as f64);
    let new = Agent::join(full.collector.agents, &who("new"), &gauges(&["up"]), &[1.0]);
    full.unharmed();
    drop(new);
}

#[test]
fn agents_with_the_largest_schemas_and_labels_cannot_take_more_than_max_memory_bytes() {
    let mut full = Full::new(|config| config.bounds.memory = 4 << 20);
    let long = "x".repeat(1_000);
    let names: Vec<_> = (0..900).map(|n| format!("g{n}")).collect();
    let mut shown = Vec::new();
    for n in 0..200 {
        // A schema of its own for each.
        let own = format!("own_{n}");
        let names: Vec<_> = names.iter().map(String::as_str).chain([own.as_str()]).collect();
        let labels = "abcdefgh".chars().map(String::from).collect::<Vec<_>>();
        let labels = labels.iter().map(|name| label(&(name, &long))).collect();
        let id = format!("large-{n}");
        let who = Who { labels, ..who(&id) };
        let schema = gauges(&names);
        let mut agent = Agent::greet(full.collector.agents, &who, &schema);
        if let Heard::Welcome { .. } = agent.hear() {
            let all = [schema.bytes, report(1, &vec![1.0; names.len()]), ping(1)].concat();
            // It may be refused before it has said all that.
            let _ = std::io::Write::write_all(&mut agent.stream, &all);
            let heard = agent.hear();
            let refused = matches!(heard, Heard::Reject { code: Code::CollectorFull, .. });
            assert!(refused || heard == Heard::Pong(1), "{heard:?}");
        }
        let (taken, limit) = full.collector.memory();
        assert!(taken <= limit + 64.0 * 1024.0, "{taken} of {limit} with {n}");
        shown.push(agent);
    }
    assert!(full.collector.rejects("collector_full") >= 100.0);
    full.unharmed();
    let taken = full.collector.memory().0;
    drop(shown);
    // Their schemas stay until the room is wanted; of each, 8 kB of labels and 7 kB of values do not.
    eventually("what they took is given back", || full.collector.memory().0 < taken - 50_000.0);
    full.unharmed();
}

#[test]
fn frames_that_are_never_finished_cannot_take_more_than_max_memory_bytes() {
    let mut full = Full::new(|config| config.bounds.memory = 2 << 20);
    // Each announces a megabyte and sends half of it.
    let unfinished = raw(3, &vec![0; 1 << 20]);
    let mut attackers = Vec::new();
    for n in 0..10 {
        let mut agent = Agent::join(
            full.collector.agents,
            &who(&format!("slow-{n}")),
            &gauges(&["up"]),
            &[1.0],
        );
        let _ = std::io::Write::write_all(&mut agent.stream, &unfinished[..1 << 19]);
        attackers.push(agent);
    }
    eventually("some find no memory", || full.collector.rejects("collector_full") >= 6.0);
    let (taken, limit) = full.collector.memory();
    assert!(taken <= limit && taken > 1e6, "{taken} of {limit}");
    full.unharmed();
    drop(attackers);
    eventually("it is given back", || full.collector.memory().0 < 100_000.0);
    full.unharmed();
}

#[test]
fn max_connections() {
    let mut full = Full::new(|config| config.bounds.connections = 2);
    let second = Agent::join(full.collector.agents, &who("second"), &gauges(&["up"]), &[1.0]);
    for _ in 0..20 {
        full.refuses(Code::CollectorFull);
    }
    drop(second);
    eventually("the place is free again", || {
        full.collector.figure("fleetgauge_connections_open") == 1.0
    });
    eventually("somebody else gets it", || {
        let mut third = Agent::connect(full.collector.agents);
        third.send(&who("third").hello(&gauges(&["up"])));
        matches!(third.hear(), Heard::Welcome { .. })
    });
}

#[test]
fn everybody_of_a_burst_is_told() {
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
fn max_connections_per_address() {
    let mut full = Full::new(|config| {
        config.bounds.address.exempt = Prefixes::default();
        config.bounds.address.connections = 1;
    });
    full.refuses(Code::AddressFull);
    let mut elsewhere = Agent::connect_from("127.0.0.2", full.collector.agents);
    elsewhere.send(&who("elsewhere").hello(&gauges(&["up"])));
    assert!(matches!(elsewhere.hear(), Heard::Welcome { .. }));
    full.unharmed();
}

#[test]
fn max_handshakes() {
    let mut full = Full::new(|config| config.bounds.handshakes = 2);
    let silent = Agent::connect(full.collector.agents);
    let welcomed = Agent::open(full.collector.agents, &who("welcomed"), &gauges(&["up"]));
    eventually("both are in", || full.collector.figure("fleetgauge_connections_open") == 3.0);
    full.refuses(Code::HandshakesFull);
    drop(silent);
    eventually("one has gone", || full.collector.closed("closed") == 1.0);
    let mut next = Agent::join(full.collector.agents, &who("next"), &gauges(&["up"]), &[1.0]);
    // It reports and is no handshake any more.
    let another = Agent::connect(full.collector.agents);
    eventually("there is room", || full.collector.figure("fleetgauge_connections_open") == 4.0);
    next.report(&[2.0]);
    full.refuses(Code::HandshakesFull);
    drop((welcomed, another));
}

#[test]
fn max_schemas_when_all_are_in_use() {
    let mut full = Full::new(|config| config.bounds.schemas.schemas = 2);
    let other = Agent::join(full.collector.agents, &who("other"), &gauges(&["other"]), &[1.0]);
    let mut third = Agent::open(full.collector.agents, &who("third"), &gauges(&["third"]));
    third.expect_reject(Code::SchemasFull);
    full.unharmed();
    // One that nobody uses makes room.
    drop(other);
    eventually("it has gone", || full.collector.figure("fleetgauge_agents_connected") == 1.0);
    let third = Agent::join(full.collector.agents, &who("third"), &gauges(&["third"]), &[1.0]);
    assert_eq!(full.collector.figure("fleetgauge_schemas"), 2.0);
    full.unharmed();
    drop(third);
}

#[test]
fn max_schema_bytes() {
    let mut full = Full::new(|config| config.bounds.schemas.bytes = 100);
    let long = "x".repeat(100);
    let mut third = Agent::open(full.collector.agents, &who("third"), &gauges(&[&long]));
    third.expect_reject(Code::SchemasFull);
    full.unharmed();
}

#[test]
fn a_known_schema_needs_no_schema() {
    let mut full = Full::new(|_| {});
    let mut returning = Agent::greet(full.collector.agents, &who("returning"), &gauges(&["up"]));
    assert!(matches!(returning.hear(), Heard::Welcome { schema_known: true, .. }));
    returning.report(&[5.0]);
    assert_eq!(full.collector.page().values_of("returning"), [5.0]);
    full.unharmed();
}

#[test]
fn max_label_bytes() {
    let mut full = Full::new(|config| config.bounds.limits.max_label_bytes = 10);
    let who = who("late");
    let labels = vec![label(&("abc", "0123456")), label(&("x", ""))];
    let fits = crate::support::agent::Who { labels, ..who.clone() };
    drop(Agent::open(full.collector.agents, &fits, &gauges(&["up"])));
    let labels = vec![label(&("abc", "0123456")), label(&("x", "y"))];
    let over = crate::support::agent::Who { labels, ..who };
    let mut late = Agent::greet(full.collector.agents, &over, &gauges(&["up"]));
    late.expect_reject(Code::LabelTooLong);
    full.unharmed();
}

#[test]
fn the_interval_is_clamped() {
    let full = Full::new(|config| config.bounds.max_interval = std::time::Duration::from_secs(60));
    for (asked, given) in [(0, 1_000), (999, 1_000), (15_000, 15_000), (u32::MAX, 60_000)] {
        let who = crate::support::agent::Who { interval_ms: asked, ..who("late") };
        let mut late = Agent::greet(full.collector.agents, &who, &gauges(&["up"]));
        assert_eq!(late.hear(), Heard::Welcome { interval_ms: given, schema_known: true });
    }
    drop(full);
}

#[test]
fn a_peer_that_reads_nothing_is_held_back() {
    // It would be told to send less long before.
    let narrow = |config: &mut Config| {
        *config = unpaced();
        config.bounds.reports_per_interval = 100_000_000;
    };
    let mut full = Full::with(narrow, Collector::with_fixed_buffers);
    // Not silent for too long before all buffers are full, however slow the machine is.
    let patient = Who { interval_ms: 300_000, ..who("deaf") };
    let mut deaf = Agent::join(full.collector.agents, &patient, &gauges(&["up"]), &[1.0]);
    deaf.stream.set_nonblocking(true).unwrap();
    socket2::SockRef::from(&deaf.stream).set_recv_buffer_size(4096).unwrap();
    // Pings whose Pongs nobody reads: at some time the collector reads no more of them.
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
    eventually("it is given up", || full.collector.closed("write_timeout") == 1.0);
    assert!(!full.collector.page().shows("deaf"));
    full.unharmed();
}
