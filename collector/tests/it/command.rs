//! The command: exit codes, signals, and failures to write the log.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Output, Stdio};

use fleetgauge_proto::Code;
use rustix::process::Signal;

use crate::support::agent::{Agent, Received, identity};
use crate::support::command::{Process, command};
use crate::support::frames::gauges;
use crate::support::{eventually, http};

/// Runs the command to its end.
fn output(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn port_in_use_is_named_with_a_remedy() {
    // A port of Linux's ephemeral range, chosen by the kernel.
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap();
    let ephemeral = address.port() >= 32_768;
    for flags in [["--listen", "--http-listen"], ["--http-listen", "--listen"]] {
        let taken = address.to_string();
        let output = output(&[flags[0], &taken, flags[1], "127.0.0.1:0"]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&taken), "{said}");
        assert_eq!(said.contains("net.ipv4.ip_local_reserved_ports"), ephemeral, "{said}");
    }
}

#[test]
fn address_of_another_host_is_an_error() {
    let output = output(&["--insecure", "--listen", "192.0.2.1:1", "--http-listen", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("192.0.2.1:1"));
}

#[test]
fn log_has_connects_and_disconnects_of_agents() {
    let mut process = Process::start(&[]);
    let agent = Agent::join(process.agents, &identity("visitor"), &gauges(&["load"]), &[1.0]);
    let port = agent.stream.local_addr().unwrap().port().to_string();
    let connected = process.logs("agent connected");
    assert!(
        connected.contains("INFO") && connected.contains("visitor") && connected.contains(&port),
        "{connected:?}"
    );
    drop(agent);
    let disconnected = process.logs("agent disconnected");
    assert!(
        disconnected.contains("INFO")
            && disconnected.contains("visitor")
            && disconnected.contains("closed"),
        "{disconnected:?}"
    );
    assert!(!disconnected.contains('\u{1b}'), "no colors in a pipe: {disconnected:?}");
}

/// Checks that the collector works: one agent reports and another is rejected, which logs two
/// lines.
fn works(process: &Process) {
    let mut agent = Agent::join(process.agents, &identity("a"), &gauges(&["load"]), &[1.0]);
    for n in 0..3 {
        let mut stranger = Agent::connect(process.agents);
        stranger.send(b"nonsense");
        stranger.expect_reject(Code::BadMagic);
        agent.report(&[f64::from(n)]);
        let page = http::request(process.http, "GET", "/metrics/agents", &[]);
        assert!(page.whole);
        assert_eq!(page.text().lines().last(), Some(&*format!("load{{agent=\"a\"}} {n}")));
    }
}

#[test]
fn collector_works_when_the_disk_of_its_log_is_full() {
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let mut deaf = command(&["--log", "debug"]);
    deaf.stderr(full());
    let mut process = Process::start_deaf(deaf);
    works(&process);
    process.signal(Signal::TERM);
    assert_eq!(process.ends().code(), Some(0));
    for (arguments, code) in [(&["--check"][..], 0), (&["--max-scrapes", "0"], 64), (&["--x"], 64)]
    {
        let status = command(arguments).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn collector_works_when_its_log_pipe_is_closed() {
    let mut process = Process::start(&["--log", "debug"]);
    process.close_log();
    works(&process);
    process.signal(Signal::INT);
    assert_eq!(process.ends().code(), Some(0));
}

#[test]
fn collector_works_with_closed_stderr() {
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "exec \"$0\" \"$@\" 2>&- >&-", env!("CARGO_BIN_EXE_fleetgauge-collector")]);
    let mut process = Process::start_deaf(shell);
    works(&process);
    process.signal(Signal::TERM);
    assert_eq!(process.ends().code(), Some(0));
}

#[test]
fn sigterm_drains_agents() {
    // Longer than the timeout of this test: the drain ends when all agents have left.
    let mut process = Process::start(&["--drain-timeout", "600s"]);
    let mut agent = Agent::join(process.agents, &identity("a"), &gauges(&["load"]), &[1.0]);
    process.signal(Signal::TERM);
    assert!(matches!(agent.receive(), Received::Drain { .. }));
    assert_eq!(http::request(process.http, "GET", "/readyz", &[]).status, 503);
    drop(agent);
    assert_eq!(process.ends().code(), Some(0));
    process.logs("stopped");
}

#[test]
fn sigint_closes_agents_after_the_drain_time() {
    let mut process = Process::start(&["--drain-timeout", "1s"]);
    let mut agent = Agent::join(process.agents, &identity("a"), &gauges(&["load"]), &[1.0]);
    // Another client does not finish its request.
    let mut idle = std::net::TcpStream::connect(process.http).unwrap();
    idle.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
    process.signal(Signal::INT);
    agent.expect_code(Code::Draining);
    assert_eq!(process.ends().code(), Some(0));
    let _ = idle.read(&mut [0]);
}

#[test]
fn full_collector_answers_scrapes() {
    let mut shell = std::process::Command::new("sh");
    let limited = "ulimit -n 320 && exec \"$0\" \"$@\" 2>/dev/null";
    shell.args(["-c", limited, env!("CARGO_BIN_EXE_fleetgauge-collector")]);
    let process = Process::start_deaf(shell);
    let join =
        |n| Agent::join(process.agents, &identity(&format!("a{n}")), &gauges(&["up"]), &[1.0]);
    let fleet: Vec<_> = (0..64).map(join).collect();
    // They are rejected and linger.
    let crowd: Vec<_> = (0..300).map(|_| Agent::connect(process.agents)).collect();
    for _ in 0..10 {
        let page = http::request(process.http, "GET", "/metrics/agents", &[]);
        assert!(page.whole);
        assert_eq!(page.text().matches("agent=").count(), 64);
    }
    let own = http::request(process.http, "GET", "/metrics/self", &[]).text();
    assert!(own.contains("fleetgauge_accept_errors_total 0"), "file descriptors never ran out");
    drop((crowd, fleet));
}

#[test]
fn collector_listens_on_several_addresses() {
    let process = Process::start(&["--listen", "127.0.0.1:0"]);
    let one = Agent::join(process.agents, &identity("one"), &gauges(&["load"]), &[1.0]);
    let two = Agent::join(process.listeners[1], &identity("two"), &gauges(&["load"]), &[1.0]);
    eventually("both are shown", || {
        let page = http::request(process.http, "GET", "/metrics/agents", &[]).text();
        page.contains("one") && page.contains("two")
    });
    drop((one, two));
}
