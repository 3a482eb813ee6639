//! Attacks on the HTTP port. Agents continue to report, scrapes succeed, and attackers are
//! disconnected in time.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fleetgauge_collector::Config;
use fleetgauge_collector::exposition::CHUNK_BYTES;

use crate::support::agent::{Agent, Identity, identity};
use crate::support::collector::{Collector, config};
use crate::support::frames::gauges;
use crate::support::{StopAtEnd, TEST_TIMEOUT, eventually};

/// Maximum time until the collector closes a connection: the request timeout, and a margin for a
/// busy machine.
const CLOSED_WITHIN: Duration = TEST_TIMEOUT;

/// A collector with an agent that must not be affected.
struct Victim {
    agent: Agent,
    collector: Collector,
}

impl Victim {
    fn new(http_connections: usize) -> Self {
        Self::with(http_connections, Collector::with)
    }

    fn with(http_connections: usize, start: impl FnOnce(Config) -> Collector) -> Self {
        let mut config = config();
        config.bounds.http_connections = http_connections;
        let collector = start(config);
        let agent = Agent::join(collector.agents, &identity("resident"), &gauges(&["up"]), &[1.0]);
        Self { agent, collector }
    }

    /// Checks that the next page has the agent's next report.
    fn unharmed(&mut self) {
        let value = self.agent.sequence as f64 + 1.0;
        self.agent.report(&[value]);
        eventually("the report is exposed", || {
            self.collector.page().values_of("resident") == [value]
        });
    }

    fn attack(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.collector.http).unwrap();
        stream.write_all(bytes).unwrap();
        stream
    }
}

/// Reads the answer until the connection ends. Fails if the connection does not end in time.
fn answer(mut stream: TcpStream) -> String {
    stream.set_read_timeout(Some(CLOSED_WITHIN)).unwrap();
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes);
    let open = |kind| matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut);
    assert!(!end.is_err_and(|error| open(error.kind())), "the connection is still open");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Connects from an address that no other test uses.
