//! Attacks over an agent connection: each gets its own code, is counted, and does not affect other
//! agents.

mod broken_pages;
mod frames;
mod http;
#[cfg(target_os = "linux")]
mod http_costs;
mod messages;
mod reports;
mod schemas;
#[cfg(target_os = "linux")]
mod unfolding;

use std::io::Write;
use std::time::Duration;

use fleetgauge_proto::Code;

use crate::support::agent::{Agent, Heard, Who, who};
use crate::support::collector::Collector;
use crate::support::frames::{SchemaFrame, gauges, label};
use crate::support::holds_within;

/// For so long the collector reads on after a Reject, and discards what comes.
const LINGER: Duration = Duration::from_secs(1);

/// How far an attacker gets by behaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was sent.
    Connected,
    /// Welcomed, without a schema yet.
    Welcomed,
    /// Registered, with two gauges and a report with sequence number 1.
    Reporting,
}

/// A collector with an agent that is to be left in peace.
struct House {
    /// Dropped first: a collector that stops waits for agents to read their Reject.
    neighbour: Agent,
    collector: Collector,
    reports: f64,
}

impl House {
    fn new() -> Self {
        let collector = Collector::start();
        let neighbour =
            Agent::join(collector.agents, &who("neighbour"), &gauges(&["peace"]), &[0.0]);
        Self { neighbour, collector, reports: 0.0 }
    }

    fn attacker(&self, stage: Stage) -> Agent {
        let who = attacker();
        match stage {
            Stage::Connected => Agent::connect(self.collector.agents),
            Stage::Welcomed => {
                let mut agent =
                    Agent::greet(self.collector.agents, &who, &gauges(&["never_declared"]));
                assert!(matches!(agent.hear(), Heard::Welcome { schema_known: false, .. }));
                agent
            }
            Stage::Reporting => {
                let agent = Agent::join(self.collector.agents, &who, &two_gauges(), &[1.0, 1.0]);
                assert_eq!(self.collector.page().values_of("attacker"), [1.0, 1.0]);
                agent
            }
        }
    }

    /// These bytes are refused with this code, and nothing else comes of them.
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
        let mut attacker = self.attacker(stage);
        attack(&mut attacker);
        let (text, _) = attacker.expect_reject(code);
        assert!(!text.is_empty());
        let after = (self.collector.rejects(reason), self.collector.closed(reason));
        assert_eq!(after, (before.0 + 1.0, before.1 + 1.0), "{reason} is counted");
        self.in_peace();
        text
    }

    /// The other agent continues to report, and no others are shown.
    fn in_peace(&mut self) {
        self.reports += 1.0;
        self.neighbour.report(&[self.reports]);
        let page = self.collector.page();
        let shown: Vec<_> = page.samples().collect();
        assert_eq!(shown, [("peace{agent=\"neighbour\"}", self.reports)]);
    }
}

fn attacker() -> Who<'static> {
    Who { labels: vec![label(&("dc", "ams"))], ..who("attacker").on_host(66) }
}

fn two_gauges() -> SchemaFrame {
    gauges(&["one", "two"])
}

#[test]
fn a_reject_arrives_though_megabytes_are_on_their_way() {
    let mut house = House::new();
    let attacks: [(Stage, &[u8], Code); 3] = [
        (Stage::Connected, b"GET / HTTP/1.1\r\n\r\n", Code::BadMagic),
        (Stage::Welcomed, b"FG\x01\x03\x02\x00\x00\x00\x00\x00", Code::MalformedPayload),
        (Stage::Reporting, b"FG\x01\x0f\x00\x00\x00\x00", Code::UnknownKind),
    ];
    for (stage, bytes, code) in attacks {
        let mut attacker = house.attacker(stage);
        attacker.send(bytes);
        let mut flood = attacker.stream.try_clone().unwrap();
        let flooding = std::thread::spawn(move || {
            // The collector may close before all of it is written.
            let _ = flood.write_all(&vec![0; 8 << 20]);
        });
        flooding.join().unwrap();
        attacker.expect_code(code);
        house.in_peace();
    }
}

#[test]
fn a_reject_arrives_before_the_end_though_much_follows_the_violation() {
    let mut house = House::new();
    // What the collector reads at once, and what it discards after that.
    let mut bytes = b"GET /".to_vec();
    bytes.resize(60_000, b' ');
    house.refuses(Stage::Connected, &bytes, Code::BadMagic);
}

#[test]
fn what_follows_a_reject_is_discarded_for_a_while() {
    let mut house = House::new();
    holds_within(LINGER, "input after a Reject is discarded", || {
        let mut attacker = house.attacker(Stage::Connected);
        attacker.send(b"nonsense");
        attacker.expect_code(Code::BadMagic);
        // A socket that is closed answers the first of these with a reset, and the next fails.
        let discarded = (0..5).all(|_| {
            let sent = attacker.stream.write_all(&[0; 1_000]);
            std::thread::sleep(std::time::Duration::from_millis(1));
            sent.is_ok()
        });
        let finished = attacker.stream.shutdown(std::net::Shutdown::Write).is_ok();
        discarded && finished && attacker.hear() == Heard::Closed
    });
    house.in_peace();
}

#[test]
fn many_attackers_at_once_harm_nobody() {
    let mut house = House::new();
    let attackers: Vec<_> = (0..100)
        .map(|_| {
            let mut attacker = house.attacker(Stage::Connected);
            attacker.send(b"nonsense");
            attacker
        })
        .collect();
    house.in_peace();
    for mut attacker in attackers {
        attacker.expect_reject(Code::BadMagic);
    }
    assert_eq!(house.collector.rejects("bad_magic"), 100.0);
    house.in_peace();
}
