//! Tokens: sent in Hello, never logged.

use std::fs::File;
use std::process::Stdio;

use fleetgauge_proto::message::{Message, Reject};

use crate::collector::{Collector, Peer, welcome};
use crate::process::Agent;

const FIRST: &str = "hunter2hunter2hunter2-first";
const SECOND: &str = "hunter2hunter2hunter2-second";

/// Receives Hello and returns its credential.
fn receive_credential(peer: &mut Peer) -> Option<Vec<u8>> {
    peer.receive(|message| {
        let Message::Hello(hello) = message else { panic!("not a Hello: {message:?}") };
        hello.credential.map(|secret| secret.0.to_vec())
    })
}

#[test]
fn token_is_read_for_every_connection_and_never_logged() {
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
    assert_eq!(receive_credential(&mut peer).as_deref(), Some(FIRST.as_bytes()));
    write(SECOND);
    let revoked = Reject { stream: 0, code: 91, text: "revoked", retry_after_ms: Some(0) };
    peer.send(&Message::Reject(revoked));
    let mut peer = collector.accept();
    assert_eq!(receive_credential(&mut peer).as_deref(), Some(SECOND.as_bytes()));
    peer.send(&welcome(1_000, true));
    peer.receive(|message| assert!(matches!(message, Message::Report(_)), "{message:?}"));

    let arguments = std::fs::read_to_string(format!("/proc/{}/cmdline", agent.pid())).unwrap();
    agent.terminate();
    agent.wait();
    let output = arguments + &std::fs::read_to_string(&log).unwrap();
    assert!(output.contains("--token-file") && output.contains("connected"), "{output}");
    assert!(!output.contains("hunter2"), "{output}");
}

#[test]
fn hello_has_no_credential_without_a_token() {
    let collector = Collector::bind();
    let _agent = Agent::start("web-1", &collector.address(), Stdio::null());
    assert_eq!(receive_credential(&mut collector.accept()), None);
}

#[test]
fn missing_token_file_is_logged() {
    let mut token = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut token, FIRST.as_bytes()).unwrap();
    let path = token.path().to_owned();
    let collector = Collector::bind();
    let more = ["--token-file", path.to_str().unwrap()];
    let agent = Agent::start_with("web-1", &collector.address(), Stdio::piped(), &more);
    let mut peer = collector.accept();
    assert_eq!(receive_credential(&mut peer).as_deref(), Some(FIRST.as_bytes()));
    drop(token);
    drop(peer);
    let line = agent.first_line_with("cannot be read");
    assert!(line.contains("connection failed") && line.contains(path.to_str().unwrap()), "{line}");
}
