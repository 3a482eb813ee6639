//! The files of TLS: what is said of those that will not do.

use std::time::Duration;

use assert_cmd::Command;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::tls::{Authority, Files};

/// A check that takes this long hangs.
const PATIENCE: Duration = Duration::from_secs(20);

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
