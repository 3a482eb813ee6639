//! Peers that break TLS, or never complete a handshake or record.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use fleetgauge_proto::Code;
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::{AlertDescription, ConnectionTrafficSecrets, Error};

use crate::support::agent::{Agent, identity};
use crate::support::collector::Collector;
use crate::support::frames::{gauges, ping, raw, report};
use crate::support::secure::{Site, Stream, config, failure, rest};
use crate::support::{TEST_TIMEOUT, eventually};

/// Returns the header of a TLS handshake record with this length.
fn head(len: u16) -> [u8; 5] {
    let [high, low] = len.to_be_bytes();
    [22, 3, 3, high, low]
}

/// A collector, and one agent that must not be affected.
fn with_agent(site: &Site) -> (Collector, Agent<Stream>) {
    let collector = Collector::with(config(site.flags()));
    let catalog = gauges(&["fg_a"]);
    let mut agent = Agent::secure(collector.agents, &site.client(None));
    agent.send(&identity("calm").hello(&catalog));
    agent.expect_welcome(&catalog);
    agent.report(&[1.0]);
    (collector, agent)
}

#[test]
fn garbage_instead_of_tls_is_rejected() {
    let site = Site::new();
    let (collector, mut calm) = with_agent(&site);
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"FH is no frame", &[0; 100], &[0xff; 70_000]] {
        let mut peer = Agent::connect(collector.agents);
        // The collector can have closed the connection before all of it is sent.
        let _ = peer.stream.write_all(garbage);
        let received = rest(&mut peer.stream);
        // Nothing, or an alert.
        assert!(received.is_empty() || received[0] == 21, "{received:?}");
    }
    eventually("all are closed", || collector.closed("tls") >= 4.0);
    assert!(!collector.page().shows("x"));
    calm.report(&[2.0]);
}

#[test]
fn oversized_record_is_rejected() {
    let site = Site::new();
    let (collector, mut calm) = with_agent(&site);
    let mut peer = Agent::connect(collector.agents);
    peer.send(&head(u16::MAX));
    assert_eq!(rest(&mut peer.stream)[..1], [21], "an alert");
    eventually("the connection is closed", || collector.closed("tls") == 1.0);
    calm.report(&[2.0]);
}

#[test]
fn stalled_handshake_times_out() {
    let site = Site::new();
    let (collector, mut calm) = with_agent(&site);
    let before = collector.memory().0;
    let begun = Instant::now();
    let mut stops = Agent::secure(collector.agents, &site.client(None));
    // Only the first flight.
    stops.stream.conn.write_tls(&mut stops.stream.sock).unwrap();
    let received = rest(&mut stops.stream.sock);
    assert_eq!(received[0], 22, "the collector's flight");
    assert!(begun.elapsed() > Duration::from_secs(3), "not before the timeout");
    eventually("the connection is closed", || collector.closed(Code::HelloTimeout.reason()) == 1.0);
    eventually("the memory is given back", || collector.memory().0 <= before);
    calm.report(&[2.0]);
}

#[test]
fn slow_handshake_times_out() {
    let site = Site::new();
    let (collector, mut calm) = with_agent(&site);
    let mut slow = Agent::connect(collector.agents);
    slow.send(&head(16_000));
    let begun = Instant::now();
    while slow.stream.write_all(&[1]).is_ok() {
        assert!(begun.elapsed() < TEST_TIMEOUT, "the handshake never times out");
        sleep(Duration::from_millis(20));
    }
    assert_eq!(collector.closed(Code::HelloTimeout.reason()), 1.0);
    calm.report(&[2.0]);
}

#[test]
fn incomplete_record_is_charged_by_its_received_bytes() {
    let site = Site::new();
    let (collector, mut calm) = with_agent(&site);
    let before = collector.memory().0;
    let mut peer = Agent::connect(collector.agents);
    peer.send(&head(16_000));
    peer.send(&[0; 10_000]);
    eventually("it is counted", || collector.memory().0 >= before + 10_000.0);
    assert!(collector.memory().0 < before + 20_000.0);
    drop(peer);
    eventually("it is given back", || collector.memory().0 <= before);
    calm.report(&[2.0]);
}

