//! Attacks over an agent connection. Each is rejected with its code, counted, and does not affect
//! other agents.

mod broken_pages;
mod catalogs;
mod frames;
mod http;
#[cfg(target_os = "linux")]
mod http_costs;
mod messages;
mod reports;
mod rows;
#[cfg(target_os = "linux")]
mod unfolding;

use std::io::Write;
use std::time::Duration;

use fleetgauge_proto::Code;

use crate::support::agent::{Agent, Identity, Received, identity};
use crate::support::collector::Collector;
use crate::support::frames::{CatalogFrame, gauges, label};
use crate::support::{eventually, holds_within};

/// Time for which the collector discards input after a Reject.
const LINGER: Duration = Duration::from_secs(1);

/// State of an attacker's session before the attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was sent.
    Connected,
    /// Welcomed, without a catalog yet.
    Welcomed,
    /// Registered, with two gauges and a report of sequence number 1.
    Reporting,
}

/// What a collector holds for its agents.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// Charged memory, in bytes.
    memory: f64,
    /// Stored catalogs, in use or not.
    catalogs: f64,
}

/// A collector with an agent that must not be affected.
struct AttackedCollector {
    /// The agent that must not be affected. Dropped first, because a stopping collector waits until
    /// connected agents have read their Reject.
    neighbour: Agent,
    collector: Collector,
    reports: f64,
}

impl AttackedCollector {
    fn new() -> Self {
        let collector = Collector::start();
        let neighbour =
            Agent::join(collector.agents, &identity("neighbour"), &gauges(&["peace"]), &[0.0]);
        Self { neighbour, collector, reports: 0.0 }
    }

    fn attacker(&self, stage: Stage) -> Agent {
        let identity = attacker();
        match stage {
            Stage::Connected => Agent::connect(self.collector.agents),
            Stage::Welcomed => {
                let mut agent =
                    Agent::greet(self.collector.agents, &identity, &gauges(&["never_declared"]));
                assert!(matches!(agent.receive(), Received::Welcome { catalogs_known: false, .. }));
                agent
            }
            Stage::Reporting => {
                let agent =
                    Agent::join(self.collector.agents, &identity, &two_gauges(), &[1.0, 1.0]);
                assert_eq!(self.collector.page().values_of("attacker"), [1.0, 1.0]);
                agent
            }
        }
    }

    fn held(&self) -> Held {
        let page = self.collector.page_at("/metrics/self");
        let of = |series| page.value(series).unwrap();
        Held { memory: of("fleetgauge_memory_bytes"), catalogs: of("fleetgauge_catalogs") }
    }

    /// Waits until no memory of an attacker is left, except for that of catalogs. They stay for
    /// agents that return, until their limits are reached.
    fn nothing_is_left(&self, before: Held) {
        eventually("memory is freed", || {
            let after = self.held();
            after.memory <= before.memory || after.catalogs > before.catalogs
        });
    }

    /// Checks that these bytes are rejected with this code, and have no other effect.
    fn refuses(&mut self, stage: Stage, bytes: &[u8], code: Code) {
        self.refuses_after(stage, code, |attacker| attacker.send(bytes));
    }

    fn refuses_after(
        &mut self,
        stage: Stage,
        code: Code,
        attack: impl FnOnce(&mut Agent),
    ) -> String {
        let reason = code.reason();
        let before = (self.collector.rejects(reason), self.collector.closed(reason));
        let held = self.held();
        let mut attacker = self.attacker(stage);
        attack(&mut attacker);
        let (text, _) = attacker.expect_reject(code);
        assert!(!text.is_empty());
        drop(attacker);
        let after = (self.collector.rejects(reason), self.collector.closed(reason));
        assert_eq!(after, (before.0 + 1.0, before.1 + 1.0), "{reason} is counted");
        self.unaffected();
        self.nothing_is_left(held);
        text
    }

    /// Checks that the other agent still reports, and that no further agents are exposed.
    fn unaffected(&mut self) {
        self.reports += 1.0;
        self.neighbour.report(&[self.reports]);
        let page = self.collector.page();
        let shown: Vec<_> = page.samples().collect();
        assert_eq!(shown, [("peace{agent=\"neighbour\"}", self.reports)]);
    }
}

fn attacker() -> Identity<'static> {
    Identity { labels: vec![label(&("dc", "ams"))], ..identity("attacker").on_host(66) }
}

fn two_gauges() -> CatalogFrame {
    gauges(&["one", "two"])
}

#[test]
fn reject_arrives_while_megabytes_are_in_flight() {
    let mut attacked = AttackedCollector::new();
    let attacks: [(Stage, &[u8], Code); 3] = [
        (Stage::Connected, b"GET / HTTP/1.1\r\n\r\n", Code::BadMagic),
        (Stage::Welcomed, b"FG\x01\x03\x02\x00\x00\x00\x00\x00", Code::MalformedPayload),
        (Stage::Reporting, b"FG\x01\x0f\x00\x00\x00\x00", Code::UnknownKind),
    ];
    for (stage, bytes, code) in attacks {
        let mut attacker = attacked.attacker(stage);
        attacker.send(bytes);
        let mut flood = attacker.stream.try_clone().unwrap();
        let flooding = std::thread::spawn(move || {
            // The collector can close the connection before all of it is written.
            let _ = flood.write_all(&vec![0; 8 << 20]);
        });
        flooding.join().unwrap();
        attacker.expect_code(code);
        attacked.unaffected();
    }
}

#[test]
fn reject_arrives_before_the_end_of_a_long_invalid_input() {
    let mut attacked = AttackedCollector::new();
    // The input that the collector reads at once, and the input that it discards afterwards.
    let mut bytes = b"GET /".to_vec();
    bytes.resize(60_000, b' ');
    attacked.refuses(Stage::Connected, &bytes, Code::BadMagic);
}

#[test]
fn input_after_a_reject_is_discarded_for_a_while() {
    let mut attacked = AttackedCollector::new();
    holds_within(LINGER, "input after a Reject is discarded", || {
        let mut attacker = attacked.attacker(Stage::Connected);
        attacker.send(b"nonsense");
        attacker.expect_code(Code::BadMagic);
        // A closed socket answers the first write with a reset, and the next write fails.
        let discarded = (0..5).all(|_| {
            let sent = attacker.stream.write_all(&[0; 1_000]);
            std::thread::sleep(std::time::Duration::from_millis(1));
            sent.is_ok()
        });
        let finished = attacker.stream.shutdown(std::net::Shutdown::Write).is_ok();
        discarded && finished && attacker.receive() == Received::Closed
    });
    attacked.unaffected();
}

#[test]
fn many_concurrent_attackers_do_not_affect_agents() {
    let mut attacked = AttackedCollector::new();
    let attackers: Vec<_> = (0..100)
        .map(|_| {
            let mut attacker = attacked.attacker(Stage::Connected);
            attacker.send(b"nonsense");
            attacker
        })
        .collect();
    attacked.unaffected();
    for mut attacker in attackers {
        attacker.expect_reject(Code::BadMagic);
    }
    assert_eq!(attacked.collector.rejects("bad_magic"), 100.0);
    attacked.unaffected();
}
