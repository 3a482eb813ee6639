//! HTTP requests that are cheap to send and could be expensive for the collector: CPU time of its
//! process, and log lines.
//!
//! `cargo test -p fleetgauge-collector --test it cheap_requests -- --nocapture` prints the table of
//! SECURITY.md.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::support::agent::{Agent, Identity, identity};
use crate::support::command::Process;
use crate::support::frames::gauges;
use crate::support::secrets::{Files, entry};
use crate::support::{TEST_TIMEOUT, http, read_some};

/// Agents, and families in the catalog that each declares: a look-up over all of them would be
/// expensive.
const AGENTS: usize = 60;
const FAMILIES: usize = 100;
/// The maximum number of users, with two tokens each.
const USERS: usize = 1_000;
/// Minimum CPU time of a measurement: fifteen ticks of 10 ms, so that one tick matters little.
const MEASURED: Duration = Duration::from_millis(150);
/// Requests between two readings of the CPU time.
const AT_ONCE: u32 = 10;
/// Maximum CPU time of a request without a page, relative to `/healthz`. In practice, no request
/// reaches 3.
const MOST_TIMES: f64 = 20.0;
/// Maximum slowdown of an unoptimized build.
const SLOWNESS: f64 = if cfg!(debug_assertions) { 5.0 } else { 1.0 };
/// Maximum CPU nanoseconds for each byte of a request and its page. Only checked for requests above
/// the limit of a request without a page. The most expensive request, one gauge over the fleet,
/// takes 700 in an unoptimized build.
const MOST_NANOS: f64 = 1_000.0 * SLOWNESS;

const GOOD: &str = "Authorization: Bearer token 7";
const WRONG: &str = "Authorization: Bearer x";
const BASIC: &str = "Authorization: Basic dTk5OTp4";

/// Method, path, further headers, and the status of the answer.
type Request<'a> = (&'a str, &'a str, &'a str, u16);

