//! The log file of an agent process that is killed, or may not write files.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fleetgauge_proto::capability;
use fleetgauge_proto::message::{Message, Welcome};
use rustix::process::Signal;

use crate::collector::{Collector, Peer, welcome};
use crate::process::{Agent, TEST_TIMEOUT};

/// Polling interval while a test waits for the file.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Accepts a connection and asks for the log. Returns it and the first sequence number that Hello
/// announces.
fn accept(collector: &Collector) -> (Peer, Option<u64>) {
    let mut peer = collector.accept();
    let first = peer.receive(|message| {
        let Message::Hello(hello) = message else { panic!("not a Hello: {message:?}") };
        hello.log()
    });
    let Message::Welcome(welcome) = welcome(1_000, true) else { unreachable!() };
    peer.send(&Message::Welcome(Welcome { capabilities: capability::LOG, ..welcome }));
    (peer, first)
}

/// Receives the next report. Returns its sequence number.
fn report(peer: &mut Peer) -> u64 {
    peer.receive(|message| {
        let Message::Report(report) = message else { panic!("not a Report: {message:?}") };
        report.sequence
    })
}

#[test]
fn log_survives_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("reports");
    let more = ["--log-file", file.to_str().unwrap()];
    let collector = Collector::bind();
    let mut agent = Agent::start_with("web-1", &collector.address(), Stdio::piped(), &more);
    let (mut peer, first) = accept(&collector);
    assert_eq!(first, Some(1));
    report(&mut peer);
    // The first save begins the file, and has the first report.
    let deadline = Instant::now() + TEST_TIMEOUT;
    while !file.exists() {
        assert!(Instant::now() < deadline, "no file");
        std::thread::sleep(POLL_INTERVAL);
    }
    agent.signal(Signal::KILL);
    agent.wait();
    let agent = Agent::start_with("web-1", &collector.address(), Stdio::piped(), &more);
    let (mut peer, first) = accept(&collector);
    assert_eq!(first, Some(1));
    assert!(report(&mut peer) > 1);
    let line = agent.first_line_with("log file read");
    assert!(line.contains("reports="), "{line}");
}

/// As under a systemd unit with LimitFSIZE=0.
#[test]
fn agent_that_may_not_write_files_reports_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let collector = Collector::bind();
    let agent = Agent::command("web-1", &collector.address());
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -f 0; exec \"$@\"", "sh"]);
    command.arg(agent.get_program()).args(agent.get_args());
    command.arg("--log-file").arg(directory.path().join("reports"));
    command.env("FLEETGAUGE_METRICS", "basic");
    let agent = Agent::spawn(&mut command, Stdio::piped());
    let (mut peer, first) = accept(&collector);
    assert_eq!(first, Some(1));
    let line = agent.first_line_with("cannot use log file");
    assert!(line.contains("LimitFSIZE"), "{line}");
    assert!(report(&mut peer) < report(&mut peer));
}
