//! Sessions with a fake collector.

use std::fs::File;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use fleetgauge_proto::Code;
use fleetgauge_proto::limits::MAX_INTERVAL_MS;
use fleetgauge_proto::message::{Bye, ByeReason, Drain, Message, Ping, Pong, Reject};
use fleetgauge_proto::report::ABSENT;
use socket2::{Domain, Socket, Type};

use crate::collector::{Collector, Peer, UNIX_MS, welcome};
use crate::process::Agent;

/// Metric names of the basic set.
const BASIC: [&str; 6] = [
    "host_cpu_usage_ratio",
    "host_memory_usage_ratio",
    "host_filesystem_usage_ratio",
    "host_memory_total_bytes",
    "host_memory_available_bytes",
    "host_memory_used_bytes",
];

fn start(id: &str, collector: &Collector) -> Agent {
    Agent::start(id, &collector.address(), Stdio::null())
}

/// Reports in which a source may be late or fail before a test fails.
const MAX_INCOMPLETE: usize = 10;

/// Applies a report of six values to `row`. Returns its sequence number.
fn apply(message: Message<'_>, row: &mut [f64; 6]) -> u64 {
    let Message::Report(report) = message else { panic!("not a Report: {message:?}") };
    report.values.decode(row, [(1, &[0; 6][..])].into_iter()).unwrap();
    report.sequence
}

/// Receives reports until one has a value from every source: on a busy machine a source may be
/// late. Returns the values and the sequence number.
pub(crate) fn receive_complete(peer: &mut Peer, mut row: [f64; 6]) -> ([f64; 6], u64) {
    for _ in 0..MAX_INCOMPLETE {
        let sequence = peer.receive(|message| apply(message, &mut row));
        if row.iter().all(|value| value.is_finite()) {
            return (row, sequence);
        }
    }
    panic!("a value is always absent: {row:?}")
}

#[test]
fn agent_reports_from_hello_to_bye() {
    let collector = Collector::bind();
    let mut agent = start("web-1", &collector);
    let mut peer = collector.accept();
    let fingerprint = peer.receive(|message| {
        let Message::Hello(hello) = message else { panic!("not a Hello: {message:?}") };
        assert_eq!((hello.agent_id, hello.interval_ms), ("web-1", 1_000));
        assert_eq!((hello.labels[0].name, hello.labels[0].value), ("dc", "fra"));
        assert_ne!(hello.process_nonce, [0; 16]);
        assert_eq!(hello.catalogs.len(), 1);
        hello.catalogs[0]
    });
    assert_ne!(fingerprint.0, [0; 16]);
    peer.send(&welcome(1_000, false));
    peer.receive(|message| {
        let Message::Catalog(catalog) = message else { panic!("not a Catalog: {message:?}") };
        let names: Vec<_> = catalog.families.iter().map(|family| family.name).collect();
        assert_eq!(names, BASIC);
        let [table] = &*catalog.tables else { panic!("not one table: {catalog:?}") };
        assert!(table.row_labels.is_empty());
    });

    let (mut row, first) = receive_complete(&mut peer, [ABSENT; 6]);
    assert!(row[..3].iter().all(|ratio| (0.0..=1.0).contains(ratio)), "{row:?}");
    assert_eq!(row[3], row[4] + row[5], "total = available + used");
    let second = peer.receive(|message| apply(message, &mut row));
    assert!(second > first);

    peer.send(&Message::Ping(Ping { token: 42 }));
    let pong = |message: Message<'_>| assert_eq!(message, Message::Pong(Pong { token: 42 }));
    peer.receive_non_report(pong);

    agent.terminate();
    peer.receive_non_report(|message| {
        assert_eq!(message, Message::Bye(Bye { stream: 0, reason: ByeReason::Stopping as u8 }));
    });
    peer.wait_for_close();
    assert_eq!(agent.wait().code(), Some(0));
}

#[test]
fn latest_sample_is_reported_right_after_welcome() {
    let collector = Collector::bind();
    let _agent = start("web-2", &collector);
    let mut row = [ABSENT; 6];
    // At this interval there is no tick during the test, but the changed interval causes a sample.
    let mut peer = collector.welcome(MAX_INTERVAL_MS);
    peer.receive(|message| apply(message, &mut row));
    peer.receive(|message| apply(message, &mut row));
    drop(peer);
    let mut peer = collector.welcome(MAX_INTERVAL_MS);
    let mut first = [ABSENT; 6];
    peer.receive(|message| apply(message, &mut first));
    assert_eq!(first[3].to_bits(), row[3].to_bits(), "total memory in {first:?}, was in {row:?}");
}

#[test]
fn report_times_follow_the_collectors_clock_and_rise() {
    let collector = Collector::bind();
    let _agent = start("web-5", &collector);
    let mut last = 0;
    // The collector's clock says the same at each Welcome.
    for session in 0..2 {
        let begun = Instant::now();
        let mut peer = collector.welcome(1_000);
        for _ in 0..2 {
            let unix_ms = peer.receive(|message| {
                let Message::Report(report) = message else { panic!("{message:?}") };
                report.unix_ms
            });
            assert!(unix_ms > last, "{unix_ms} after {last} in session {session}");
            if session == 0 {
                // The newest sample may be older than Welcome.
                let since = unix_ms.abs_diff(UNIX_MS);
                assert!(u128::from(since) <= begun.elapsed().as_millis() + 1_000, "{unix_ms}");
            }
            last = unix_ms;
        }
    }
}