/// Requests without a page, which must not cost a look-up over all agents or all users.
const WITHOUT_PAGE: [Request<'_>; 13] = [
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

/// Requests with a page.
const WITH_PAGE: [Request<'_>; 10] = [
    ("GET", "/metrics", GOOD, 200),
    ("GET", "/metrics/agents", GOOD, 200),
    ("GET", "/metrics/agents/a0", GOOD, 200),
    ("GET", "/metrics/self", GOOD, 200),
    ("GET", "/metrics/fleet?family=f_0_0", GOOD, 200),
    ("GET", "/metrics/roster", GOOD, 200),
    ("GET", "/api/agents", GOOD, 200),
    ("GET", "/api/departed", GOOD, 200),
    ("GET", "/sd?shards=1024", GOOD, 200),
    ("GET", "/sd/agents", GOOD, 200),
];

/// Request heads of nearly the maximum size: many headers, many alternatives in `Accept`, a long
/// credential, a long query with many parameters, a long id.
fn long_heads() -> [(&'static str, String, String, u16); 6] {
    let headers: String = (0..90).map(|n| format!("x-{n}: {}\r\n", "a".repeat(160))).collect();
    let choices = "text/plain;version=0.0.4;q=0.1,".repeat(500);
    let basic = BASE64_STANDARD.encode(format!("u999:{}", "x".repeat(9_000)));
    let parts = "shards=%32&".repeat(1_300);
    let plain = GOOD.to_owned();
    [
        ("many headers", "/metrics/self".to_owned(), format!("{headers}{GOOD}"), 200),
        (
            "Accept of 500 choices",
            "/metrics/self".to_owned(),
            format!("Accept: {choices}\r\n{GOOD}"),
            200,
        ),
        (
            "a credential of 12 kB",
            "/metrics".to_owned(),
            format!("Authorization: Basic {basic}"),
            401,
        ),
        ("GET /metrics, 1,300 parameters", format!("/metrics?{parts}"), plain.clone(), 400),
        (
            "GET /metrics/fleet, 1,300 parameters",
            format!("/metrics/fleet?{parts}"),
            plain.clone(),
            400,
        ),
        ("an id of 15 kB", format!("/metrics/agents/{}", "x".repeat(15_000)), plain, 404),
    ]
}

/// The cost of one request.
struct Cost {
    /// CPU time, in seconds.
    seconds: f64,
    /// Bytes received by the collector, and bytes sent by it.
    sent: usize,
    answered: usize,
}

/// Measures the mean cost of a request on one connection.
fn cost(process: &Process, request: Request<'_>) -> Cost {
    let (method, path, headers, status) = request;
    let head = format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n");
    let mut stream = TcpStream::connect(process.http).unwrap();
    stream.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
    let (before, mut answered, mut times) = (process.cpu(), 0, 0);
    while process.cpu() < before + MEASURED {
        for _ in 0..AT_ONCE {
            stream.write_all(head.as_bytes()).unwrap();
            let (answer, bytes) = answer(&mut stream, method == "HEAD");
            assert_eq!(answer, status, "{method} {path:.60}");
            answered = bytes;
        }
        times += AT_ONCE;
    }
    let cpu = process.cpu() - before;
    Cost { seconds: cpu.as_secs_f64() / f64::from(times), sent: head.len(), answered }
}

/// Reads one answer of a persistent connection. Returns its status and size.
fn answer(stream: &mut TcpStream, headless: bool) -> (u16, usize) {
    let (mut bytes, mut some) = (Vec::new(), [0; 16 * 1024]);
    loop {
        let read = read_some(stream, &mut some).unwrap();
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
fn cheap_requests_do_not_cost_a_look_up_of_the_fleet() {
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
            let catalog = gauges(&names.iter().map(String::as_str).collect::<Vec<_>>());
            // The agents report once, and stay connected for the whole test.
            let id = format!("a{n}");
            let rare = Identity { interval_ms: 300_000, ..identity(&id) };
            Agent::join(process.agents, &rare, &catalog, &[1.0; FAMILIES])
        })
        .collect();
    println!("| request: status | sent | answered | CPU us | ns a byte sent | sent or answered |");
    println!("|---|---|---|---|---|---|");
    let row = |what: &str, request: Request<'_>| {
        let cost = cost(&process, request);
        let nanos = cost.seconds * 1e9;
        let (each, all) = (nanos / cost.sent as f64, nanos / (cost.sent + cost.answered) as f64);
        let Cost { seconds, sent, answered } = cost;
        let (status, micros) = (request.3, seconds * 1e6);
        println!("| {what}: {status} | {sent} | {answered} | {micros:.0} | {each:.0} | {all:.0} |");
        (seconds, each, all)
    };
    let short = |request: Request<'_>| row(&format!("{} {}", request.0, request.1), request);
    let health = short(("GET", "/healthz", GOOD, 200)).0;
    for request in WITHOUT_PAGE {
        let times = short(request).0 / health;
        assert!(times < MOST_TIMES, "{request:?}: {times:.1} times what /healthz costs");
    }
    for request in WITH_PAGE {
        let (seconds, _, nanos) = short(request);
        let is_short = seconds < MOST_TIMES * health;
        assert!(is_short || nanos < MOST_NANOS, "{request:?}: {nanos:.0} ns a byte");
    }
    for (what, path, headers, status) in long_heads() {
        let nanos = row(what, ("GET", &path, &headers, status)).1;
        assert!(nanos < MOST_NANOS, "{what}: {nanos:.0} ns a byte sent");
    }
}

/// A path can be as long as a request head. The log has only the beginning of the path.
#[test]
fn long_path_is_truncated_in_the_log() {
    let files = Files::new();
    let readers = files.write("readers", &entry("user = 'prometheus'", &["token"], ""));
    let process = Process::start(&["--http-credentials", readers.to_str().unwrap()]);
    let path = format!("/{}", "x".repeat(12_000));
    assert_eq!(http::request(process.http, "GET", &path, &[]).status, 401);
    let log = process.stopped();
    let line = log.lines().find(|line| line.contains("HTTP request unauthorized")).unwrap();
    assert!(line.len() < 500 && line.contains("path=\"/xxx"), "{line}");
}
