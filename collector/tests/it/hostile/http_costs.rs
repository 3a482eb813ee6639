//! What requests cost the collector that are cheap to send: CPU of its process, counted, and lines of its log.
//!
//! `cargo test -p fleetgauge-collector --test it cheap_requests -- --nocapture` prints the table of SECURITY.md.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::agent::{Agent, who};
use crate::support::command::Process;
use crate::support::frames::gauges;
use crate::support::secrets::{Files, entry};
use crate::support::{PATIENCE, http};

/// Agents with a schema of their own each, of so many families: what a look at all of them would cost.
const AGENTS: usize = 60;
const FAMILIES: usize = 100;
/// As many users as may be, of two tokens each.
const USERS: usize = 1_000;
/// Requests of each kind: enough CPU for ticks of 10 ms to tell.
const REQUESTS: usize = 500;
/// A request may cost so many times as much as one that asks whether the process runs. None comes to twice.
const MOST_TIMES: f64 = 8.0;

const GOOD: &str = "Authorization: Bearer token 7";

/// CPU time of a process, user and system, in seconds.
fn cpu(process: &Process) -> f64 {
    let stat = procfs::process::Process::new(process.pid()).unwrap().stat().unwrap();
    (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64
}

/// CPU seconds of one such request among many of a connection, and its bytes.
fn cost(process: &Process, request: &(&str, &str, &str, u16)) -> (f64, usize) {
    let (method, path, credential, status) = request;
    let head = format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{credential}\r\n\r\n");
    let mut stream = TcpStream::connect(process.http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let before = cpu(process);
    for _ in 0..REQUESTS {
        stream.write_all(head.as_bytes()).unwrap();
        assert_eq!(answer(&mut stream, *method == "HEAD"), *status, "{method} {path}");
    }
    ((cpu(process) - before) / REQUESTS as f64, head.len())
}

/// Reads one answer of a connection that goes on; its status.
fn answer(stream: &mut TcpStream, headless: bool) -> u16 {
    let (mut bytes, mut some) = (Vec::new(), [0; 16 * 1024]);
    loop {
        let read = stream.read(&mut some).unwrap();
        assert_ne!(read, 0, "the connection has ended");
        bytes.extend_from_slice(&some[..read]);
        if bytes.windows(4).any(|end| end == b"\r\n\r\n") {
            let answer = http::parse(&bytes, headless);
            if answer.whole {
                return answer.status;
            }
        }
    }
}

/// What is cheap to send is cheap to answer, or brings a page: nothing looks at the whole fleet, or at all users, for a
/// refusal.
#[test]
fn cheap_requests_do_not_cost_a_look_at_the_fleet() {
    let files = Files::new();
    let tokens = |n: usize| [format!("token {n}"), format!("other {n}")];
    let users: String = (0..USERS)
        .map(|n| {
            let tokens = tokens(n);
            entry(&format!("user = 'u{n}'"), &[&tokens[0], &tokens[1]], "")
        })
        .collect();
    let readers = files.write("readers", &users);
    let process = Process::start(&["--http-credentials", readers.to_str().unwrap()]);
    let _fleet: Vec<_> = (0..AGENTS)
        .map(|n| {
            let names: Vec<_> = (0..FAMILIES).map(|family| format!("f_{n}_{family}")).collect();
            let schema = gauges(&names.iter().map(String::as_str).collect::<Vec<_>>());
            Agent::join(process.agents, &who(&format!("a{n}")), &schema, &[1.0; FAMILIES])
        })
        .collect();
    let health = cost(&process, &("GET", "/healthz", GOOD, 200)).0;
    let wrong = "Authorization: Bearer x";
    let basic = "Authorization: Basic dTk5OTp4";
    for request in [
        ("GET", "/", GOOD, 200),
        ("GET", "/metrics", wrong, 401),
        ("GET", "/metrics", basic, 401),
        ("GET", "/nothing", GOOD, 404),
        ("GET", "/metrics/agents/x", GOOD, 404),
        ("DELETE", "/api/departed/x", GOOD, 403),
        ("GET", "/metrics?shards=9", GOOD, 400),
        ("GET", "/metrics/fleet?by=le", GOOD, 400),
        ("GET", "/metrics/fleet?family=x", GOOD, 400),
        ("HEAD", "/metrics", GOOD, 200),
        ("HEAD", "/metrics/roster", GOOD, 200),
        ("HEAD", "/api/agents", GOOD, 200),
        ("GET", "/readyz", wrong, 200),
    ] {
        let (seconds, bytes) = cost(&process, &request);
        let (method, path, _, status) = request;
        let times = seconds / health;
        let micros = seconds * 1e6;
        println!(
            "{method} {path} {status}: {micros:.0} us, {:.2} us a byte, {times:.1} times /healthz",
            micros / bytes as f64
        );
        assert!(times < MOST_TIMES, "{method} {path}: {times:.1} times what /healthz costs");
    }
}

/// A path may have as many bytes as a head: the log shows its beginning.
#[test]
fn a_long_path_does_not_fill_the_log() {
    let files = Files::new();
    let readers = files.write("readers", &entry("user = 'prometheus'", &["token"], ""));
    let process = Process::start(&["--http-credentials", readers.to_str().unwrap()]);
    let path = format!("/{}", "x".repeat(12_000));
    assert_eq!(http::request(process.http, "GET", &path, &[]).status, 401);
    let log = process.stopped();
    let line = log.lines().find(|line| line.contains("HTTP request unauthorized")).unwrap();
    assert!(line.len() < 500 && line.contains("path=\"/xxx"), "{line}");
}
