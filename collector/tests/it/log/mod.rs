//! Log lines caused by unauthenticated peers are rate-limited.

mod agents;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use crate::support::agent::{Agent, identity};
use crate::support::command::Process;
use crate::support::frames::gauges;
use crate::support::pki::text;
use crate::support::secrets::{self, entry};
use crate::support::secure::{Site, rest};

/// Number of times that an attack is repeated: many per second, so that most log lines must be
/// suppressed.
const TIMES: usize = 100;

/// Checks that the log has at most one such line per second (and two more), each with a count.
fn is_rate_limited(log: &str, line: &str, begun: Instant) {
    let lines: Vec<_> = log.lines().filter(|own| own.contains(line)).collect();
    let most = begun.elapsed().as_secs() as usize + 2;
    assert!((1..=most).contains(&lines.len()), "{line:?} {} times in {most} s", lines.len());
    assert!(lines.iter().all(|own| own.contains("count=")), "{lines:?}");
}

fn say(address: SocketAddr, what: &[u8]) {
    let mut stream = TcpStream::connect(address).unwrap();
    // The connection can be closed before all of it is sent.
    let _ = stream.write_all(what);
    rest(&mut stream);
}

#[test]
fn garbage_instead_of_tls_does_not_fill_the_log() {
    let site = Site::new();
    let [own, key] = ["own.pem", "own.key"].map(|name| text(&site.files.path(name)));
    let collector = Process::start(&[
        "--tls-certificate",
        &own,
        "--tls-key",
        &key,
        "--http-tls-certificate",
        &own,
        "--http-tls-key",
        &key,
    ]);
    let begun = Instant::now();
    for _ in 0..TIMES {
        say(collector.agents, b"GET / HTTP/1.1\r\n\r\n");
        say(collector.http, b"GET / HTTP/1.1\r\n\r\n");
    }
    let log = collector.stopped();
    is_rate_limited(&log, "WARN TLS connection failed ", begun);
    is_rate_limited(&log, "WARN HTTP TLS connection failed ", begun);
}

#[test]
fn unauthorized_and_malformed_connections_do_not_fill_the_log() {
    let files = secrets::Files::new();
    let path = files.write("agents", &entry("agent = '*'", &["token"], ""));
    let collector = Process::start(&["--credentials", path.to_str().unwrap()]);
    let begun = Instant::now();
    for _ in 0..TIMES {
        say(collector.agents, &[0xff; 100]);
        let stranger = identity("web-1").with_credential("guessed");
        drop(rest(&mut Agent::greet(collector.agents, &stranger, &gauges(&["load"])).stream));
    }
    let log = collector.stopped();
    is_rate_limited(&log, " connection rejected ", begun);
    is_rate_limited(&log, " agent unauthorized ", begun);
}

/// A line over its rate limit is logged at level debug.
#[test]
fn debug_level_logs_every_line() {
    let files = secrets::Files::new();
    let [agents, readers] = [("agents", "agent = '*'"), ("readers", "user = 'prometheus'")]
        .map(|(file, identity)| files.write(file, &entry(identity, &["token"], "")));
    let mut collector = Process::start(&[
        "--credentials",
        agents.to_str().unwrap(),
        "--http-credentials",
        readers.to_str().unwrap(),
        "--log",
        "debug",
    ]);
    let log = collector.collects();
    for _ in 0..TIMES {
        let stranger = identity("web-1").with_credential("guessed");
        drop(rest(&mut Agent::greet(collector.agents, &stranger, &gauges(&["load"])).stream));
        say(collector.http, b"GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n");
    }
    drop(collector.stopped());
    let log = log.join().unwrap();
    for line in [" agent unauthorized agent=web-1 ", "HTTP request unauthorized address="] {
        assert_eq!(log.lines().filter(|own| own.contains(line)).count(), TIMES, "{line:?}");
    }
}
