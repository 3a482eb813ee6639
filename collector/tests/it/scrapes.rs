//! Scrapers that do not read, and too many scrapers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::agent::{Agent, identity};
use crate::support::collector::{Collector, config};
use crate::support::frames::{CatalogFrame, GAUGE, catalog_of, family, labelled};
use crate::support::http;
use crate::support::{TEST_TIMEOUT, eventually, holds_within};

const SERIES: usize = 10_000;
/// Time for the first request of a connection during shutdown.
const FIRST_REQUEST: Duration = Duration::from_millis(500);
/// Time for which a scrape waits for a permit.
const ROOM_TIMEOUT: Duration = Duration::from_secs(1);
/// Time after which a scraper that does not read is disconnected.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Agents whose page is larger than all buffers between collector and client.
pub(crate) struct Crowd {
    pub(crate) agents: Vec<Agent>,
    pub(crate) collector: Collector,
}

impl Crowd {
    pub(crate) fn new(scrapes: usize) -> Self {
        let mut config = config();
        config.bounds.scrapes = scrapes;
        let collector = Collector::with(config);
        let catalog = many_series();
        let agents = (0..15)
            .map(|n| {
                Agent::join(collector.agents, &identity(&format!("a{n}")), &catalog, &[1.0; SERIES])
            })
            .collect();
        Self { agents, collector }
    }

    /// Requests the whole page and does not read it.
    fn stalled_scraper(&self) -> TcpStream {
        let mut stream = narrow(self.collector.http);
        http::write(&mut stream, "GET", "/metrics/agents", &[]);
        // The page has begun, so the collector is rendering it.
        let mut first = [0; 1];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"H");
        stream
    }
}

/// A connection whose kernel buffers hold little of an answer.
pub(crate) fn narrow(http: std::net::SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&http.into()).unwrap();
    socket.into()
}

fn many_series() -> CatalogFrame {
    let values: Vec<_> = (0..SERIES).map(|n| format!("{n:040}")).collect();
    let series: Vec<_> =
        values.iter().map(|value| labelled(0, std::slice::from_ref(&("n", value)))).collect();
    catalog_of(&[family("wide", GAUGE)], &series)
}

#[test]
fn stalled_scraper_is_disconnected_and_its_page_is_broken() {
    let mut crowd = Crowd::new(4);
    let mut stalled = crowd.stalled_scraper();
    // Meanwhile others are served, and agents are admitted.
    for n in 0..20 {
        let values = vec![f64::from(n); SERIES];
        crowd.agents[0].report(&values);
        let page = crowd.collector.page_at("/metrics/agents/a0");
        assert_eq!(page.samples().next().unwrap().1, f64::from(n));
    }
    // As it was when the stalled scrape began.
    crowd.agents[0].report(&[1.0; SERIES]);
    let whole = crowd.collector.get("/metrics/agents", &[]);
    assert!(whole.whole && whole.body.len() > 8 << 20);
    let broken = || crowd.collector.metric("fleetgauge_scrapes_broken_total");
    eventually("the connection is closed", || broken() == 1.0);
    let mut bytes = b"H".to_vec();
    let _ = stalled.read_to_end(&mut bytes);
    let answer = http::parse(&bytes, false);
    assert_eq!(answer.status, 200);
    assert!(!answer.whole, "a truncated page looks complete");
    assert!(answer.body.len() < whole.body.len());
    assert!(whole.body.starts_with(&answer.body));
}

/// Each byte is progress, but at this rate the page would take weeks.
#[test]
fn scraper_that_reads_a_byte_a_second_is_disconnected() {
    let mut crowd = Crowd::new(1);
    let mut slow = crowd.stalled_scraper();
    let broken = || crowd.collector.metric("fleetgauge_scrapes_broken_total");
    let begun = Instant::now();
    while broken() < 1.0 {
        crowd.agents[0].report(&[1.0; SERIES]);
        assert!(begun.elapsed() < TEST_TIMEOUT, "it still holds the only permit");
        slow.read_exact(&mut [0]).unwrap();
        std::thread::sleep(Duration::from_secs(1));
    }
    assert!(crowd.collector.get("/metrics/agents", &[]).whole, "the permit is free again");
}

