//! A collector that is stopped while a thousand agents are connected.

use std::time::Duration;

use fleetgauge_proto::message::Bye;
use fleetgauge_proto::{Code, Message};
use rustix::process::Signal;

use crate::support::agent::{Agent, Identity, Received, identity};
use crate::support::command::Process;
use crate::support::frames::{frame, gauges};

const AGENTS: usize = 1_000;
const SHARED: usize = 100;
/// Drain time: far longer than the agents need on a busy machine. The drain ends early when all
/// agents have left.
const DRAIN: &str = "60s";

/// Maximum CPU time from SIGTERM to the last departure. An unoptimized build takes 0.2 s. When each
/// departure tried every family of every other catalog again, it took 80 s (14 s optimized): most
/// connections were aborted, and no file was written.
const MOST_CPU: Duration = Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 1 });

#[test]
fn stop_saves_a_thousand_agents_with_distinct_families() {
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
            let slow = Identity { interval_ms: 300_000, ..identity(&id) };
            Agent::join(collector.agents, &slow, &gauges(&names), &[1.0; SHARED + 1])
        })
        .collect();
    let before = collector.cpu();
    collector.signal(Signal::TERM);
    for agent in &mut agents {
        assert!(matches!(agent.receive(), Received::Drain { .. }));
        let drained = 1;
        agent.send(&frame(&Message::Bye(Bye { stream: 0, reason: drained })));
        assert_eq!(agent.receive(), Received::Closed, "left by itself");
    }
    // Reads the log to its end. Then the CPU time can be read until the process is waited for.
    let log = log.join().unwrap();
    let cpu = collector.cpu() - before;
    println!("{cpu:?} of CPU");
    assert!(collector.ends().success());
    assert!(cpu < MOST_CPU, "{cpu:?}");
    assert!(!log.contains("aborted") && !log.contains("state file not written"), "{log}");
    let kept = std::fs::read_to_string(directory.path().join("roster.jsonl")).unwrap();
    for n in 0..AGENTS {
        assert!(kept.contains(&format!("{{\"connected\":{{\"id\":\"host-{n}\"")), "host-{n}");
    }
}

/// Nothing is saved before the stop, because the next save would be in an hour.
#[test]
fn agents_closed_at_the_end_of_the_drain_are_saved() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().to_str().unwrap();
    let seldom = ["--state-dir", state, "--state-interval", "3600s", "--drain-timeout", "1s"];
    let mut collector = Process::start(&seldom);
    let log = collector.collects();
    let ids = ["one", "two", "three"];
    let mut agents =
        ids.map(|id| Agent::join(collector.agents, &identity(id), &gauges(&["load"]), &[1.0]));
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
    assert!(!log.join().unwrap().contains("state file not written"));
}
