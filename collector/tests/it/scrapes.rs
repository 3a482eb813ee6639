//! Scrapers that do not read, and too many of them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::agent::{Agent, who};
use crate::support::collector::{Collector, config};
use crate::support::frames::{GAUGE, SchemaFrame, family, labelled, schema_of};
use crate::support::http;
use crate::support::{PATIENCE, eventually, holds_within};

const SERIES: usize = 10_000;
/// For so long a connection that has not asked yet is kept when the collector stops.
const FIRST_REQUEST: Duration = Duration::from_millis(500);
/// For so long a scrape waits for others to end.
const ROOM_TIMEOUT: Duration = Duration::from_secs(1);
/// A scraper that reads nothing for so long is given up.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Agents whose page is larger than all buffers on its way.
pub(crate) struct Crowd {
    pub(crate) agents: Vec<Agent>,
    pub(crate) collector: Collector,
}

impl Crowd {
    pub(crate) fn new(scrapes: usize) -> Self {
        let mut config = config();
        config.bounds.scrapes = scrapes;
        let collector = Collector::with(config);
        let schema = many_series();
        let agents = (0..15)
            .map(|n| Agent::join(collector.agents, &who(&format!("a{n}")), &schema, &[1.0; SERIES]))
            .collect();
        Self { agents, collector }
    }

    /// Asks for everything and reads nothing.
    fn stalled_scraper(&self) -> TcpStream {
        let mut stream = narrow(self.collector.http);
        http::write(&mut stream, "GET", "/metrics/agents", &[]);
        // It has begun: the collector is in the midst of it.
        let mut first = [0; 1];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"H");
        stream
    }
}

/// A connection of whose answer little is in the kernel's buffers.
pub(crate) fn narrow(http: std::net::SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&http.into()).unwrap();
    socket.into()
}

fn many_series() -> SchemaFrame {
    let values: Vec<_> = (0..SERIES).map(|n| format!("{n:040}")).collect();
    let series: Vec<_> =
        values.iter().map(|value| labelled(0, std::slice::from_ref(&("n", value)))).collect();
    schema_of(&[family("wide", GAUGE)], &series)
}

#[test]
fn a_scraper_that_stalls_is_dropped_and_its_page_looks_broken() {
    let mut crowd = Crowd::new(4);
    let mut stalled = crowd.stalled_scraper();
    // Others are served, and agents taken in, in the meantime.
    for n in 0..20 {
        let values = vec![f64::from(n); SERIES];
        crowd.agents[0].report(&values);
        let page = crowd.collector.page_at("/metrics/agents/a0");
        assert_eq!(page.samples().next().unwrap().1, f64::from(n));
    }
    let whole = crowd.collector.get("/metrics/agents", &[]);
    assert!(whole.whole && whole.body.len() > 8 << 20);
    let broken = || crowd.collector.figure("fleetgauge_scrapes_broken_total");
    eventually("it is given up", || broken() == 1.0);
    let mut bytes = b"H".to_vec();
    let _ = stalled.read_to_end(&mut bytes);
    let answer = http::parse(&bytes, false);
    assert_eq!(answer.status, 200);
    assert!(!answer.whole, "a truncated page looked like a successful scrape");
    assert!(answer.body.len() < whole.body.len());
    assert!(whole.body.starts_with(&answer.body));
}

/// Each byte is progress, and yet its page would take weeks.
#[test]
fn a_scraper_that_reads_a_byte_a_second_is_dropped_as_well() {
    let mut crowd = Crowd::new(1);
    let mut slow = crowd.stalled_scraper();
    let broken = || crowd.collector.figure("fleetgauge_scrapes_broken_total");
    let begun = Instant::now();
    while broken() < 1.0 {
        crowd.agents[0].report(&[1.0; SERIES]);
        assert!(begun.elapsed() < PATIENCE, "it keeps the only place");
        slow.read_exact(&mut [0]).unwrap();
        std::thread::sleep(Duration::from_secs(1));
    }
    assert!(crowd.collector.get("/metrics/agents", &[]).whole, "its place is free");
}

