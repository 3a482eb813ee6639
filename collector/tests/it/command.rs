//! The command: exit codes, signals, and a log that cannot be written.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Output, Stdio};

use fleetgauge_proto::Code;
use rustix::process::Signal;

use crate::support::agent::{Agent, Heard, who};
use crate::support::command::{Process, command};
use crate::support::frames::gauges;
use crate::support::{eventually, http};

/// Runs it to its end.
fn output(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_busy_port_is_named_with_a_way_out() {
    // A port of Linux's ephemeral range, as the kernel gave it.
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
fn an_address_of_nobody_is_an_error() {
    let output = output(&["--insecure", "--listen", "192.0.2.1:1", "--http-listen", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("192.0.2.1:1"));
}

#[test]
fn the_log_tells_who_comes_and_goes() {
    let mut process = Process::start(&[]);
    let agent = Agent::join(process.agents, &who("visitor"), &gauges(&["load"]), &[1.0]);
    let port = agent.stream.local_addr().unwrap().port().to_string();
    let came = process.logs("agent reports");
    assert!(came.contains("INFO") && came.contains("visitor") && came.contains(&port), "{came:?}");
    drop(agent);
    let left = process.logs("agent gone");
    assert!(
        left.contains("INFO") && left.contains("visitor") && left.contains("closed"),
        "{left:?}"
    );
    assert!(!left.contains('\u{1b}'), "no colours into a pipe: {left:?}");
}

/// One agent reports, another is refused: both are logged.
fn works(process: &Process) {
    let mut agent = Agent::join(process.agents, &who("a"), &gauges(&["load"]), &[1.0]);
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
fn a_full_disk_under_the_log() {
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
fn a_log_that_nobody_reads_any_more() {
    let mut process = Process::start(&["--log", "debug"]);
    process.close_log();
    works(&process);
    process.signal(Signal::INT);
    assert_eq!(process.ends().code(), Some(0));
}

#[test]
fn a_closed_stderr() {
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "exec \"$0\" \"$@\" 2>&- >&-", env!("CARGO_BIN_EXE_fleetgauge-collector")]);
    let mut process = Process::start_deaf(shell);
    works(&process);
    process.signal(Signal::TERM);
    assert_eq!(process.ends().code(), Some(0));
}

#[test]
fn sigterm_asks_agents_to_leave() {
    // Longer than the timeout of this test: the drain ends when all agents have left.
    let mut process = Process::start(&["--drain-timeout", "600s"]);
    let mut agent = Agent::join(process.agents, &who("a"), &gauges(&["load"]), &[1.0]);
    process.signal(Signal::TERM);
    assert!(matches!(agent.hear(), Heard::Drain { .. }));
    assert_eq!(http::request(process.http, "GET", "/readyz", &[]).status, 503);
    drop(agent);
    assert_eq!(process.ends().code(), Some(0));
    process.logs("stopped");
}

#[test]
fn sigint_waits_no_longer_than_it_must() {
    let mut process = Process::start(&["--drain-timeout", "1s"]);
    let mut agent = Agent::join(process.agents, &who("a"), &gauges(&["load"]), &[1.0]);
    // Another client has a page in flight and does not read it.
    let mut idle = std::net::TcpStream::connect(process.http).unwrap();
    idle.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
    process.signal(Signal::INT);
    agent.expect_code(Code::Draining);
    assert_eq!(process.ends().code(), Some(0));
    let _ = idle.read(&mut [0]);
}

#[test]
fn a_full_collector_still_answers_its_scrape() {
    let mut shell = std::process::Command::new("sh");
    let limited = "ulimit -n 320 && exec \"$0\" \"$@\" 2>/dev/null";
    shell.args(["-c", limited, env!("CARGO_BIN_EXE_fleetgauge-collector")]);
    let process = Process::start_deaf(shell);
    let join = |n| Agent::join(process.agents, &who(&format!("a{n}")), &gauges(&["up"]), &[1.0]);
    let fleet: Vec<_> = (0..64).map(join).collect();
    // They are refused, and stay to read more.
    let crowd: Vec<_> = (0..300).map(|_| Agent::connect(process.agents)).collect();
    for _ in 0..10 {
        let page = http::request(process.http, "GET", "/metrics/agents", &[]);
        assert!(page.whole);
        assert_eq!(page.text().matches("agent=").count(), 64);
    }
    let own = http::request(process.http, "GET", "/metrics/self", &[]).text();
    assert!(own.contains("fleetgauge_accept_errors_total 0"), "descriptors never ran out");
    drop((crowd, fleet));
}

#[test]
fn several_addresses() {
    let process = Process::start(&["--listen", "127.0.0.1:0"]);
    let one = Agent::join(process.agents, &who("one"), &gauges(&["load"]), &[1.0]);
    let two = Agent::join(process.listeners[1], &who("two"), &gauges(&["load"]), &[1.0]);
    eventually("both are shown", || {
        let page = http::request(process.http, "GET", "/metrics/agents", &[]).text();
        page.contains("one") && page.contains("two")
    });
    drop((one, two));
}
