//! What a hostile collector, or whoever stands in for one, can make the agent write.

use std::fs::File;
use std::process::Stdio;

use fleetgauge_proto::message::{Drain, Message, Ping, Pong};
use tempfile::NamedTempFile;

use crate::collector::Collector;
use crate::process::Agent;
use crate::tls::{Authority, Files, secure};

/// Most bytes of log that the agent writes while a peer misbehaves in one session: a line for each
/// of its few events, with 512 bytes of the peer's text at most.
const MAX_LOG_BYTES: usize = 4096;

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
    assert!(text.len() < MAX_LOG_BYTES, "{} bytes of log for {sent}", text.len());
    assert!(!text.contains('\u{1b}') && !text.contains("\\u{1b}"), "{text}");
}

#[test]
fn session_after_session_is_logged_ever_more_seldom() {
    let collector = Collector::bind();
    let (_agent, log) = logging("sent-away", &collector);
    // The shortest after which an agent comes again at once.
    let drain = Message::Drain(Drain { delay_ms: 2_000, target: Some("nowhere") });
    for _ in 0..8 {
        let mut peer = collector.welcome(1_000);
        peer.say(&drain);
        peer.hear_but_reports(|message| assert!(matches!(message, Message::Bye(_)), "{message:?}"));
    }
    let text = std::fs::read_to_string(log.path()).unwrap();
    for said in [" connected ", "asks us to leave"] {
        assert_eq!(text.matches(said).count(), 4, "the first, second, fourth and eighth: {text}");
    }
}

#[test]
fn a_certificate_of_thousands_of_names_is_cut_in_the_log() {
    let (authority, files, collector) = (Authority::new(), Files::new(), Collector::bind());
    let ca = files.write("ca.pem", &authority.0.pem(), 0o644);
    let names = (0..2_000).map(|n| format!("host-{n}.example.com"));
    let config = authority.collector_of(names.collect(), 2020, 2100, None);
    let agent = Agent::start_with("one", &collector.address(), Stdio::piped(), &["--tls-ca", &ca]);
    let mut peer = secure(collector.accept(), &config);
    assert!(peer.stream.conn.complete_io(&mut peer.stream.sock).is_err(), "it believes that");
    let said = agent.first_line_with("no connection");
    assert!(said.contains("is for another name"), "{said}");
    assert!(said.len() < MAX_LOG_BYTES, "{} bytes of log", said.len());
}
