//! Under a service manager: notifications, the watchdog, socket activation.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::agent::{Agent, who};
use crate::support::command::{FREE_PORTS, Process, command};
use crate::support::frames::gauges;
use crate::support::http;
use crate::support::manager::{Manager, fill, handing_over, read_on};
use crate::support::{PATIENCE, read_some};

/// What the manager grants a program between two signs of life.
const WATCHDOG: Duration = Duration::from_secs(2);

/// A collector that is to show signs of life.
fn watched(manager: &Manager, arguments: &[&str]) -> Command {
    let mut command = command(arguments);
    manager.supervise(&mut command);
    command.env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string());
    command
}

#[test]
fn it_is_ready_when_it_listens() {
    let manager = Manager::new();
    let mut command = command(&FREE_PORTS);
    manager.supervise(&mut command);
    let process = Process::run(command, 1);
    manager.hears("READY=1");
    Agent::join(process.agents, &who("early"), &gauges(&["up"]), &[1.0]);
    assert_eq!(http::request(process.http, "GET", "/readyz", &[]).status, 200);
}

#[test]
fn it_says_how_many_agents_it_has() {
    let manager = Manager::new();
    let process = Process::run(watched(&manager, &FREE_PORTS), 1);
    let join = |id| Agent::join(process.agents, &who(id), &gauges(&["up"]), &[1.0]);
    let _both = ["one", "two"].map(join);
    let beat = manager.hears("STATUS=2 agents");
    assert!(beat.contains("WATCHDOG=1"), "{beat}");
}

#[test]
fn a_stop_is_announced_with_the_time_that_it_may_take() {
    let manager = Manager::new();
    let mut command = command(&FREE_PORTS);
    command.args(["--drain-timeout", "40s"]);
    manager.supervise(&mut command);
    let mut process = Process::run(command, 1);
    manager.hears("READY=1");
    process.signal(Signal::TERM);
    let said = manager.hears("STOPPING=1");
    // More than the unit's TimeoutStopSec=: the drain, and 2 s each for connections, state, HTTP
    // and what is between.
    assert!(said.contains("EXTEND_TIMEOUT_USEC=48000000"), "{said}");
    assert_eq!(process.ends().code(), Some(0));
}

#[test]
fn reading_the_settings_anew_is_announced_and_ends() {
    let manager = Manager::new();
    let mut command = command(&FREE_PORTS);
    manager.supervise(&mut command);
    let process = Process::run(command, 1);
    manager.hears("READY=1");
    process.signal(Signal::HUP);
    let said = manager.hears("RELOADING=1");
    assert!(said.contains("MONOTONIC_USEC="), "{said}");
    manager.hears("READY=1");
}

/// Starts a collector whose log is read, then not; makes its threads log until it shows no sign of
/// life.
fn hangs(arguments: &[&str], http_answers: bool) {
    let manager = Manager::new();
    let mut command = watched(&manager, &["--log", "debug"]);
    let (log, mut writer) = std::io::pipe().unwrap();
    command.args(arguments).stderr(writer.try_clone().unwrap());
    let process = Process::start_deaf(command);
    for _ in 0..3 {
        manager.hears("WATCHDOG=1");
    }
    fill(&mut writer);
    let begun = Instant::now();
    while manager.hears_within(WATCHDOG).is_some() || answers(&process) != http_answers {
        assert!(begun.elapsed() < PATIENCE, "it feeds the watchdog and does nothing else");
        // There is no answer when the threads hang; the invalid bytes were logged before.
        for _ in 0..4 {
            let _ = TcpStream::connect(process.agents).unwrap().write_all(b"nonsense");
        }
    }
    // It hung, and was neither dead nor silent for another reason.
    read_on(log);
    manager.hears("WATCHDOG=1");
}

/// Whether the HTTP port answers within a second.
fn answers(process: &Process) -> bool {
    let mut stream = TcpStream::connect(process.http).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    read_some(&mut stream, &mut [0]).is_ok()
}

#[test]
fn a_collector_that_hangs_feeds_no_watchdog() {
    hangs(&[], false);
}

#[test]
fn that_only_the_connections_hang_feeds_no_watchdog_either() {
    hangs(&["--coalesce-delay", "1ms"], true);
}

#[test]
fn nobody_is_refused_while_it_restarts() {
    let bind = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (agents, http) = (bind(), bind());
    let start = || Process::run(handing_over(&agents, &http, "agents:http", &[]), 1);
    let schema = gauges(&["up"]);
    let mut process = start();
    assert_eq!(process.agents, agents.local_addr().unwrap());
    assert_eq!(process.http, http.local_addr().unwrap());
    drop(Agent::join(process.agents, &who("early"), &schema, &[1.0]));
    process.signal(Signal::TERM);
    assert_eq!(process.ends().code(), Some(0));

    // No agent is connected, and none is refused.
    let mut late = Agent::greet(process.agents, &who("late"), &schema);
    let mut scrape = http::send(process.http, "GET", "/readyz", &[]);
    let _process = start();
    late.expect_welcome(&schema);
    let mut answer = Vec::new();
    scrape.read_to_end(&mut answer).unwrap();
    assert_eq!(http::parse(&answer, false).status, 200);
}

#[test]
fn sockets_that_cannot_be_used_are_refused_with_advice() {
    let loopback = || TcpListener::bind("127.0.0.1:0").unwrap();
    let public = TcpListener::bind("0.0.0.0:0").unwrap();
    for (agents, names, words) in [
        (loopback(), "fleetgauge-collector.socket:http", "FileDescriptorName="),
        (loopback(), "http:http", "is the second of that name"),
        (loopback(), "", "must be called agents or http"),
        // The same rule as for an address that it would bind itself.
        (public, "agents:http", "is not a loopback address"),
    ] {
        let (status, said) = Process::fails(handing_over(&agents, &loopback(), names, &[]));
        assert_eq!(status.code(), Some(64), "{names}: {said}");
        assert!(said.contains(words), "{names}: {said}");
    }
}

#[test]
fn sockets_meant_for_another_process_are_left_alone() {
    let mut command = command(&FREE_PORTS);
    command.envs([("LISTEN_PID", "1"), ("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", "agents:http")]);
    let process = Process::run(command, 1);
    Agent::join(process.agents, &who("visitor"), &gauges(&["up"]), &[1.0]);
}