fn from_elsewhere(to: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let elsewhere: SocketAddr = "127.0.0.2:0".parse().unwrap();
    socket.bind(&elsewhere.into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

#[test]
fn unfinished_requests_are_disconnected() {
    let mut victim = Victim::new(64);
    let whole = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let attacks = [
        &b""[..],
        b"G",
        b"GET /metrics HT",
        b"GET /metrics HTTP/1.1\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: a\r\nX-Slow: ",
        b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf",
        whole,
    ];
    let begun = Instant::now();
    let open = attacks.map(|attack| victim.attack(attack));
    victim.unharmed();
    for (stream, attack) in open.into_iter().zip(attacks) {
        let answer = answer(stream);
        let expected = match attack {
            b"" | b"G" => "",
            attack if attack == whole => "HTTP/1.1 200",
            attack if attack.starts_with(b"POST") => "HTTP/1.1 405",
            _ => "",
        };
        let fits = if expected.is_empty() {
            answer.is_empty() || answer.starts_with("HTTP/1.1 408")
        } else {
            answer.starts_with(expected)
        };
        assert!(fits, "{:?}: {answer}", String::from_utf8_lossy(attack));
    }
    assert!(begun.elapsed() < CLOSED_WITHIN);
    victim.unharmed();
}

/// The collector does not buffer request heads without an end, and soon closes the connection.
#[test]
fn endless_heads_are_disconnected() {
    let mut victim = Victim::new(64);
    let piece = "x".repeat(4096);
    for (start, part) in [
        ("GET /", piece.clone()),
        ("GET / HTTP/1.1\r\nX-Long: ", piece.clone()),
        ("GET / HTTP/1.1\r\n", format!("X-One: {piece}\r\n")),
        ("GET / HTTP/1.1\r\n", "A: b\r\n".repeat(200)),
    ] {
        let mut stream = victim.attack(start.as_bytes());
        let mut sent = 0;
        while stream.write_all(part.as_bytes()).is_ok() {
            sent += part.len();
            assert!(sent < 64 << 20, "endless input is read");
        }
        victim.unharmed();
    }
    for head in [
        format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(12_000)),
        format!("GET / HTTP/1.1\r\nX-Long: {}\r\n\r\n", "x".repeat(20_000)),
        format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(101)),
    ] {
        let answer = answer(victim.attack(head.as_bytes()));
        let status = if head.starts_with("GET /x") { "404" } else { "431" };
        assert!(answer.is_empty() || answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
}

#[test]
fn idle_connections_are_evicted() {
    let idle = idle_connections();
    let mut victim = Victim::new(64);
    let http = victim.collector.http;
    let mut open = Vec::new();
    for n in 0..idle {
        open.push(from_elsewhere(http));
        if n % 500 == 0 {
            victim.unharmed();
        }
    }
    for _ in 0..20 {
        open.push(from_elsewhere(http));
        victim.unharmed();
    }
    let evicted = victim.collector.metric("fleetgauge_http_connections_evicted_total");
    assert!(evicted >= (idle - 64) as f64, "{evicted} of {idle}");
    for stream in open {
        assert_eq!(answer(stream), "");
    }
    victim.unharmed();
}

/// Returns the number of idle connections to open: 10,000, or as many as the file limit allows next
/// to other tests.
fn idle_connections() -> usize {
    let files = fleetgauge_common::file_limit::raise().unwrap();
    files.map_or(10_000, |most| usize::try_from(most / 2).unwrap().min(10_000))
}

/// A page that is being sent is not aborted to make room for an idle connection.
#[test]
fn idle_connections_do_not_break_a_scrape() {
    let victim = Victim::new(2);
    let mut agents = Vec::new();
    let wide: Vec<_> = (0..500).map(|n| format!("wide_{n:0100}")).collect();
    let catalog = gauges(&wide.iter().map(String::as_str).collect::<Vec<_>>());
    for n in 0..40 {
        let id = format!("wide-{n}");
        agents.push(Agent::join(victim.collector.agents, &identity(&id), &catalog, &[1.0; 500]));
    }
    let http = victim.collector.http;
    let mut scrape = crate::support::http::send(http, "GET", "/metrics/agents", &[]);
    let mut bytes = vec![0; 1];
    scrape.read_exact(&mut bytes).unwrap();
    let idle: Vec<_> = (0..50).map(|_| from_elsewhere(http)).collect();
    eventually("idle connections are evicted", || {
        victim.collector.metric("fleetgauge_http_connections_evicted_total") >= 49.0
    });
    scrape.read_to_end(&mut bytes).unwrap();
    let answer = crate::support::http::parse(&bytes, false);
    assert_eq!((answer.status, answer.whole), (200, true));
    assert!(answer.body.len() > 2 << 20, "larger than the socket buffers");
    drop(idle);
}

/// Sends requests until the collector has not read any for a while.
fn send_until_stuck(stream: &mut TcpStream, requests: &[u8]) {
    stream.set_nonblocking(true).unwrap();
    let begun = Instant::now();
    let mut sent = 0;
    let mut taken = begun;
    while taken.elapsed() < Duration::from_millis(300) && begun.elapsed() < CLOSED_WITHIN {
        match stream.write(&requests[sent % requests.len()..]) {
            Ok(bytes) => (sent, taken) = (sent + bytes, Instant::now()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(_) => break,
        }
    }
}

/// The clients send requests and read no response: no page is being sent, but the connection is
/// stuck.
#[test]
fn clients_that_do_not_read_responses_are_evicted() {
    let mut victim = Victim::new(4);
    let http = victim.collector.http;
    let mut deaf: Vec<_> = (0..4).map(|_| from_elsewhere(http)).collect();
    let requests = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100);
    for stream in &mut deaf {
        send_until_stuck(stream, &requests);
    }
    victim.unharmed();
    assert!(victim.collector.metric("fleetgauge_http_connections_evicted_total") >= 1.0);
}

/// A connection whose receive buffer holds only a few kB.
fn shallow(to: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

/// The page has two chunks, so it is rendered at once. Clients read so slowly that it takes too
/// long, but often enough that the kernel never closes the connection.
#[test]
fn clients_that_read_the_end_of_a_page_slowly_are_disconnected() {
    let victim = Victim::with(16, Collector::with_fixed_buffers);
    let http = victim.collector.http;
    let names: Vec<_> = (0..450).map(|n| format!("wide_{n:0100}")).collect();
    let catalog = gauges(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let rare = Identity { interval_ms: 300_000, ..identity("wide") };
    let _wide = Agent::join(victim.collector.agents, &rare, &catalog, &[1.0; 450]);
    let bytes = victim.collector.get("/metrics/agents", &[]).body.len();
    assert!((CHUNK_BYTES..2 * CHUNK_BYTES).contains(&bytes), "{bytes}");
    // At most one connection per scrape permit, or the requests below evict some of them.
    let requests = b"GET /metrics/agents HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100);
    let mut slow: Vec<_> = (0..4).map(|_| shallow(http)).collect();
    for stream in &mut slow {
        send_until_stuck(stream, &requests);
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let done = StopAtEnd(&done);
        scope.spawn(|| {
            while !done.0.load(Ordering::Relaxed) {
                for mut stream in &slow {
                    // Fails on connections that were closed.
                    let _ = stream.read(&mut [0; 2048]);
                }
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        eventually("the slow clients are disconnected", || {
            victim.collector.metric("fleetgauge_scrapes_broken_total") >= 4.0
        });
    });
    drop(slow);
    eventually("there is room for a scrape", || {
        victim.collector.get("/metrics/agents", &[]).status == 200
    });
}
