//! A log that strangers cannot fill.

mod agents;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use crate::support::agent::{Agent, who};
use crate::support::command::Process;
use crate::support::frames::gauges;
use crate::support::pki::text;
use crate::support::secrets::{self, entry};
use crate::support::secure::{Site, rest};

/// Times that strangers do something: far more than seconds in which they do it.
const TIMES: usize = 100;

/// The log has told of all this, in hardly more lines than seconds.
fn is_told_briefly(log: &str, line: &str, begun: Instant) {
    let lines: Vec<_> = log.lines().filter(|own| own.contains(line)).collect();
    let most = begun.elapsed().as_secs() as usize + 2;
    assert!((1..=most).contains(&lines.len()), "{line:?} {} times in {most} s", lines.len());
    assert!(lines.iter().all(|own| own.contains("count=")), "{lines:?}");
}

fn say(address: SocketAddr, what: &[u8]) {
    let mut stream = TcpStream::connect(address).unwrap();
    // It may be closed before all of it is out.
    let _ = stream.write_all(what);
    rest(&mut stream);
}

#[test]
fn garbage_in_place_of_tls_does_not_fill_the_log() {
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
    is_told_briefly(&log, " TLS failed address", begun);
    is_told_briefly(&log, "TLS failed on the HTTP port", begun);
}

#[test]
fn strangers_without_a_credential_and_without_manners_do_not_fill_the_log() {
    let files = secrets::Files::new();
    let path = files.write("agents", &entry("agent = '*'", &["token"], ""));
    let collector = Process::start(&["--credentials", path.to_str().unwrap()]);
    let begun = Instant::now();
    for _ in 0..TIMES {
        say(collector.agents, &[0xff; 100]);
        let stranger = who("web-1").showing("guessed");
        drop(rest(&mut Agent::greet(collector.agents, &stranger, &gauges(&["load"])).stream));
    }
    let log = collector.stopped();
    is_told_briefly(&log, " refused ", begun);
    is_told_briefly(&log, " unauthorized ", begun);
}

/// The limits are those of the level that operators use.
#[test]
fn at_debug_every_line_is_in_the_log() {
    let files = secrets::Files::new();
    let [agents, readers] = [("agents", "agent = '*'"), ("readers", "user = 'prometheus'")]
        .map(|(file, who)| files.write(file, &entry(who, &["token"], "")));
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
        let stranger = who("web-1").showing("guessed");
        drop(rest(&mut Agent::greet(collector.agents, &stranger, &gauges(&["load"])).stream));
        say(collector.http, b"GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n");
    }
    drop(collector.stopped());
    let log = log.join().unwrap();
    for line in [" unauthorized agent=web-1 ", "HTTP request unauthorized address="] {
        assert_eq!(log.lines().filter(|own| own.contains(line)).count(), TIMES, "{line:?}");
    }
}
