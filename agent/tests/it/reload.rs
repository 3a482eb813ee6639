//! SIGHUP: the agent reads its settings anew.

use std::process::{Command, Stdio};

use fleetgauge_proto::Code;
use fleetgauge_proto::message::{Bye, ByeReason, Message, Reject};
use rustix::process::Signal;

use crate::collector::{Collector, Peer, welcome};
use crate::process::Agent;
use crate::tls::Files;

const FIRST: &str = "hunter2hunter2hunter2-first";
const SECOND: &str = "hunter2hunter2hunter2-second";

/// What is asked of an agent in its Hello.
#[derive(Debug, PartialEq, Eq)]
struct Introduction {
    label: String,
    interval_ms: u32,
    process: [u8; 16],
    schema: [u8; 16],
    credential: Option<Vec<u8>>,
}

fn introduced(peer: &mut Peer) -> Introduction {
    peer.hear(|message| {
        let Message::Hello(hello) = message else { panic!("not a Hello: {message:?}") };
        Introduction {
            label: hello.labels[0].value.to_owned(),
            interval_ms: hello.interval_ms,
            process: hello.process_nonce,
            schema: hello.schema.0,
            credential: hello.credential.map(|secret| secret.0.to_vec()),
        }
    })
}

/// Writes the settings of an agent; what more there is to say stands before the labels.
fn settings(files: &Files, collector: &Collector, more: &str, label: &str) -> String {
    let address = collector.address();
    let text = format!("collector = '{address}'\nid = 'web-1'\n{more}\n[labels]\ndc = '{label}'\n");
    files.write("agent.toml", &text, 0o644)
}

fn start(config: &str) -> Agent {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetgauge-agent"));
    Agent::spawn(command.args(["--config", config]), Stdio::piped())
}

fn hear_report(peer: &mut Peer) {
    peer.hear(|message| assert!(matches!(message, Message::Report(_)), "{message:?}"));
}

fn hear_bye(peer: &mut Peer) {
    let reason = ByeReason::Reconfigured as u8;
    peer.hear_but_reports(|message| assert_eq!(message, Message::Bye(Bye { stream: 0, reason })));
}

#[test]
fn settings_that_are_the_same_leave_the_session_alone() {
    let (files, collector) = (Files::new(), Collector::bind());
    let agent = start(&settings(&files, &collector, "interval = '1s'", "fra"));
    let mut peer = collector.welcome(1_000);
    hear_report(&mut peer);
    for _ in 0..2 {
        agent.signal(Signal::HUP);
        let said = agent.first_line_with("the settings were read anew");
        assert!(said.contains("nothing"), "{said}");
        // No Bye, and it reports on.
        hear_report(&mut peer);
        hear_report(&mut peer);
    }
}

#[test]
fn settings_that_have_changed_are_in_force_after_a_bye() {
    let (files, collector, other) = (Files::new(), Collector::bind(), Collector::bind());
    let config = settings(&files, &collector, "interval = '1s'", "fra");
    let agent = start(&config);
    let mut peer = collector.accept();
    let before = introduced(&mut peer);
    peer.say(&welcome(1_000, true));
    hear_report(&mut peer);
    settings(&files, &other, "interval = '2s'\nmetrics = 'classic'\nlog = 'debug'", "ams");
    agent.signal(Signal::HUP);
    hear_bye(&mut peer);
    let mut peer = other.accept();
    let after = introduced(&mut peer);
    assert_eq!((&*after.label, after.interval_ms), ("ams", 2_000));
    assert_eq!(after.process, before.process, "to the collector it is the same process");
    assert_ne!(after.schema, before.schema);
    let said = agent.first_line_with("the settings were read anew");
    assert!(said.contains("collector, interval, metrics, labels, log"), "{said}");
    peer.say(&welcome(2_000, true));
    hear_report(&mut peer);
    agent.first_line_with("DEBUG");
}

#[test]
fn a_changed_log_level_is_named_and_leaves_the_session_alone() {
    let (files, collector) = (Files::new(), Collector::bind());
    let agent = start(&settings(&files, &collector, "interval = '1s'", "fra"));
    let mut peer = collector.welcome(1_000);
    hear_report(&mut peer);
    settings(&files, &collector, "interval = '1s'\nlog = 'debug'", "fra");
    for changed in ["changed=\"log\"", "changed=\"nothing\""] {
        agent.signal(Signal::HUP);
        let said = agent.first_line_with("the settings were read anew");
        assert!(said.contains(changed), "{said}");
        // No Bye, and it reports on.
        hear_report(&mut peer);
        hear_report(&mut peer);
    }
    agent.first_line_with("DEBUG");
}