#[test]
fn first_and_last_log_lines_name_version_and_stop_in_both_formats() {
    let version = env!("CARGO_PKG_VERSION");
    for (format, start, stop) in [
        ("text", format!("starting version=\"{version}\" id=\"web-1\""), " stopped"),
        ("json", format!("\"starting\",\"version\":\"{version}\""), "\"message\":\"stopped\"}"),
    ] {
        let collector = Collector::bind();
        let address = collector.address();
        let flags = ["--log-format", format];
        let mut agent = Agent::start_with("web-1", &address, Stdio::piped(), &flags);
        let line = agent.first_line_with("");
        assert!(line.contains(&start), "{line}");
        // The agent handles signals once it connects.
        let _peer = collector.accept();
        agent.terminate();
        assert_eq!(agent.wait().code(), Some(0));
        let lines = agent.rest_of_log();
        assert!(lines.last().is_some_and(|line| line.ends_with(stop)), "{lines:?}");
    }
}

#[test]
fn agent_stops_while_the_collector_is_unreachable() {
    // Bound but not listening: the port stays reserved, and connections are refused.
    let silent = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    silent.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    let address = silent.local_addr().unwrap().as_socket().unwrap().to_string();
    let mut agent = Agent::start("alone", &address, Stdio::piped());
    let line = agent.first_line_with("connection failed");
    assert!(line.contains("attempt=1") && line.contains("Connection refused"), "{line}");
    agent.terminate();
    assert_eq!(agent.wait().code(), Some(0));
}

#[test]
fn agent_that_exceeds_a_limit_of_the_collector_names_it() {
    let collector = Collector::bind();
    let agent = Agent::start("large", &collector.address(), Stdio::piped());
    let mut peer = collector.accept();
    peer.receive(|_| ());
    let Message::Welcome(mut welcome) = welcome(1_000, true) else { unreachable!() };
    welcome.limits.max_series = 5;
    peer.send(&Message::Welcome(welcome));
    let said = agent.first_line_with("connection rejected");
    assert!(said.contains("number of series: 6, but the collector allows 5"), "{said}");
    assert!(said.contains("its setting max_series"), "{said}");
    assert!(said.contains("advice="), "{said}");
    peer.wait_for_close();
}

#[test]
fn agent_waits_for_the_retry_time_of_a_reject() {
    let collector = Collector::bind();
    let _agent = start("clone", &collector);
    let mut peer = collector.accept();
    peer.receive(|_| ());
    let wait = Duration::from_millis(1_500);
    let retry_after_ms = Some(1_500);
    let rejected = Instant::now();
    peer.send(&Message::Reject(Reject { stream: 0, code: 70, text: "taken", retry_after_ms }));
    peer.wait_for_close();
    collector.welcome(1_000);
    assert!(rejected.elapsed() >= wait, "back after {:?}", rejected.elapsed());
}

#[test]
fn id_conflict_is_logged_with_advice() {
    for code in [Code::IdConflict, Code::Superseded] {
        let collector = Collector::bind();
        let agent = Agent::start("clone", &collector.address(), Stdio::piped());
        let mut peer = collector.accept();
        peer.receive(|_| ());
        let (code, retry_after_ms) = (code.to_u16(), Some(30_000));
        peer.send(&Message::Reject(Reject { stream: 0, code, text: "taken", retry_after_ms }));
        let said = agent.first_line_with("taken");
        assert!(said.contains("WARN") && said.contains("its own id"), "{said}");
    }
}

#[test]
fn agent_reports_until_the_end_of_a_drain() {
    let collector = Collector::bind();
    let next = Collector::bind();
    let _agent = start("web-3", &collector);
    let mut peer = collector.welcome(1_000);
    let target = next.address();
    // Long enough for two reports on a busy machine.
    let delay = Duration::from_secs(6);
    let drained = Instant::now();
    peer.send(&Message::Drain(Drain { delay_ms: 6_000, target: Some(&target) }));
    let mut reports = 0;
    let bye = loop {
        let bye = peer.receive(|message| match message {
            Message::Report(_) => None,
            other => Some(other.kind()),
        });
        match bye {
            None => reports += 1,
            Some(kind) => break kind,
        }
    };
    assert_eq!(bye, fleetgauge_proto::Kind::Bye);
    assert!(drained.elapsed() >= delay, "left after {:?}", drained.elapsed());
    assert!(reports >= 2, "{reports} reports during the drain");
    peer.wait_for_close();
    next.welcome(1_000);
}

#[test]
fn agent_reconnects_after_garbage() {
    let collector = Collector::bind();
    let agent = Agent::start("web-4", &collector.address(), Stdio::piped());
    let mut peer = collector.accept();
    peer.receive(|_| ());
    peer.send_bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    peer.wait_for_close();
    let line = agent.first_line_with("connection failed");
    assert!(line.contains("bad_magic"), "{line}");
    collector.welcome(1_000);
}

#[test]
fn agent_runs_if_its_log_cannot_be_written() {
    let full = Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    for stderr in [full, Stdio::from(closed)] {
        let collector = Collector::bind();
        let mut agent = Agent::start("mute", &collector.address(), stderr);
        let mut peer = collector.welcome(1_000);
        let mut row = [ABSENT; 6];
        peer.receive(|message| apply(message, &mut row));
        agent.terminate();
        peer.receive_non_report(|message| assert!(matches!(message, Message::Bye(_))));
        peer.wait_for_close();
        assert_eq!(agent.wait().code(), Some(0));
    }
}
