//! What an agent shows a collector for itself, and nobody else.

use std::fs::File;
use std::process::Stdio;

use fleetgauge_proto::message::{Message, Reject};

use crate::collector::{Collector, Peer, welcome};
use crate::process::Agent;

const FIRST: &str = "hunter2hunter2hunter2-first";
const SECOND: &str = "hunter2hunter2hunter2-second";

/// The credential of the Hello that comes.
fn shown(peer: &mut Peer) -> Option<Vec<u8>> {
    peer.hear(|message| {
        let Message::Hello(hello) = message else { panic!("not a Hello: {message:?}") };
        hello.credential.map(|secret| secret.0.to_vec())
    })
}

#[test]
fn the_token_is_read_anew_for_every_connection_and_shown_to_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let [token, log] = ["token", "log"].map(|name| directory.path().join(name));
    let write = |text: &str| {
        let mut file = tempfile::NamedTempFile::new_in(directory.path()).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        file.persist(&token).unwrap();
    };
    write(&format!("{FIRST}\n"));
    let collector = Collector::bind();
    let stderr = Stdio::from(File::create(&log).unwrap());
    let more = ["--token-file", token.to_str().unwrap(), "--log", "trace"];
    let mut agent = Agent::start_with("web-1", &collector.address(), stderr, &more);
    let mut peer = collector.accept();
    assert_eq!(shown(&mut peer).as_deref(), Some(FIRST.as_bytes()));
    write(SECOND);
    let revoked = Reject { stream: 0, code: 91, text: "revoked", retry_after_ms: Some(0) };
    peer.say(&Message::Reject(revoked));
    let mut peer = collector.accept();
    assert_eq!(shown(&mut peer).as_deref(), Some(SECOND.as_bytes()));
    peer.say(&welcome(1_000, true));
    peer.hear(|message| assert!(matches!(message, Message::Report(_)), "{message:?}"));

    let arguments = std::fs::read_to_string(format!("/proc/{}/cmdline", agent.pid())).unwrap();
    agent.terminate();
    agent.wait();
    let seen = arguments + &std::fs::read_to_string(&log).unwrap();
    assert!(seen.contains("--token-file") && seen.contains("connected"), "{seen}");
    assert!(!seen.contains("hunter2"), "{seen}");
}

#[test]
fn without_a_token_nothing_is_shown() {
    let collector = Collector::bind();
    let _agent = Agent::start("web-1", &collector.address(), Stdio::null());
    assert_eq!(shown(&mut collector.accept()), None);
}

#[test]
fn a_token_that_is_gone_is_waited_for() {
    let mut token = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut token, FIRST.as_bytes()).unwrap();
    let path = token.path().to_owned();
    let collector = Collector::bind();
    let more = ["--token-file", path.to_str().unwrap()];
    let agent = Agent::start_with("web-1", &collector.address(), Stdio::piped(), &more);
    let mut peer = collector.accept();
    assert_eq!(shown(&mut peer).as_deref(), Some(FIRST.as_bytes()));
    drop(token);
    drop(peer);
    let line = agent.first_line_with("it cannot be read");
    assert!(line.contains("no connection") && line.contains(path.to_str().unwrap()), "{line}");
}
