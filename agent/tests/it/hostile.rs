//! What a hostile collector, or whoever stands in for one, can make the agent write.

use std::fs::File;
use std::process::Stdio;

use fleetgauge_proto::message::{Drain, Message, Ping, Pong, Reject};
use tempfile::NamedTempFile;

use crate::collector::Collector;
use crate::process::{Agent, PATIENCE};

/// Most bytes of log that the agent writes while a peer misbehaves in one session: a line for each of its few events,
/// with 512 bytes of the peer's text at most.
const MAX_LOG_BYTES: u64 = 4096;

/// An agent that logs to a file.
fn logging(id: &str, collector: &Collector) -> (Agent, NamedTempFile) {
    let log = NamedTempFile::new().unwrap();
    let stderr = Stdio::from(File::options().append(true).open(log.path()).unwrap());
    (Agent::start(id, &collector.address(), stderr), log)
}

#[test]
fn a_flood_of_drains_costs_one_line() {
    let collector = Collector::bind();
    let (_agent, log) = logging("flooded", &collector);
    let mut peer = collector.welcome(1_000);
    let target = "\u{1b}".repeat(8_000);
    let drain = Message::Drain(Drain { delay_ms: 60_000, target: Some(&target) });
    let mut sent = 0;
    while sent < 8_000_000 {
        peer.say(&drain);
        sent += target.len();
    }
    // It has taken all of them when it answers.
    peer.say(&Message::Ping(Ping { token: 42 }));
    peer.hear_but_reports(|message| assert_eq!(message, Message::Pong(Pong { token: 42 })));
    let text = std::fs::read_to_string(log.path()).unwrap();
    assert_eq!(text.matches("asks us to leave").count(), 1, "{text}");
    assert!((text.len() as u64) < MAX_LOG_BYTES, "{} bytes of log for {sent}", text.len());
    assert!(!text.contains('\u{1b}') && !text.contains("\\u{1b}"), "{text}");
}

#[test]
fn a_reject_of_control_characters_is_cut_and_does_not_reach_a_terminal() {
    let collector = Collector::bind();
    let (agent, log) = logging("scolded", &collector);
    let mut peer = collector.accept();
    peer.hear(|_| ());
    let text = "\u{1b}[2J\n".repeat(100);
    peer.say(&Message::Reject(Reject { stream: 0, code: 80, text: &text, retry_after_ms: None }));
    peer.wait_for_close();
    let deadline = std::time::Instant::now() + PATIENCE;
    let logged = loop {
        let logged = std::fs::read_to_string(log.path()).unwrap();
        if logged.contains("refused") || logged.contains("no connection") {
            break logged;
        }
        assert!(std::time::Instant::now() < deadline, "{logged}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    drop(agent);
    assert!((logged.len() as u64) < MAX_LOG_BYTES, "{} bytes of log", logged.len());
    assert!(!logged.contains('\u{1b}') && logged.lines().count() == 2, "{logged}");
}
