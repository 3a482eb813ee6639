//! What requests cost the collector that are cheap to send: CPU of its process, counted, and lines of its log.
//!
//! `cargo test -p fleetgauge-collector --test it cheap_requests -- --nocapture` prints the table of SECURITY.md.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::agent::{Agent, Who, who};
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
const PAGES: usize = 30;
/// A request without a page may cost so many times as much as one that asks whether the process runs. None comes to
/// twice.
const MOST_TIMES: f64 = 20.0;
/// Most CPU for each byte of a page and its request, in nanoseconds of an unoptimized build. The dearest, a gauge of the
/// whole fleet, takes 700.
const MOST_NANOS: f64 = 5_000.0;

const GOOD: &str = "Authorization: Bearer token 7";
const WRONG: &str = "Authorization: Bearer x";
const BASIC: &str = "Authorization: Basic dTk5OTp4";

/// A method, a path, other headers, and the status of the answer.
type Request = (&'static str, &'static str, &'static str, u16);

/// What has no page: it must not cost a look at the whole fleet, or at all users.
const WITHOUT_PAGE: [Request; 13] = [
    ("GET", "/", GOOD, 200),
    ("GET", "/readyz", WRONG, 200),
    ("GET", "/metrics", WRONG, 401),
    ("GET", "/metrics", BASIC, 401),
    ("GET", "/nothing", GOOD, 404),
    ("GET", "/metrics/agents/x", GOOD, 404),
    ("DELETE", "/api/departed/x", GOOD, 403),
    ("GET", "/metrics?shards=9", GOOD, 400),
    ("GET", "/metrics/fleet?by=le", GOOD, 400),
    ("GET", "/metrics/fleet?family=x", GOOD, 400),
    ("HEAD", "/metrics", GOOD, 200),
    ("HEAD", "/metrics/roster", GOOD, 200),
    ("HEAD", "/api/agents", GOOD, 200),
];

/// What has one.
const WITH_PAGE: [Request; 8] = [
    ("GET", "/metrics", GOOD, 200),
    ("GET", "/metrics/agents/a0", GOOD, 200),
    ("GET", "/metrics/self", GOOD, 200),
    ("GET", "/metrics/fleet?family=f_0_0", GOOD, 200),
    ("GET", "/metrics/roster", GOOD, 200),
    ("GET", "/api/agents", GOOD, 200),
    ("GET", "/sd?shards=1024", GOOD, 200),
    ("GET", "/sd/agents", GOOD, 200),
];

/// CPU time of a process, user and system, in seconds.
fn cpu(process: &Process) -> f64 {
    let stat = procfs::process::Process::new(process.pid()).unwrap().stat().unwrap();
    (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64
}

/// What one request costs.
struct Cost {
    /// CPU seconds.
    seconds: f64,
    /// Bytes sent to the collector, and back.
    sent: usize,
    answered: usize,
}

/// The cost of one of so many requests on a connection.
fn cost(process: &Process, request: Request, times: usize) -> Cost {
    let (method, path, headers, status) = request;
    let head = format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n");
    let mut stream = TcpStream::connect(process.http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (before, mut answered) = (cpu(process), 0);
    for _ in 0..times {
        stream.write_all(head.as_bytes()).unwrap();
        let (answer, bytes) = answer(&mut stream, method == "HEAD");
        assert_eq!(answer, status, "{method} {path}");
        answered = bytes;
    }
    Cost { seconds: (cpu(process) - before) / times as f64, sent: head.len(), answered }
}

/// Reads one answer of a connection that goes on; its status and its bytes.
fn answer(stream: &mut TcpStream, headless: bool) -> (u16, usize) {
    let (mut bytes, mut some) = (Vec::new(), [0; 16 * 1024]);
    loop {
        let read = stream.read(&mut some).unwrap();
        assert_ne!(read, 0, "the connection has ended");
        bytes.extend_from_slice(&some[..read]);
        if bytes.windows(4).any(|end| end == b"\r\n\r\n") {
            let answer = http::parse(&bytes, headless);
            if answer.whole {
                return (answer.status, bytes.len());
            }
        }
    }
}

#[test]
fn cheap_requests_do_not_cost_a_look_at_the_fleet() {
    let files = Files::new();
    let user = |n: usize| {
        let (own, next) = (format!("token {n}"), format!("next {n}"));
        entry(&format!("user = 'u{n}'"), &[&own, &next], "")
    };
    let readers = files.write("readers", &(0..USERS).map(user).collect::<String>());
    let process = Process::start(&["--http-credentials", readers.to_str().unwrap()]);
    let _fleet: Vec<_> = (0..AGENTS)
        .map(|n| {
            let names: Vec<_> = (0..FAMILIES).map(|family| format!("f_{n}_{family}")).collect();
            let schema = gauges(&names.iter().map(String::as_str).collect::<Vec<_>>());
            // They report once, and are there for as long as the test takes.
            let id = format!("a{n}");
            let rare = Who { interval_ms: 300_000, ..who(&id) };
            Agent::join(process.agents, &rare, &schema, &[1.0; FAMILIES])
        })
        .collect();
    let health = cost(&process, ("GET", "/healthz", GOOD, 200), REQUESTS).seconds;
    println!(
        "| request | sent | answered | CPU us | ns a byte sent | ns a byte sent or answered |"
    );
    let row = |(method, path, headers, status): Request, times| {
        let Cost { seconds, sent, answered } =
            cost(&process, (method, path, headers, status), times);
        let (all, each) = (seconds * 1e9 / (sent + answered) as f64, seconds * 1e9 / sent as f64);
        println!(
            "| {method} {path}: {status} | {sent} | {answered} | {:.0} | {each:.0} | {all:.0} |",
            seconds * 1e6
        );
        (seconds, all)
    };
    for request in WITHOUT_PAGE {
        let times = row(request, REQUESTS).0 / health;
        assert!(times < MOST_TIMES, "{request:?}: {times:.1} times what /healthz costs");
    }
    for request in WITH_PAGE {
        let nanos = row(request, PAGES).1;
        assert!(nanos < MOST_NANOS, "{request:?}: {nanos:.0} ns a byte");
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