#[test]
fn record_of_maximum_size_is_accepted() {
    let site = Site::new();
    let (collector, mut agent) = with_agent(&site);
    // One frame in two records, the first of maximum size. The frame is skipped.
    agent.send(&raw(200, &[0; 20_000]));
    agent.report(&[2.0]);
    assert_eq!(collector.page().values_of("calm"), [2.0]);
}

#[test]
fn modified_record_is_rejected() {
    let site = Site::new();
    let (collector, mut agent) = with_agent(&site);
    agent.stream.conn.writer().write_all(&ping(1)).unwrap();
    let mut record = Vec::new();
    agent.stream.conn.write_tls(&mut record).unwrap();
    *record.last_mut().unwrap() ^= 1;
    agent.stream.sock.write_all(&record).unwrap();
    let error = failure(&mut agent.stream);
    assert_eq!(error, Some(Error::AlertReceived(AlertDescription::BadRecordMac)));
    eventually("the session has ended", || !collector.page().shows("calm"));
    assert_eq!(collector.closed("tls"), 1.0);
}

#[test]
fn end_of_stream_without_close_notify_ends_the_session() {
    let site = Site::new();
    let (collector, agent) = with_agent(&site);
    agent.stream.sock.shutdown(Shutdown::Write).unwrap();
    eventually("the session has ended", || !collector.page().shows("calm"));
    assert_eq!(collector.closed("closed"), 1.0);
    drop(agent);
}

#[test]
fn close_notify_ends_the_session() {
    let site = Site::new();
    let (collector, mut agent) = with_agent(&site);
    agent.stream.conn.send_close_notify();
    agent.stream.flush().unwrap();
    eventually("the session has ended", || !collector.page().shows("calm"));
    assert_eq!(collector.closed("closed"), 1.0);
}

/// Frames before Welcome are rejected also if each is in its own TLS record, and whether or not
/// they arrive before TLS is established.
#[test]
fn input_before_welcome_is_rejected_in_separate_records_as_well() {
    let site = Site::new();
    let (collector, mut calm) = with_agent(&site);
    let catalog = gauges(&["fg_a"]);
    let hello = identity("hasty").hello(&catalog);
    for waits in [true, false] {
        let mut hasty = Agent::secure(collector.agents, &site.client(None));
        let Stream { conn, sock } = &mut hasty.stream;
        while conn.is_handshaking() {
            conn.write_tls(sock).unwrap();
            if conn.is_handshaking() {
                conn.read_tls(sock).unwrap();
                conn.process_new_packets().unwrap();
            }
        }
        if waits {
            while conn.wants_write() {
                conn.write_tls(sock).unwrap();
            }
            // A ticket shows that the collector has read the end of the handshake.
            conn.read_tls(sock).unwrap();
            conn.process_new_packets().unwrap();
        }
        // One record each, sent together.
        for frame in [&hello, &report(1, &[1.0])] {
            conn.writer().write_all(frame).unwrap();
        }
        let mut together = Vec::new();
        while conn.wants_write() {
            conn.write_tls(&mut together).unwrap();
        }
        sock.write_all(&together).unwrap();
        hasty.expect_reject(Code::UnexpectedFrame);
        assert!(!collector.page().shows("hasty"));
    }
    calm.report(&[2.0]);
}

/// Encrypts any record with the keys of an established connection, also those that rustls refuses
/// to send.
struct Forger {
    key: LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
}

impl Forger {
    /// Takes over the sending side of a client.
    fn over(agent: Agent<Stream>) -> (Self, TcpStream) {
        let (connection, stream) = agent.stream.into_parts();
        let secrets = connection.dangerous_extract_secrets().unwrap();
        let (sequence, ConnectionTrafficSecrets::Aes128Gcm { key, iv }) = secrets.tx else {
            panic!("unexpected cipher suite")
        };
        let key = UnboundKey::new(&AES_128_GCM, key.as_ref()).unwrap();
        let iv = iv.as_ref().try_into().unwrap();
        (Self { key: LessSafeKey::new(key), iv, sequence }, stream)
    }

