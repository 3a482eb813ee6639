//! Agents behind a load balancer with PROXY protocol. The tests act as the load balancer.

use std::time::Duration;

use fleetgauge_collector::admission::prefixes::Prefixes;
use fleetgauge_collector::connection::session;
use fleetgauge_proto::Code;

use crate::support::agent::{Agent, Received, identity};
use crate::support::collector::{Collector, config};
use crate::support::frames::gauges;
use crate::support::{eventually, holds_within};

/// Address of the load balancer.
const BALANCER: &str = "127.0.0.9";

/// Returns the PROXY header of a TCP connection from this address to port 45678.
fn header(from: [u8; 4], port: u16) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend(from);
    header.extend([10, 0, 0, 1]);
    header.extend(port.to_be_bytes());
    header.extend(45_678_u16.to_be_bytes());
    header
}

/// Returns the PROXY header of a connection of the load balancer itself (a health check).
fn local() -> Vec<u8> {
    b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec()
}

/// A collector with this load balancer, and a maximum of two connections for each address.
fn collector() -> Collector {
    let mut config = config();
    config.classic = true;
    config.bounds.proxies = Prefixes::try_new([BALANCER]).unwrap();
    config.bounds.address.exempt = config.bounds.proxies.clone();
    config.bounds.address.connections = 2;
    Collector::with(config)
}

/// Opens a connection from the load balancer that begins with this PROXY header.
fn pass_on(collector: &Collector, header: &[u8]) -> Agent {
    let mut agent = Agent::connect_from(BALANCER, collector.agents);
    agent.send(header);
    agent
}

fn join(mut agent: Agent, id: &str) -> Agent {
    let catalog = gauges(&["up"]);
    agent.send(&identity(id).hello(&catalog));
    agent.expect_welcome(&catalog);
    agent.report(&[1.0]);
    agent
}

#[test]
fn agent_has_the_address_in_the_header() {
    let collector = collector();
    let agent = join(pass_on(&collector, &header([203, 0, 113, 7], 51_201)), "far");
    let page = collector.page();
    assert_eq!(page.value("up{agent=\"far\",client_no=\"51201\"}"), Some(1.0), "{page:?}");
    let listed = collector.get("/api/agents", &[]).text();
    assert!(listed.contains("\"address\":\"203.0.113.7:51201\""), "{listed}");
    drop(agent);
}

/// Whether the collector has accepted this connection and read its input, or has answered.
#[cfg(target_os = "linux")]
fn has_read_all(collector: &Collector, agent: &Agent) -> bool {
    agent.stream.set_nonblocking(true).unwrap();
    let answered = agent.stream.peek(&mut [0]).is_ok();
    agent.stream.set_nonblocking(false).unwrap();
    if answered {
        return true;
    }
    let from = agent.stream.local_addr().unwrap();
    let mut sockets = procfs::net::tcp().unwrap().into_iter();
    let own = |socket: &procfs::net::TcpNetEntry| {
        socket.local_address == collector.agents && socket.remote_address == from
    };
    // A socket that is not accepted yet has no inode.
    sockets.find(own).is_some_and(|socket| socket.inode != 0 && socket.rx_queue == 0)
}

#[test]
#[cfg(target_os = "linux")]
fn header_and_hello_can_be_split_anywhere() {
    let collector = collector();
    let catalog = gauges(&["up"]);
    let bytes = [header([203, 0, 113, 7], 51_201), identity("far").hello(&catalog)].concat();
    let hello_timeout = Duration::from_millis(session::HELLO_TIMEOUT);
    for cut in [1, 12, 16, 27, 28, 29, bytes.len()] {
        // With many sockets, finding one takes long.
        holds_within(hello_timeout, "header and Hello are understood", || {
            let mut agent = pass_on(&collector, &bytes[..cut]);
            eventually("the first chunk is read", || has_read_all(&collector, &agent));
            agent.send(&bytes[cut..]);
            let received = agent.receive();
            eprintln!("cut at {cut}: {received:?}");
            drop(agent);
            eventually("the session has ended", || {
                collector.metric("fleetgauge_connections_open") == 0.0
            });
            matches!(received, Received::Welcome { .. })
        });
    }
}

