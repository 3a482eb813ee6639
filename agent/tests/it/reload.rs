//! SIGHUP reloads the settings.

use std::process::{Command, Stdio};

use fleetgauge_proto::Code;
use fleetgauge_proto::message::{Bye, ByeReason, Message, Reject};
use fleetgauge_proto::report::ABSENT;
use rustix::process::Signal;

use crate::collector::{Collector, Peer, welcome};
use crate::process::Agent;
use crate::reporting::receive_complete;
use crate::tls::Files;

const FIRST: &str = "hunter2hunter2hunter2-first";
const SECOND: &str = "hunter2hunter2hunter2-second";

/// The contents of a Hello that the tests check.
#[derive(Debug, PartialEq, Eq)]
struct HelloInfo {
    label: String,
    interval_ms: u32,
    process: [u8; 16],
    catalog: [u8; 16],
    credential: Option<Vec<u8>>,
}

fn receive_hello(peer: &mut Peer) -> HelloInfo {
    peer.receive(|message| {
        let Message::Hello(hello) = message else { panic!("not a Hello: {message:?}") };
        HelloInfo {
            label: hello.labels[0].value.to_owned(),
            interval_ms: hello.interval_ms,
            process: hello.process_nonce,
            catalog: hello.catalogs[0].0,
            credential: hello.credential.map(|secret| secret.0.to_vec()),
        }
    })
}

/// Writes a configuration file with the settings in `more`, for the metrics `basic` unless it says
/// otherwise.
fn settings(files: &Files, collector: &Collector, more: &str, label: &str) -> String {
    let address = collector.address();
    let metrics = if more.contains("metrics = ") { "" } else { "metrics = 'basic'\n" };
    let text = format!(
        "collector = '{address}'\nid = 'web-1'\n{metrics}{more}\n[labels]\ndc = '{label}'\n"
    );
    files.write("agent.toml", &text, 0o644)
}

fn start(config: &str) -> Agent {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetgauge-agent"));
    Agent::spawn(command.args(["--config", config]), Stdio::piped())
}

fn receive_report(peer: &mut Peer) {
    peer.receive(|message| assert!(matches!(message, Message::Report(_)), "{message:?}"));
}

fn receive_bye(peer: &mut Peer) {
    let reason = ByeReason::Reconfigured as u8;
    peer.receive_non_report(|message| assert_eq!(message, Message::Bye(Bye { stream: 0, reason })));
}

#[test]
fn session_continues_if_the_settings_are_the_same() {
    let (files, collector) = (Files::new(), Collector::bind());
    let agent = start(&settings(&files, &collector, "interval = '1s'", "fra"));
    let mut peer = collector.welcome(1_000);
    receive_report(&mut peer);
    for _ in 0..2 {
        agent.signal(Signal::HUP);
        let said = agent.first_line_with("configuration reloaded");
        assert!(said.contains("nothing"), "{said}");
        // The session continues without Bye.
        receive_report(&mut peer);
        receive_report(&mut peer);
    }
}

#[test]
fn agent_reconnects_with_changed_settings() {
    let (files, collector, other) = (Files::new(), Collector::bind(), Collector::bind());
    let config = settings(&files, &collector, "interval = '1s'", "fra");
    let agent = start(&config);
    let mut peer = collector.accept();
    let before = receive_hello(&mut peer);
    peer.send(&welcome(1_000, true));
    receive_report(&mut peer);
    settings(&files, &other, "interval = '2s'\nmetrics = 'classic'\nlog = 'debug'", "ams");
    agent.signal(Signal::HUP);
    receive_bye(&mut peer);
    let mut peer = other.accept();
    let after = receive_hello(&mut peer);
    assert_eq!((&*after.label, after.interval_ms), ("ams", 2_000));
    assert_eq!(after.process, before.process, "the nonce of the process stays the same");
    assert_ne!(after.catalog, before.catalog);
    let said = agent.first_line_with("configuration reloaded");
    assert!(said.contains("collector, interval, metrics, labels, log"), "{said}");
    peer.send(&welcome(2_000, true));
    let (row, _) = receive_complete(&mut peer, [ABSENT; 6]);
    assert!(row[1] > 1.0, "not memory usage in percent: {row:?}");
    agent.first_line_with("DEBUG");
}

