//! Pages that break off while they are sent. Clients must notice.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use rustix::process::Signal;

use crate::scrapes::{Crowd, narrow};
use crate::support::agent::{Agent, identity};
use crate::support::collector::{Collector, config};
use crate::support::command::Process;
use crate::support::frames::{CatalogFrame, GAUGE, catalog_of, family, label, labelled};
use crate::support::{TEST_TIMEOUT, eventually, http, read_some};

/// Number of series that make an agent's page larger than all buffers between collector and client.
const SERIES: usize = 10_000;

fn wide() -> CatalogFrame {
    let name = format!("wide_{}", "x".repeat(150));
    let values: Vec<_> = (0..SERIES).map(|n| n.to_string()).collect();
    let series: Vec<_> =
        values.iter().map(|value| labelled(0, std::slice::from_ref(&("n", value)))).collect();
    catalog_of(&[family(&name, GAUGE)], &series)
}

fn join_wide(agents: SocketAddr) -> Agent {
    let note = "x".repeat(600);
    let mut wide_agent = identity("wide");
    wide_agent.labels = vec![label(&("note", &note))];
    Agent::join(agents, &wide_agent, &wide(), &[1.0; SERIES])
}

/// Starts an HTTP/1.0 response and reads one byte of it.
fn begun(http: SocketAddr, path: &str) -> TcpStream {
    let mut stream = narrow(http);
    stream.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
    stream.read_exact(&mut [0]).unwrap();
    stream
}

/// Checks that the connection was reset.
fn assert_is_reset(mut stream: TcpStream) {
    let end = stream.read_to_end(&mut Vec::new());
    let reset = end.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionReset);
    assert!(reset, "a broken page looks complete: {end:?}");
}

/// HTTP/1.0 has no chunked encoding, so only a reset tells the client that the page is incomplete.
#[test]
fn stalled_page_is_reset_for_http_1_0_clients() {
    let crowd = Crowd::new(4);
    let stalled = begun(crowd.collector.http, "/metrics/agents");
    let broken = || crowd.collector.metric("fleetgauge_scrapes_broken_total");
    eventually("the connection is closed", || broken() == 1.0);
    assert_is_reset(stalled);
}

#[test]
fn page_is_reset_when_the_collector_is_killed() {
    let process = Process::start(&[]);
    let _agent = join_wide(process.agents);
    let pages = ["/metrics/agents", "/metrics/agents/wide"].map(|path| begun(process.http, path));
    process.signal(Signal::KILL);
    pages.into_iter().for_each(assert_is_reset);
}

#[test]
fn complete_page_is_not_reset_for_http_1_0_clients() {
    let collector = Collector::start();
    let _agent = join_wide(collector.agents);
    for path in ["/metrics/agents", "/metrics/agents/wide", "/sd/agents", "/api/agents", "/sd"] {
        let mut page = Vec::new();
        begun(collector.http, path).read_to_end(&mut page).unwrap();
        let body = page.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        let expected = collector.get(path, &[]);
        if path.contains("/sd") {
            // Service discovery needs a Host header.
            assert!(page.starts_with(b"TTP/1.0 400"), "{path}");
        } else {
            assert_eq!(page.len() - body, expected.body.len(), "{path}");
        }
    }
}

/// An agent page needs no scrape permit, and is not aborted when a scrape needs one.
#[test]
fn idle_connections_do_not_break_an_agent_page() {
    let mut config = config();
    config.bounds.http_connections = 2;
    let collector = Collector::with(config);
    let _agent = join_wide(collector.agents);
    let mut scrape = narrow(collector.http);
    http::write(&mut scrape, "GET", "/metrics/agents/wide", &[]);
    let mut bytes = vec![0; 1];
    scrape.read_exact(&mut bytes).unwrap();
    let idle: Vec<_> = (0..50).map(|_| TcpStream::connect(collector.http).unwrap()).collect();
    // The client pauses, but not for so long that the page is given up.
    eventually("idle connections are evicted", || {
        let mut some = [0; 1024];
        let read = read_some(&mut scrape, &mut some).unwrap();
        bytes.extend_from_slice(&some[..read]);
        collector.metric("fleetgauge_http_connections_evicted_total") >= 49.0
    });
    scrape.read_to_end(&mut bytes).unwrap();
    let answer = http::parse(&bytes, false);
    assert_eq!((answer.status, answer.whole), (200, true));
    assert!(answer.body.len() > 6 << 20, "larger than the socket buffers");
    drop(idle);
}
