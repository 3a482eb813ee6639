//! Unusable TLS files and expired client certificates.

use std::io::ErrorKind;
use std::process::Stdio;

use assert_cmd::Command;
use fleetgauge_proto::message::Message;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::collector::Collector;
use crate::process::{Agent, TEST_TIMEOUT};
use crate::tls::{Authority, Files, secure};

/// Returns the error of `--check` with these flags.
fn check_error(flags: &[&str]) -> String {
    let mut command = Command::cargo_bin("fleetgauge-agent").unwrap();
    let out = command.args(["--id", "one", "--check"]).args(flags).timeout(TEST_TIMEOUT).output();
    let out = out.unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(64), "{flags:?}: {said}");
    said
}

#[test]
fn unusable_files_are_named() {
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
        (vec!["--tls-ca", "/nonexistent.pem"], ["--tls-ca", "/nonexistent.pem"]),
        (vec!["--tls-ca", &empty], [&*empty, "BEGIN CERTIFICATE"]),
        (vec!["--tls-ca", &key], [&*key, "BEGIN CERTIFICATE"]),
        (
            vec!["--tls-ca", &ca, "--tls-certificate", &own],
            ["--tls-certificate", "requires --tls-key"],
        ),
        (vec!["--tls-ca", &ca, "--tls-key", &key], ["--tls-key", "requires --tls-certificate"]),
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
        (vec!["--tls-ca", &ca, "--tls-server-name", "a b"], ["--tls-server-name", "a b"]),
        (vec!["--tls=perhaps"], ["--tls", "perhaps"]),
    ] {
        let said = check_error(&flags);
        assert!(words.iter().all(|word| said.contains(word)), "{flags:?}: {said}");
    }
}

#[test]
fn fifo_is_an_error_instead_of_blocking() {
    let files = Files::new();
    let fifo = files.0.path().join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let fifo = fifo.to_str().unwrap();
    for flag in ["--token-file", "--tls-ca"] {
        let said = check_error(&[flag, fifo]);
        assert!(said.contains(fifo) && said.contains("is not a file"), "{said}");
    }
}

#[test]
fn file_that_is_too_long_is_an_error() {
    let (authority, files) = (Authority::new(), Files::new());
    let long = authority.0.pem() + &" ".repeat(4 << 20);
    let long = files.write("ca.pem", &long, 0o644);
    let said = check_error(&["--tls-ca", &long]);
    assert!(said.contains(&long) && said.contains("more than 4194304 bytes"), "{said}");
}

#[test]
fn check_reports_an_expired_client_certificate() {
    let (authority, files) = (Authority::new(), Files::new());
    let ca = files.write("ca.pem", &authority.0.pem(), 0o644);
    for (from, until, words) in
        [(2020, 2021, "expired on 2021-01-01"), (2099, 2100, "not valid before 2099-01-01")]
    {
        let (certificate, key) = authority.issue("one", from, until);
        let own = files.write("own.pem", &certificate.pem(), 0o644);
        let key = files.write("own.key", &key.serialize_pem(), 0o600);
        let said = check_error(&["--tls-ca", &ca, "--tls-certificate", &own, "--tls-key", &key]);
        assert!(said.contains("tls_certificate") && said.contains(&own), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn expired_client_certificate_is_logged_and_the_renewed_one_used() {
    let (authority, files, collector) = (Authority::new(), Files::new(), Collector::bind());
    let ca = files.write("ca.pem", &authority.0.pem(), 0o644);
    let renew = |until| {
        let (certificate, key) = authority.issue("one", 2020, until);
        let key = files.write("own.key", &key.serialize_pem(), 0o600);
        (files.write("own.pem", &certificate.pem(), 0o644), key)
    };
    let (own, key) = renew(2021);
    let config = authority.collector("127.0.0.1", 2020, 2100, Some(&authority));
    let flags = ["--tls-ca", &ca, "--tls-certificate", &own, "--tls-key", &key];
    let agent = Agent::start_with("one", &collector.address(), Stdio::piped(), &flags);
    let peer = collector.accept();
    // The agent has read its files when data arrives.
    while peer.stream.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::Interrupted) {}
    renew(2100);
    let mut peer = secure(peer, &config);
    assert!(
        peer.stream.conn.complete_io(&mut peer.stream.sock).is_err(),
        "the collector accepted the certificate"
    );
    // Closing with unread input could discard the alert.
    let _ = peer.stream.sock.shutdown(std::net::Shutdown::Write);
    while matches!(std::io::Read::read(&mut peer.stream.sock, &mut [0; 1024]), Ok(1..)) {}
    let said = agent.first_line_with("connection failed");
    assert!(said.contains(&own) && said.contains("expired on 2021-01-01"), "{said}");
    let mut peer = secure(collector.accept(), &config);
    peer.receive(|message| assert!(matches!(message, Message::Hello(_)), "{message:?}"));
}
