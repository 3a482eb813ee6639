//! The conversations of docs/protocol.md with a running collector: agents send the frames of the
//! transcripts, and the collector answers and shows what they say.

use std::collections::BTreeMap;
use std::time::Duration;

use fleetgauge_proto::{Frame, Message};
use serde_json::Value;

use crate::support::agent::Agent;
use crate::support::collector::{Collector, Page, config};
use crate::support::eventually;

/// Values by name and labels, without the label of the agent and the suffixes of kinds.
type Shown = BTreeMap<(String, BTreeMap<String, String>), f64>;

/// A connection of a transcript.
struct Connection {
    agent: Agent,
    /// Index of its collector.
    collector: usize,
    shown: Shown,
}

struct Replay {
    /// The collectors; all but the last are stopping.
    collectors: Vec<Collector>,
    connections: BTreeMap<String, Connection>,
}

impl Replay {
    /// Replays a transcript, the text of a file of `proto/vectors/v1/transcripts`.
    fn run(transcript: &str) {
        let transcript: Value = serde_json::from_str(transcript).unwrap();
        let mut replay = Self { collectors: vec![start()], connections: BTreeMap::new() };
        for step in transcript["steps"].as_array().unwrap() {
            replay.take(step);
        }
    }

    fn take(&mut self, step: &Value) {
        let name = step["connection"].as_str().unwrap();
        let collector = self.collectors.len() - 1;
        let address = self.collectors[collector].agents;
        let connection = self.connections.entry(name.to_owned()).or_insert_with(|| {
            let agent = Agent::connect(address);
            Connection { agent, collector, shown: Shown::new() }
        });
        let kind = step["kind"].as_str().unwrap();
        if step["from"] == "agent" {
            connection.agent.send(&unhex(step["hex"].as_str().unwrap()));
            // Nothing may be sent before Welcome or after Bye, and a Ping would answer a challenge.
            if ["Catalog", "Rows", "Report"].contains(&kind) {
                connection.agent.settle();
            }
        } else {
            if kind == "Drain" {
                self.collectors[connection.collector].stop();
                self.collectors.push(start());
            }
            connection.expect(kind, &step["fields"]);
        }
        if let Some(shown) = step.get("shown") {
            connection.shown = shown_of(shown);
        }
        let collector = connection.collector;
        if kind == "Bye" {
            self.check_departed(collector);
        } else {
            assert_eq!(self.found(collector), self.expected(collector), "after {}", step["note"]);
        }
    }

    /// Returns what the connections of a collector show.
    fn expected(&self, collector: usize) -> Shown {
        let own = self.connections.values().filter(|one| one.collector == collector);
        own.flat_map(|connection| connection.shown.clone()).collect()
    }

    fn found(&self, collector: usize) -> Shown {
        let page = self.collectors[collector].page();
        let found: Vec<_> = series_of(&page).collect();
        let unique: Shown = found.iter().cloned().collect();
        assert_eq!(unique.len(), found.len(), "{}", page.0);
        unique
    }

    /// Checks that the series are removed. A stopping collector ends with its last agent.
    fn check_departed(&mut self, collector: usize) {
        assert_eq!(self.expected(collector), Shown::new());
        if collector + 1 < self.collectors.len() {
            self.collectors[collector].join();
        } else {
            eventually("the series are removed", || self.found(collector).is_empty());
        }
    }
}

impl Connection {
    /// Receives a frame and compares it, except for texts, times and values that depend on earlier
    /// sessions.
    fn expect(&mut self, kind: &str, fields: &Value) {
        let (header, payload) = self.agent.receive_frame().unwrap();
        assert_eq!(header.kind.to_string(), kind);
        match Message::decode(Frame { header, payload: &payload }).unwrap() {
            Message::Welcome(welcome) => {
                assert_eq!(fields["version"], welcome.version);
                assert_eq!(fields["capabilities"], welcome.capabilities);
                assert_eq!(fields["interval_ms"], welcome.interval_ms);
                let limits = &fields["limits"];
                assert_eq!(limits["max_payload_bytes"], welcome.limits.max_payload_bytes);
                assert_eq!(limits["max_families"], welcome.limits.max_families);
                assert_eq!(limits["max_series"], welcome.limits.max_series);
                assert_eq!(limits["max_values"], welcome.limits.max_values);
                assert_eq!(limits["max_label_bytes"], welcome.limits.max_label_bytes);
                // Of the one catalog of Hello.
                assert_eq!(fields["catalogs_known"], welcome.catalogs_known & 1);
            }
            Message::Reject(reject) => {
                assert_eq!(fields["code"], reject.code, "{}", reject.text);
                assert_eq!(fields["retry_after_ms"], Value::from(reject.retry_after_ms));
            }
            Message::Ping(ping) => assert_eq!(fields["token"], ping.token),
            Message::Drain(drain) => assert_eq!(fields["target"], Value::from(drain.target)),
            other => panic!("{other:?}"),
        }
    }
}

/// Starts a collector whose agents get time to disconnect when it stops.
fn start() -> Collector {
    let mut config = config();
    config.drain = Duration::from_secs(300);
    Collector::with(config)
}

fn unhex(digits: &str) -> Vec<u8> {
    let digits: Vec<_> = digits.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect()
}

/// Splits `name{a="b"}`. The label values of the transcripts have no characters that are escaped.
fn split(series: &str) -> (String, BTreeMap<String, String>) {
    let (name, labels) = series.strip_suffix('}').unwrap().split_once('{').unwrap();
    let pairs = labels.split(',').filter(|label| !label.is_empty());
    let pairs = pairs.map(|label| label.split_once('=').unwrap());
    let labels = pairs.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()));
    (name.strip_suffix("_total").unwrap_or(name).to_owned(), labels.collect())
}

/// Returns what a transcript says that pages show.
fn shown_of(shown: &Value) -> Shown {
    let series = shown.as_object().unwrap().iter();
    series.map(|(series, values)| (split(series), values[0].as_f64().unwrap())).collect()
}

/// Returns what a page shows of the transcripts' only agent.
fn series_of(page: &Page) -> impl Iterator<Item = ((String, BTreeMap<String, String>), f64)> {
    page.samples().map(|(series, value)| {
        let (name, mut labels) = split(series);
        assert_eq!(labels.remove("agent").as_deref(), Some("web-1"));
        ((name, labels), value)
    })
}

#[test]
fn disk_that_appears_and_disappears_is_shown_as_in_the_transcript() {
    Replay::run(include_str!("../../../proto/vectors/v1/transcripts/disk.json"));
}

#[test]
fn dispute_of_two_hosts_goes_as_in_the_transcript() {
    Replay::run(include_str!("../../../proto/vectors/v1/transcripts/dispute.json"));
}

#[test]
fn drain_goes_as_in_the_transcript() {
    Replay::run(include_str!("../../../proto/vectors/v1/transcripts/drain.json"));
}
