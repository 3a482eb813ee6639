//! Integration with systemd: notifications, watchdog, socket activation.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::agent::{Agent, identity};
use crate::support::command::{FREE_PORTS, Process, command};
use crate::support::frames::gauges;
use crate::support::http;
use crate::support::manager::{Manager, fill, handing_over, read_on};
use crate::support::{TEST_TIMEOUT, read_some};

/// Watchdog timeout that the service manager sets.
const WATCHDOG: Duration = Duration::from_secs(2);

/// A collector with a watchdog.
fn watched(manager: &Manager, arguments: &[&str]) -> Command {
    let mut command = command(arguments);
    manager.supervise(&mut command);
    command.env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string());
    command
}

#[test]
fn ready_is_sent_after_binding() {
    let manager = Manager::new();
    let mut command = command(&FREE_PORTS);
    manager.supervise(&mut command);
    let process = Process::run(command, 1);
    manager.expect_line("READY=1");
    Agent::join(process.agents, &identity("early"), &gauges(&["up"]), &[1.0]);
    assert_eq!(http::request(process.http, "GET", "/readyz", &[]).status, 200);
}

#[test]
fn status_has_the_number_of_agents() {
    let manager = Manager::new();
    let process = Process::run(watched(&manager, &FREE_PORTS), 1);
    let join = |id| Agent::join(process.agents, &identity(id), &gauges(&["up"]), &[1.0]);
    let _both = ["one", "two"].map(join);
    let beat = manager.expect_line("STATUS=2 agents");
    assert!(beat.contains("WATCHDOG=1"), "{beat}");
}

#[test]
fn stopping_is_sent_with_the_maximum_duration() {
    let manager = Manager::new();
    let mut command = command(&FREE_PORTS);
    command.args(["--drain-timeout", "40s"]);
    manager.supervise(&mut command);
    let mut process = Process::run(command, 1);
    manager.expect_line("READY=1");
    process.signal(Signal::TERM);
    let said = manager.expect_line("STOPPING=1");
    // More than the unit's TimeoutStopSec=: the drain, and 2 s each for connections, state, HTTP
    // and reserve.
    assert!(said.contains("EXTEND_TIMEOUT_USEC=48000000"), "{said}");
    assert_eq!(process.ends().code(), Some(0));
}

#[test]
fn reload_sends_reloading_and_ready() {
    let manager = Manager::new();
    let mut command = command(&FREE_PORTS);
    manager.supervise(&mut command);
    let process = Process::run(command, 1);
    manager.expect_line("READY=1");
    process.signal(Signal::HUP);
    let said = manager.expect_line("RELOADING=1");
    assert!(said.contains("MONOTONIC_USEC="), "{said}");
    manager.expect_line("READY=1");
}

/// Starts a collector, stops reading its log, and makes its threads log until the watchdog gets no
/// ping.
fn hangs(arguments: &[&str], http_answers: bool) {
    let manager = Manager::new();
    let mut command = watched(&manager, &["--log", "debug"]);
    let (log, mut writer) = std::io::pipe().unwrap();
    command.args(arguments).stderr(writer.try_clone().unwrap());
    let process = Process::start_deaf(command);
    for _ in 0..3 {
        manager.expect_line("WATCHDOG=1");
    }
    fill(&mut writer);
    let begun = Instant::now();
    while manager.receive_within(WATCHDOG).is_some() || answers(&process) != http_answers {
        assert!(begun.elapsed() < TEST_TIMEOUT, "the watchdog still gets pings");
        // No answer comes when the threads hang. The invalid bytes were logged before.
        for _ in 0..4 {
            let _ = TcpStream::connect(process.agents).unwrap().write_all(b"nonsense");
        }
    }
    // It hung, and was neither dead nor silent for another reason.
    read_on(log);
    manager.expect_line("WATCHDOG=1");
}

/// Whether the HTTP port answers within a second.
fn answers(process: &Process) -> bool {
    let mut stream = TcpStream::connect(process.http).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    read_some(&mut stream, &mut [0]).is_ok()
}

#[test]
fn hanging_collector_does_not_ping_the_watchdog() {
    hangs(&[], false);
}

#[test]
fn hanging_connection_runtime_does_not_ping_the_watchdog() {
    hangs(&["--coalesce-delay", "1ms"], true);
}

#[test]
fn activated_sockets_accept_connections_during_a_restart() {
    let bind = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (agents, http) = (bind(), bind());
    let start = || Process::run(handing_over(&agents, &http, "agents:http", &[]), 1);
    let catalog = gauges(&["up"]);
    let mut process = start();
    assert_eq!(process.agents, agents.local_addr().unwrap());
    assert_eq!(process.http, http.local_addr().unwrap());
    drop(Agent::join(process.agents, &identity("early"), &catalog, &[1.0]));
    process.signal(Signal::TERM);
    assert_eq!(process.ends().code(), Some(0));

    // No agent is connected, and none is refused.
    let mut late = Agent::greet(process.agents, &identity("late"), &catalog);
    let mut scrape = http::send(process.http, "GET", "/readyz", &[]);
    let _process = start();
    late.expect_welcome(&catalog);
    let mut answer = Vec::new();
    scrape.read_to_end(&mut answer).unwrap();
    assert_eq!(http::parse(&answer, false).status, 200);
}

#[test]
fn unusable_sockets_are_rejected_with_a_remedy() {
    let loopback = || TcpListener::bind("127.0.0.1:0").unwrap();
    let public = TcpListener::bind("0.0.0.0:0").unwrap();
    for (agents, names, words) in [
        (loopback(), "fleetgauge-collector.socket:http", "FileDescriptorName="),
        (loopback(), "http:http", "is a duplicate; pass only one"),
        (loopback(), "", "has an unknown name"),
        // The same rule as for a configured address.
        (public, "agents:http", "is not a loopback address"),
    ] {
        let (status, said) = Process::fails(handing_over(&agents, &loopback(), names, &[]));
        assert_eq!(status.code(), Some(64), "{names}: {said}");
        assert!(said.contains(words), "{names}: {said}");
    }
}

#[test]
fn sockets_for_another_process_are_ignored() {
    let mut command = command(&FREE_PORTS);
    command.envs([("LISTEN_PID", "1"), ("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", "agents:http")]);
    let process = Process::run(command, 1);
    Agent::join(process.agents, &identity("visitor"), &gauges(&["up"]), &[1.0]);
}