#[test]
fn scrape_without_permit_returns_503() {
    let crowd = Crowd::new(2);
    for path in ["/metrics", "/metrics/agents", "/metrics/fleet", "/sd/agents", "/api/agents"] {
        holds_within(STALL_TIMEOUT, "a third scrape returns 503", || {
            let _stalled = [crowd.stalled_scraper(), crowd.stalled_scraper()];
            let answer = crowd.collector.get(path, &[]);
            let refused = (answer.status, answer.whole, answer.header("retry-after"));
            // These pages copy no fleet, and operators need them to find the cause.
            for path in ["/healthz", "/sd", "/metrics/agents/a0"] {
                assert_eq!(crowd.collector.get(path, &[]).status, 200, "{path}");
            }
            refused == (503, true, Some("1"))
        });
        eventually("a permit is free again", || crowd.collector.get("/metrics", &[]).status == 200);
    }
    assert!(crowd.collector.metric("fleetgauge_scrapes_refused_total") >= 5.0);
    eventually("the stalled ones are counted", || {
        crowd.collector.metric("fleetgauge_scrapes_broken_total") >= 10.0
    });
    drop(crowd.agents);
}

#[test]
fn concurrent_scrapes_wait_for_a_permit() {
    let mut config = config();
    config.bounds.scrapes = 1;
    let collector = Collector::with(config);
    let scrape = |shard: usize| {
        let path = format!("/metrics/agents?shard={shard}&shards=16");
        collector.get(&path, &[]).status
    };
    // All wait for the permit, but no longer than its timeout.
    holds_within(ROOM_TIMEOUT, "scrapes follow each other", || {
        std::thread::scope(|scope| {
            let scrape = &scrape;
            let scrapes: Vec<_> = (0..16).map(|shard| scope.spawn(move || scrape(shard))).collect();
            scrapes.into_iter().all(|scrape| scrape.join().unwrap() == 200)
        })
    });
}

#[test]
fn page_in_flight_at_the_end_of_the_drain_is_aborted() {
    let mut crowd = Crowd::new(2);
    let mut stalled = crowd.stalled_scraper();
    crowd.collector.stop();
    drop(crowd);
    let mut bytes = b"H".to_vec();
    let _ = stalled.read_to_end(&mut bytes);
    assert!(!http::parse(&bytes, false).whole);
}

#[test]
fn connections_accepted_before_the_stop_are_answered() {
    let request = b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n";
    holds_within(FIRST_REQUEST, "a connection that was accepted is answered", || {
        let mut collector = Collector::start();
        let connect = || {
            let stream = TcpStream::connect(collector.http).unwrap();
            stream.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
            stream
        };
        let (mut late, mut idle) = (connect(), connect());
        // Both are answered, so both have a permit.
        idle.write_all(request).unwrap();
        let mut answer = [0; 12];
        idle.read_exact(&mut answer).unwrap();
        let stopping = std::thread::spawn(move || collector.stop());
        // The end of this connection shows that the shutdown has begun.
        idle.read_to_end(&mut Vec::new()).unwrap();
        let is_read = late.write_all(request).and_then(|()| late.read_exact(&mut answer));
        stopping.join().unwrap();
        is_read.is_ok() && answer == *b"HTTP/1.1 200"
    });
}

#[test]
fn persistent_connection_serves_several_scrapes() {
    let collector = Collector::start();
    let mut stream = TcpStream::connect(collector.http).unwrap();
    stream.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
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
fn endless_request_is_disconnected() {
    let mut config = config();
    config.bounds.http_connections = 2;
    let collector = Collector::with(config);
    let mut slow = TcpStream::connect(collector.http).unwrap();
    slow.write_all(b"GET /metrics HTTP/1.1\r\nX-Slow: ").unwrap();
    assert_eq!(collector.get("/healthz", &[]).status, 200);
    slow.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
    let mut answer = Vec::new();
    assert!(slow.read_to_end(&mut answer).is_ok(), "still connected after {TEST_TIMEOUT:?}");
}
