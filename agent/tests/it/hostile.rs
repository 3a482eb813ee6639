//! Log volume that a hostile collector can cause.

use std::fs::File;
use std::process::Stdio;

use fleetgauge_proto::message::{Drain, Message, Ping, Pong};
use tempfile::NamedTempFile;

use crate::collector::Collector;
use crate::process::Agent;
use crate::tls::{Authority, Files, secure};

/// Maximum log volume of a hostile session, in bytes: a few lines, each with at most 512 bytes of
/// the collector's text.
const MAX_LOG_BYTES: usize = 4096;

/// Starts an agent that logs to a file.
fn start_with_log_file(id: &str, collector: &Collector) -> (Agent, NamedTempFile) {
    let log = NamedTempFile::new().unwrap();
    let stderr = Stdio::from(File::options().append(true).open(log.path()).unwrap());
    (Agent::start(id, &collector.address(), stderr), log)
}

#[test]
fn flood_of_drains_is_logged_once() {
    let collector = Collector::bind();
    let (_agent, log) = start_with_log_file("flooded", &collector);
    let mut peer = collector.welcome(1_000);
    let target = "\u{1b}".repeat(8_000);
    let drain = Message::Drain(Drain { delay_ms: 60_000, target: Some(&target) });
    let mut sent = 0;
    while sent < 8_000_000 {
        peer.send(&drain);
        sent += target.len();
    }
    // The answer means that the agent has processed all Drains.
    peer.send(&Message::Ping(Ping { token: 42 }));
    peer.receive_non_report(|message| assert_eq!(message, Message::Pong(Pong { token: 42 })));
    let text = std::fs::read_to_string(log.path()).unwrap();
    assert_eq!(text.matches("drain requested").count(), 1, "{text}");
    assert!(text.len() < MAX_LOG_BYTES, "{} bytes of log for {sent}", text.len());
    assert!(!text.contains('\u{1b}') && !text.contains("\\u{1b}"), "{text}");
}

#[test]
fn short_sessions_are_logged_at_powers_of_two() {
    let collector = Collector::bind();
    let (_agent, log) = start_with_log_file("sent-away", &collector);
    // The shortest session after which an agent reconnects immediately.
    let drain = Message::Drain(Drain { delay_ms: 2_000, target: Some("nowhere") });
    for _ in 0..8 {
        let mut peer = collector.welcome(1_000);
        peer.send(&drain);
        peer.receive_non_report(|message| {
            assert!(matches!(message, Message::Bye(_)), "{message:?}")
        });
    }
    let text = std::fs::read_to_string(log.path()).unwrap();
    for said in [" connected ", "drain requested"] {
        assert_eq!(text.matches(said).count(), 4, "the first, second, fourth and eighth: {text}");
    }
}

#[test]
fn text_of_a_huge_certificate_is_truncated_in_the_log() {
    let (authority, files, collector) = (Authority::new(), Files::new(), Collector::bind());
    let ca = files.write("ca.pem", &authority.0.pem(), 0o644);
    let names = (0..2_000).map(|n| format!("host-{n}.example.com"));
    let config = authority.collector_of(names.collect(), 2020, 2100, None);
    let agent = Agent::start_with("one", &collector.address(), Stdio::piped(), &["--tls-ca", &ca]);
    let mut peer = secure(collector.accept(), &config);
    assert!(
        peer.stream.conn.complete_io(&mut peer.stream.sock).is_err(),
        "the agent accepted the certificate"
    );
    let said = agent.first_line_with("connection failed");
    assert!(said.contains("is for another name"), "{said}");
    assert!(said.len() < MAX_LOG_BYTES, "{} bytes of log", said.len());
}