#[test]
fn a_broken_file_leaves_the_old_settings_in_force() {
    let (files, collector) = (Files::new(), Collector::bind());
    let config = settings(&files, &collector, "interval = '1s'", "fra");
    let agent = start(&config);
    let mut peer = collector.welcome(1_000);
    files.write("agent.toml", "colector = 'c:1'\n", 0o644);
    agent.signal(Signal::HUP);
    let said = agent.first_line_with("cannot read the settings anew");
    assert!(said.contains("ERROR") && said.contains("line 1: unknown field"), "{said}");
    hear_report(&mut peer);
    hear_report(&mut peer);
    drop(peer);
    assert_eq!(introduced(&mut collector.accept()).label, "fra");
}

#[test]
fn a_reload_that_fails_at_the_token_file_changes_nothing() {
    let (files, collector) = (Files::new(), Collector::bind());
    let token = files.write("token", FIRST, 0o600);
    let more = format!("interval = '1s'\ntoken_file = '{token}'");
    let mut agent = start(&settings(&files, &collector, &more, "fra"));
    let mut peer = collector.welcome(1_000);
    hear_report(&mut peer);
    files.write("token", "", 0o600);
    settings(&files, &collector, &format!("{more}\nlog = 'debug'"), "fra");
    agent.signal(Signal::HUP);
    agent.first_line_with("cannot read the settings anew");
    // Each report is a line at debug.
    hear_report(&mut peer);
    hear_report(&mut peer);
    agent.terminate();
    peer.hear_but_reports(|message| assert!(matches!(message, Message::Bye(_)), "{message:?}"));
    drop(peer);
    agent.wait();
    let log = agent.rest_of_log();
    assert!(!log.iter().any(|line| line.contains("DEBUG")), "{log:#?}");
}

/// Answers the next connection with a Reject that names no time.
fn refuse(collector: &Collector) -> Introduction {
    let mut peer = collector.accept();
    let introduction = introduced(&mut peer);
    let code = Code::Unauthorized.to_u16();
    peer.say(&Message::Reject(Reject { stream: 0, code, text: "no", retry_after_ms: None }));
    peer.wait_for_close();
    introduction
}

#[test]
fn a_reload_ends_the_wait_after_a_refusal() {
    let (files, collector) = (Files::new(), Collector::bind());
    let agent = start(&settings(&files, &collector, "", "fra"));
    refuse(&collector);
    agent.first_line_with("refused");
    agent.signal(Signal::HUP);
    refuse(&collector);
}

#[test]
fn a_token_that_has_changed_ends_the_wait_after_a_refusal() {
    let (files, collector) = (Files::new(), Collector::bind());
    let token = files.write("token", FIRST, 0o600);
    let more = format!("token_file = '{token}'");
    let agent = start(&settings(&files, &collector, &more, "fra"));
    assert_eq!(refuse(&collector).credential.as_deref(), Some(FIRST.as_bytes()));
    agent.first_line_with("refused");
    files.write("token", SECOND, 0o600);
    assert_eq!(refuse(&collector).credential.as_deref(), Some(SECOND.as_bytes()));
}

#[test]
fn a_reload_shows_a_token_that_has_changed() {
    let (files, collector) = (Files::new(), Collector::bind());
    let token = files.write("token", FIRST, 0o600);
    let more = format!("interval = '1s'\ntoken_file = '{token}'");
    let agent = start(&settings(&files, &collector, &more, "fra"));
    let mut peer = collector.welcome(1_000);
    files.write("token", SECOND, 0o600);
    hear_report(&mut peer);
    agent.signal(Signal::HUP);
    hear_bye(&mut peer);
    let shown = introduced(&mut collector.accept()).credential;
    assert_eq!(shown.as_deref(), Some(SECOND.as_bytes()));
    let said = agent.first_line_with("the settings were read anew");
    assert!(said.contains("token"), "{said}");
}
