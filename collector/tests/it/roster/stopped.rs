//! A collector that is stopped while a thousand agents are connected.

use std::time::Duration;

use fleetgauge_proto::message::Bye;
use fleetgauge_proto::{Code, Message};
use rustix::process::Signal;

use crate::support::agent::{Agent, Heard, Who, who};
use crate::support::command::Process;
use crate::support::frames::{frame, gauges};

const AGENTS: usize = 1_000;
const SHARED: usize = 100;
/// Far longer than the agents need on a busy machine; the drain ends when all have left.
const DRAIN: &str = "60s";

/// Maximum CPU time of a SIGTERM with all departures; an unoptimized build takes 0.2 s. When each
/// departure tried every family of every other schema again, it took 80 s, or 14 s optimized: most
/// agents were cut off, and no file was written.
const MOST_CPU: Duration = Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 1 });

#[test]
fn a_thousand_hosts_with_a_family_of_their_own_leave_and_are_remembered() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().to_str().unwrap();
    let mut collector = Process::start(&["--state-dir", state, "--drain-timeout", DRAIN]);
    let log = collector.collects();
    let mut names: Vec<_> = (0..SHARED).map(|n| format!("shared_{n}")).collect();
    let mut agents: Vec<_> = (0..AGENTS)
        .map(|n| {
            names.truncate(SHARED);
            names.push(format!("own_{n}"));
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            let id = format!("host-{n}");
            let slow = Who { interval_ms: 300_000, ..who(&id) };
            Agent::join(collector.agents, &slow, &gauges(&names), &[1.0; SHARED + 1])
        })
        .collect();
    let before = collector.cpu();
    collector.signal(Signal::TERM);
    for agent in &mut agents {
        assert!(matches!(agent.hear(), Heard::Drain { .. }));
        let drained = 1;
        agent.send(&frame(&Message::Bye(Bye { stream: 0, reason: drained })));
        assert_eq!(agent.hear(), Heard::Closed, "said goodbye, so not told to");
    }
    // To the end of its log it is there; then its CPU time can be read until it is waited for.
    let log = log.join().unwrap();
    let cpu = collector.cpu() - before;
    println!("{cpu:?} of CPU");
    assert!(collector.ends().success());
    assert!(cpu < MOST_CPU, "{cpu:?}");
    assert!(!log.contains("were cut off") && !log.contains("state file was not"), "{log}");
    let kept = std::fs::read_to_string(directory.path().join("roster.jsonl")).unwrap();
    for n in 0..AGENTS {
        assert!(kept.contains(&format!("{{\"connected\":{{\"id\":\"host-{n}\"")), "host-{n}");
    }
}

/// Nothing is saved before, for the next save would be in an hour.
#[test]
fn agents_that_stay_until_they_are_closed_are_remembered() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().to_str().unwrap();
    let seldom = ["--state-dir", state, "--state-interval", "3600s", "--drain-timeout", "1s"];
    let mut collector = Process::start(&seldom);
    let log = collector.collects();
    let ids = ["one", "two", "three"];
    let mut agents =
        ids.map(|id| Agent::join(collector.agents, &who(id), &gauges(&["load"]), &[1.0]));
    let file = directory.path().join("roster.jsonl");
    assert!(!file.exists());
    collector.signal(Signal::TERM);
    for agent in &mut agents {
        agent.expect_reject(Code::Draining);
    }
    assert!(collector.ends().success());
    let kept = std::fs::read_to_string(file).unwrap();
    for id in ids {
        assert!(kept.contains(&format!("{{\"connected\":{{\"id\":\"{id}\"")), "{kept}");
    }
    assert!(!log.join().unwrap().contains("state file was not"));
}