#[test]
fn too_many_scrapes_are_told_to_come_again() {
    let crowd = Crowd::new(2);
    for path in ["/metrics", "/metrics/agents", "/metrics/fleet", "/sd/agents", "/api/agents"] {
        holds_within(STALL_TIMEOUT, "a third scrape is told to come again", || {
            let _stalled = [crowd.stalled_scraper(), crowd.stalled_scraper()];
            let answer = crowd.collector.get(path, &[]);
            let refused = (answer.status, answer.whole, answer.header("retry-after"));
            // These hold no copy of the fleet, and whoever looks for the cause needs them.
            for path in ["/healthz", "/sd", "/metrics/agents/a0"] {
                assert_eq!(crowd.collector.get(path, &[]).status, 200, "{path}");
            }
            refused == (503, true, Some("1"))
        });
        eventually("there is room again", || crowd.collector.get("/metrics", &[]).status == 200);
    }
    assert!(crowd.collector.figure("fleetgauge_scrapes_refused_total") >= 5.0);
    eventually("the stalled ones are counted", || {
        crowd.collector.figure("fleetgauge_scrapes_broken_total") >= 10.0
    });
    drop(crowd.agents);
}

#[test]
fn scrapes_that_come_at_once_follow_each_other() {
    let mut config = config();
    config.bounds.scrapes = 1;
    let collector = Collector::with(config);
    let scrape = |shard: usize| {
        let path = format!("/metrics/agents?shard={shard}&shards=16");
        collector.get(&path, &[]).status
    };
    // They wait for each other, but not for longer.
    holds_within(ROOM_TIMEOUT, "scrapes follow each other", || {
        std::thread::scope(|scope| {
            let scrape = &scrape;
            let scrapes: Vec<_> = (0..16).map(|shard| scope.spawn(move || scrape(shard))).collect();
            scrapes.into_iter().all(|scrape| scrape.join().unwrap() == 200)
        })
    });
}

#[test]
fn a_page_that_is_stopped_is_broken_off() {
    let mut crowd = Crowd::new(2);
    let mut stalled = crowd.stalled_scraper();
    crowd.collector.stop();
    drop(crowd);
    let mut bytes = b"H".to_vec();
    let _ = stalled.read_to_end(&mut bytes);
    assert!(!http::parse(&bytes, false).whole);
}

#[test]
fn who_was_let_in_as_the_collector_stops_is_answered() {
    let request = b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n";
    holds_within(FIRST_REQUEST, "a connection that was accepted is answered", || {
        let mut collector = Collector::start();
        let connect = || {
            let stream = TcpStream::connect(collector.http).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream
        };
        let (mut late, mut idle) = (connect(), connect());
        // Answered, so both have been let in.
        idle.write_all(request).unwrap();
        let mut answer = [0; 12];
        idle.read_exact(&mut answer).unwrap();
        let stopping = std::thread::spawn(move || collector.stop());
        // Its end says that the stop has begun.
        idle.read_to_end(&mut Vec::new()).unwrap();
        let is_read = late.write_all(request).and_then(|()| late.read_exact(&mut answer));
        stopping.join().unwrap();
        is_read.is_ok() && answer == *b"HTTP/1.1 200"
    });
}

#[test]
fn a_connection_serves_several_scrapes() {
    let collector = Collector::start();
    let mut stream = TcpStream::connect(collector.http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = b"GET /metrics/agents HTTP/1.1\r\nHost: test\r\n\r\n";
    for _ in 0..3 {
        stream.write_all(request).unwrap();
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n0\r\n\r\n") {
            let mut byte = [0; 1];
            stream.read_exact(&mut byte).unwrap();
            bytes.push(byte[0]);
        }
        assert!(bytes.starts_with(b"HTTP/1.1 200 OK"));
    }
}

#[test]
fn a_request_that_never_ends_is_dropped_and_harms_nobody() {
    let mut config = config();
    config.bounds.http_connections = 2;
    let collector = Collector::with(config);
    let mut slow = TcpStream::connect(collector.http).unwrap();
    slow.write_all(b"GET /metrics HTTP/1.1\r\nX-Slow: ").unwrap();
    assert_eq!(collector.get("/healthz", &[]).status, 200);
    slow.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = Vec::new();
    assert!(slow.read_to_end(&mut answer).is_ok(), "it is still there after {PATIENCE:?}");
}