#[test]
fn address_limits_apply_to_the_address_in_the_header() {
    let collector = collector();
    let pass = |last, port| pass_on(&collector, &header([203, 0, 113, last], port));
    let held = [join(pass(7, 1), "one"), join(pass(7, 2), "two")];
    pass(7, 3).expect_reject(Code::AddressFull);
    let other = join(pass(8, 4), "three");
    for _ in 0..30 {
        let mut bad = pass(9, 5);
        bad.send(b"nonsense");
        match bad.receive() {
            Received::Reject { code: Code::BadMagic, .. } => {}
            Received::Reject { code: Code::AddressPaused, .. } => break,
            other => panic!("{other:?}"),
        }
    }
    pass(9, 6).expect_reject(Code::AddressPaused);
    drop(join(pass(8, 7), "four"));
    drop((held, other));
}

#[test]
fn connection_without_valid_header_is_closed_and_counted() {
    let collector = collector();
    let catalog = gauges(&["up"]);
    let version_1 = b"PROXY TCP4 203.0.113.7 10.0.0.1 51201 45678\r\n".to_vec();
    let mut too_long = header([203, 0, 113, 7], 51_201);
    too_long[14] = 0xff;
    for bytes in [identity("far").hello(&catalog), version_1, too_long, vec![0; 100]] {
        let mut agent = pass_on(&collector, &bytes);
        let received = agent.receive();
        assert!(matches!(received, Received::Closed | Received::Reset), "{received:?}");
    }
    drop(pass_on(&collector, &local()[..9]));
    eventually("they are counted", || collector.closed("bad_proxy_header") == 5.0);
    assert_eq!(collector.metric("fleetgauge_connections_open"), 0.0);
}

#[test]
fn header_from_another_address_is_rejected() {
    let collector = collector();
    let mut liar = Agent::connect(collector.agents);
    liar.send(&header([203, 0, 113, 7], 51_201));
    liar.expect_reject(Code::BadMagic);
    let direct = join(Agent::connect(collector.agents), "direct");
    let listed = collector.get("/api/agents", &[]).text();
    assert!(listed.contains("\"address\":\"127.0.0.1:"), "{listed}");
    drop(direct);
}

#[test]
fn health_checks_count_against_no_address() {
    let collector = collector();
    let (memory, _) = collector.memory();
    for _ in 0..30 {
        drop(pass_on(&collector, &local()));
        drop(pass_on(&collector, b""));
    }
    eventually("they have gone", || collector.closed("closed") == 60.0);
    eventually("nothing of them is left", || collector.memory().0 == memory);
    let own = join(pass_on(&collector, &local()), "own");
    let listed = collector.get("/api/agents", &[]).text();
    assert!(listed.contains("\"address\":\"127.0.0.9:"), "{listed}");
    drop(own);
}

#[test]
fn missing_header_times_out_like_hello() {
    let collector = collector();
    let mut slow = pass_on(&collector, &local()[..15]);
    slow.expect_reject(Code::HelloTimeout);
    eventually("it is counted", || collector.closed("hello_timeout") == 1.0);
}

#[test]
fn connections_without_header_are_limited() {
    let mut config = config();
    config.bounds.proxies = Prefixes::try_new([BALANCER]).unwrap();
    config.bounds.handshakes = 2;
    let collector = Collector::with(config);
    let silent: Vec<_> = (0..2).map(|_| Agent::connect_from(BALANCER, collector.agents)).collect();
    eventually("both are there", || collector.metric("fleetgauge_connections_open") == 2.0);
    Agent::connect_from(BALANCER, collector.agents).expect_reject(Code::HandshakesFull);
    drop(silent);
    eventually("they have gone", || collector.closed("closed") == 2.0);
    drop(join(pass_on(&collector, &header([203, 0, 113, 7], 1)), "far"));
}