    /// Returns a TLS 1.3 record with this content type: 22 for handshake, 23 for application data.
    fn record(&mut self, kind: u8, bytes: &[u8]) -> Vec<u8> {
        let len = u16::try_from(bytes.len() + 17).unwrap().to_be_bytes();
        let head = [23, 3, 3, len[0], len[1]];
        let mut nonce = self.iv;
        for (own, other) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *own ^= other;
        }
        self.sequence += 1;
        let mut sealed = [bytes, &[kind]].concat();
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(nonce, Aad::from(head), &mut sealed).unwrap();
        [&head[..], &sealed].concat()
    }
}

/// An agent that seals its own records after its first report.
fn forger(site: &Site, collector: &Collector) -> (Forger, TcpStream) {
    let mut own = (*site.client(None)).clone();
    own.enable_secret_extraction = true;
    let catalog = gauges(&["fg_a"]);
    let mut agent = Agent::secure(collector.agents, &own.into());
    agent.send(&identity("forger").hello(&catalog));
    agent.expect_welcome(&catalog);
    agent.report(&[1.0]);
    Forger::over(agent)
}

#[test]
fn incomplete_late_handshake_message_does_not_block_frames() {
    let site = Site::new();
    let (collector, mut calm) = with_agent(&site);
    let (mut forger, mut stream) = forger(&site, &collector);
    // A Ping arrives while the message is incomplete, and is answered.
    let mut all = forger.record(23, &ping(7));
    all.extend(forger.record(22, &[24, 0, 0, 200, 1]));
    stream.write_all(&all).unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[0], 23, "a record with a Pong");
    drop(stream);
    eventually("the session has ended", || !collector.page().shows("forger"));
    calm.report(&[2.0]);
}

#[test]
fn endless_handshake_message_is_rejected() {
    let site = Site::new();
    let (collector, mut calm) = with_agent(&site);
    let before = collector.memory().0;
    let (mut forger, mut stream) = forger(&site, &collector);
    let begun = stream.write_all(&forger.record(22, &[24, 0, 255, 255]));
    let mut sent = begun;
    for _ in 0..100 {
        sent = sent.and_then(|()| stream.write_all(&forger.record(22, &[0; 1_000])));
    }
    drop(rest(&mut stream));
    eventually("the connection is closed", || collector.closed("tls") == 1.0);
    eventually("the memory is given back", || collector.memory().0 <= before);
    calm.report(&[2.0]);
}

#[test]
fn endless_empty_records_are_rejected() {
    let site = Site::new();
    let (collector, mut calm) = with_agent(&site);
    let (mut forger, mut stream) = forger(&site, &collector);
    let nothing: Vec<u8> = (0..1_000).flat_map(|_| forger.record(23, &[])).collect();
    stream.write_all(&nothing).unwrap();
    drop(rest(&mut stream));
    assert_eq!(collector.closed("tls"), 1.0);
    assert!(!collector.page().shows("forger"));
    calm.report(&[2.0]);
}

#[test]
fn connection_over_the_memory_limit_gets_a_plain_reject() {
    let site = Site::new();
    let flags = site.flags().with("max_memory", "10000B");
    let collector = Collector::with(config(flags));
    let _first = Agent::connect(collector.agents);
    eventually("it is counted", || collector.memory().0 > 5_000.0);
    let mut second = Agent::connect(collector.agents);
    let (_, retry) = second.expect_reject(Code::CollectorFull);
    assert!(retry.is_some_and(|ms| ms <= 60_000), "{retry:?}");
    assert!(collector.memory().0 < 6_000.0, "memory of refused connections is freed");
}

#[test]
fn incomplete_record_over_the_memory_limit_gets_a_reject() {
    let site = Site::new();
    let flags = site.flags().with("max_memory", "20000B");
    let collector = Collector::with(config(flags));
    let catalog = gauges(&["fg_a"]);
    let mut agent = Agent::secure(collector.agents, &site.client(None));
    agent.send(&identity("web-01").hello(&catalog));
    agent.expect_welcome(&catalog);
    agent.report(&[1.0]);
    let record = [&[23, 3, 3], &15_990_u16.to_be_bytes()[..], &[0; 15_980]].concat();
    agent.stream.sock.write_all(&record).unwrap();
    let (_, retry) = agent.expect_reject(Code::CollectorFull);
    assert!(retry.is_some_and(|ms| ms <= 60_000), "{retry:?}");
    assert_eq!(collector.rejects(Code::CollectorFull.reason()), 1.0);
    eventually("all is given back", || collector.memory().0 < 6_000.0);
}