#[test]
fn session_continues_if_only_the_log_level_changed() {
    let (files, collector) = (Files::new(), Collector::bind());
    let agent = start(&settings(&files, &collector, "interval = '1s'", "fra"));
    let mut peer = collector.welcome(1_000);
    receive_report(&mut peer);
    settings(&files, &collector, "interval = '1s'\nlog = 'debug'", "fra");
    for changed in ["changed=\"log\"", "changed=\"nothing\""] {
        agent.signal(Signal::HUP);
        let said = agent.first_line_with("configuration reloaded");
        assert!(said.contains(changed), "{said}");
        // The session continues without Bye.
        receive_report(&mut peer);
        receive_report(&mut peer);
    }
    agent.first_line_with("DEBUG");
}

#[test]
fn invalid_file_keeps_the_current_settings() {
    let (files, collector) = (Files::new(), Collector::bind());
    let config = settings(&files, &collector, "interval = '1s'", "fra");
    let agent = start(&config);
    let mut peer = collector.welcome(1_000);
    files.write("agent.toml", "colector = 'c:1'\n", 0o644);
    agent.signal(Signal::HUP);
    let said = agent.first_line_with("configuration reload failed");
    assert!(said.contains("ERROR") && said.contains("line 1: colector: unknown setting"), "{said}");
    receive_report(&mut peer);
    receive_report(&mut peer);
    drop(peer);
    assert_eq!(receive_hello(&mut collector.accept()).label, "fra");
}

#[test]
fn reload_that_fails_at_the_token_file_keeps_the_log_level() {
    let (files, collector) = (Files::new(), Collector::bind());
    let token = files.write("token", FIRST, 0o600);
    let more = format!("interval = '1s'\ntoken_file = '{token}'");
    let mut agent = start(&settings(&files, &collector, &more, "fra"));
    let mut peer = collector.welcome(1_000);
    receive_report(&mut peer);
    files.write("token", "", 0o600);
    settings(&files, &collector, &format!("{more}\nlog = 'debug'"), "fra");
    agent.signal(Signal::HUP);
    agent.first_line_with("configuration reload failed");
    // At debug, every report is logged.
    receive_report(&mut peer);
    receive_report(&mut peer);
    agent.terminate();
    peer.receive_non_report(|message| assert!(matches!(message, Message::Bye(_)), "{message:?}"));
    drop(peer);
    agent.wait();
    let log = agent.rest_of_log();
    assert!(!log.iter().any(|line| line.contains("DEBUG")), "{log:#?}");
}

/// Accepts a connection and sends a Reject without a retry time.
fn reject(collector: &Collector) -> HelloInfo {
    let mut peer = collector.accept();
    let hello = receive_hello(&mut peer);
    let code = Code::Unauthorized.to_u16();
    peer.send(&Message::Reject(Reject { stream: 0, code, text: "no", retry_after_ms: None }));
    peer.wait_for_close();
    hello
}

#[test]
fn reload_ends_the_delay_after_a_reject() {
    let (files, collector) = (Files::new(), Collector::bind());
    let agent = start(&settings(&files, &collector, "", "fra"));
    reject(&collector);
    agent.first_line_with("connection rejected");
    agent.signal(Signal::HUP);
    reject(&collector);
}

#[test]
fn changed_token_ends_the_delay_after_a_reject() {
    let (files, collector) = (Files::new(), Collector::bind());
    let token = files.write("token", FIRST, 0o600);
    let more = format!("token_file = '{token}'");
    let agent = start(&settings(&files, &collector, &more, "fra"));
    assert_eq!(reject(&collector).credential.as_deref(), Some(FIRST.as_bytes()));
    agent.first_line_with("connection rejected");
    files.write("token", SECOND, 0o600);
    assert_eq!(reject(&collector).credential.as_deref(), Some(SECOND.as_bytes()));
}

#[test]
fn reload_sends_the_changed_token() {
    let (files, collector) = (Files::new(), Collector::bind());
    let token = files.write("token", FIRST, 0o600);
    let more = format!("interval = '1s'\ntoken_file = '{token}'");
    let agent = start(&settings(&files, &collector, &more, "fra"));
    let mut peer = collector.welcome(1_000);
    files.write("token", SECOND, 0o600);
    receive_report(&mut peer);
    agent.signal(Signal::HUP);
    receive_bye(&mut peer);
    let credential = receive_hello(&mut collector.accept()).credential;
    assert_eq!(credential.as_deref(), Some(SECOND.as_bytes()));
    let said = agent.first_line_with("configuration reloaded");
    assert!(said.contains("token"), "{said}");
}
