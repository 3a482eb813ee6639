//! The files of TLS: what is said of those that will not do, and of an own certificate that is out
//! of date.

use std::io::ErrorKind;
use std::process::Stdio;

use assert_cmd::Command;
use fleetgauge_proto::message::Message;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::collector::Collector;
use crate::process::{Agent, PATIENCE};
use crate::tls::{Authority, Files, secure};

/// What `--check` has against these flags.
fn refusal(flags: &[&str]) -> String {
    let mut command = Command::cargo_bin("fleetgauge-agent").unwrap();
    let out = command.args(["--id", "one", "--check"]).args(flags).timeout(PATIENCE).output();
    let out = out.unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(64), "{flags:?}: {said}");
    said
}

#[test]
fn files_that_will_not_do_are_named() {
    let (authority, files) = (Authority::new(), Files::new());
    let (certificate, key) = authority.issue("one", 2020, 2100);
    let (own, secret) = (certificate.pem(), key.serialize_pem());
    let pem = |name, text: &str| files.write(name, text, 0o600);
    let (ca, own, key) =
        (pem("ca.pem", &authority.0.pem()), pem("own.pem", &own), pem("own.key", &secret));
    let open = files.write("open.key", &secret, 0o604);
    let another = pem("another.key", &authority.issue("one", 2020, 2100).1.serialize_pem());
    let empty = pem("empty.pem", "");
    for (flags, words) in [
        (vec!["--tls-ca", "/nonexistent.pem"], ["tls_ca", "/nonexistent.pem"]),
        (vec!["--tls-ca", &empty], [&*empty, "BEGIN CERTIFICATE"]),
        (vec!["--tls-ca", &key], [&*key, "BEGIN CERTIFICATE"]),
        (vec!["--tls-ca", &ca, "--tls-certificate", &own], ["tls_certificate", "set tls_key"]),
        (vec!["--tls-ca", &ca, "--tls-key", &key], ["tls_key", "set tls_certificate"]),
        (
            vec!["--tls-ca", &ca, "--tls-certificate", &own, "--tls-key", &open],
            [&*open, "chmod 600"],
        ),
        (
            vec!["--tls-ca", &ca, "--tls-certificate", &own, "--tls-key", &own],
            [&*own, "BEGIN PRIVATE KEY"],
        ),
        (
            vec!["--tls-ca", &ca, "--tls-certificate", &own, "--tls-key", &another],
            [&*another, "is not the key"],
        ),
        (vec!["--tls-ca", &ca, "--tls-server-name", "a b"], ["tls-server-name", "a b"]),
        (vec!["--tls=perhaps"], ["--tls", "perhaps"]),
    ] {
        let said = refusal(&flags);
        assert!(words.iter().all(|word| said.contains(word)), "{flags:?}: {said}");
    }
}

#[test]
fn a_fifo_is_not_waited_for() {
    let files = Files::new();
    let fifo = files.0.path().join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let fifo = fifo.to_str().unwrap();
    for flag in ["--token-file", "--tls-ca"] {
        let said = refusal(&[flag, fifo]);
        assert!(said.contains(fifo) && said.contains("is not a file"), "{said}");
    }
}

#[test]
fn a_file_that_is_too_long_is_refused_and_not_cut() {
    let (authority, files) = (Authority::new(), Files::new());
    let long = authority.0.pem() + &" ".repeat(4 << 20);
    let long = files.write("ca.pem", &long, 0o644);
    let said = refusal(&["--tls-ca", &long]);
    assert!(said.contains(&long) && said.contains("more than 4194304 bytes"), "{said}");
}

#[test]
fn a_check_finds_an_own_certificate_out_of_date() {
    let (authority, files) = (Authority::new(), Files::new());
    let ca = files.write("ca.pem", &authority.0.pem(), 0o644);
    for (from, until, words) in
        [(2020, 2021, "expired on 2021-01-01"), (2099, 2100, "not valid before 2099-01-01")]
    {
        let (certificate, key) = authority.issue("one", from, until);
        let own = files.write("own.pem", &certificate.pem(), 0o644);
        let key = files.write("own.key", &key.serialize_pem(), 0o600);
        let said = refusal(&["--tls-ca", &ca, "--tls-certificate", &own, "--tls-key", &key]);
        assert!(said.contains("tls_certificate") && said.contains(&own), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn an_agent_whose_certificate_has_expired_says_so_and_takes_the_renewed_one() {
    let (authority, files, collector) = (Authority::new(), Files::new(), Collector::bind());
    let ca = files.write("ca.pem", &authority.0.pem(), 0o644);
    let give = |until| {
        let (certificate, key) = authority.issue("one", 2020, until);
        let key = files.write("own.key", &key.serialize_pem(), 0o600);
        (files.write("own.pem", &certificate.pem(), 0o644), key)
    };
    let (own, key) = give(2021);
    let config = authority.collector("127.0.0.1", 2020, 2100, Some(&authority));
    let flags = ["--tls-ca", &ca, "--tls-certificate", &own, "--tls-key", &key];
    let agent = Agent::start_with("one", &collector.address(), Stdio::piped(), &flags);
    let peer = collector.accept();
    // It has read its files when it speaks.
    while peer.stream.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::Interrupted) {}
    give(2100);
    let mut peer = secure(peer, &config);
    assert!(peer.stream.conn.complete_io(&mut peer.stream.sock).is_err(), "it was let in");
    // What it said until then would destroy the alert on its way.
    let _ = peer.stream.sock.shutdown(std::net::Shutdown::Write);
    while matches!(std::io::Read::read(&mut peer.stream.sock, &mut [0; 1024]), Ok(1..)) {}
    let said = agent.first_line_with("no connection");
    assert!(said.contains(&own) && said.contains("expired on 2021-01-01"), "{said}");
    let mut peer = secure(collector.accept(), &config);
    peer.hear(|message| assert!(matches!(message, Message::Hello(_)), "{message:?}"));
}
