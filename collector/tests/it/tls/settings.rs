//! Invalid TLS settings and their errors, and TLS versions.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use fleetgauge_collector::Config;
use fleetgauge_collector::config::Flags;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{AlertDescription, CipherSuite, ClientConfig, Error, ProtocolVersion, version};

use crate::support::agent::{Agent, identity};
use crate::support::collector::Collector;
use crate::support::frames::gauges;
use crate::support::pki::{Authority, named, text};
use crate::support::secure::{NAME, Site, config, failure};

/// Returns the error of these settings.
fn problem(flags: Flags) -> String {
    Config::try_new(flags).unwrap_err().to_string()
}

/// Returns the error if this file has this content.
fn problem_with(file: &str, content: &str) -> String {
    let site = Site::new();
    site.files.write("agents.crl", &site.agents.revoke(&[]));
    let flags = site.mutual().with("tls_crl", site.path("agents.crl"));
    Config::try_new(flags.clone()).unwrap();
    let path = site.files.write(file, content);
    let problem = problem(flags);
    assert!(problem.contains(&text(&path)) || problem.contains("own.pem"), "{problem}");
    problem
}

#[test]
fn invalid_tls_files_are_rejected() {
    let other = Authority::new("other");
    let issue = |wanted| other.issue(wanted).certificate;
    let key = other.issue(named(NAME)).key;
    for (file, content, words) in [
        ("own.pem", String::new(), ["--tls-certificate", "BEGIN CERTIFICATE"]),
        (
            "own.pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n".to_owned(),
            ["--tls-certificate", "is not PEM"],
        ),
        (
            "own.pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
            ["--tls-certificate", "not an X.509"],
        ),
        (
            "own.pem",
            issue(named(NAME).within(2020, 2021)),
            ["--tls-certificate", "expired on 2021-01-01T00:00:00Z"],
        ),
        (
            "own.pem",
            issue(named(NAME).within(2099, 2100)),
            ["--tls-certificate", "not valid before 2099"],
        ),
        ("own.pem", issue(named(NAME)), ["--tls-key", "is not the key"]),
        ("own.key", String::new(), ["--tls-key", "BEGIN PRIVATE KEY"]),
        ("own.key", "nonsense".to_owned(), ["--tls-key", "BEGIN PRIVATE KEY"]),
        ("own.key", key, ["--tls-key", "is not the key"]),
        ("agents.pem", String::new(), ["--tls-client-ca", "BEGIN CERTIFICATE"]),
        ("agents.crl", String::new(), ["--tls-crl", "BEGIN X509 CRL"]),
    ] {
        let problem = problem_with(file, &content);
        assert!(words.iter().all(|word| problem.contains(word)), "{file} {words:?}: {problem}");
    }
}

#[test]
fn key_readable_by_everyone_is_rejected() {
    let site = Site::new();
    let key = site.files.path("own.key");
    std::fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let problem = problem(site.flags());
    assert!(
        ["--tls-key", "644", "chmod 600", &text(&key)].iter().all(|word| problem.contains(word)),
        "{problem}"
    );
}

#[test]
fn settings_that_need_or_exclude_others_are_rejected() {
    let site = Site::new();
    let all = || site.mutual();
    for (flags, words) in [
        (
            all().without("tls_key"),
            ["--tls-certificate: requires --tls-key", "remove this setting"],
        ),
        (
            all().without("tls_certificate"),
            ["--tls-key: requires --tls-certificate", "remove this setting"],
        ),
        (all().with("tls_key", "/nonexistent"), ["--tls-key", "/nonexistent"]),
        (
            all().without("tls_certificate").without("tls_key"),
            ["--tls-client-ca: requires --tls-certificate", "remove this setting"],
        ),
        (all().with("tls_min_version", "1.1"), ["--tls-min-version=\"1.1\"", "1.2 or 1.3"]),
        (all().with("tls_client_name", "web"), ["--tls-client-name=\"web\"", "{id}"]),
        (all().with("http_tls_crl", "x"), ["--http-tls-crl: requires --http-tls-client-ca", "set"]),
        (
            all().without("tls_client_ca").with("tls_client_name", "{id}"),
            ["--tls-client-name: requires --tls-client-ca", "set"],
        ),
        (
            all().without("tls_client_ca").with("tls_crl", "x"),
            ["--tls-crl: requires --tls-client-ca", "set"],
        ),
    ] {
        let problem = problem(flags);
        assert!(words.iter().all(|word| problem.contains(word)), "{words:?}: {problem}");
    }
}

#[test]
fn public_address_requires_client_certificates() {
    let site = Site::new();
    let open = || {
        site.mutual()
            .without("listen")
            .with("listen", "0.0.0.0:0")
            .with("http_listen", "0.0.0.0:0")
            .with("http_tls_certificate", site.path("own.pem"))
            .with("http_tls_key", site.path("own.key"))
            .with("http_tls_client_ca", site.path("agents.pem"))
    };
    Config::try_new(open()).unwrap();
    let agents = problem(open().without("tls_client_ca"));
    assert!(agents.contains("listen") && agents.contains("--tls-client-ca"), "{agents}");
    let readers = problem(open().without("http_tls_client_ca"));
    assert!(readers.contains("http") && readers.contains("--http-tls-client-ca"), "{readers}");
}

/// A client that supports no newer version than TLS 1.2.
fn old(site: &Site) -> Arc<ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    let pem = site.collectors.pem();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(&[&version::TLS12]).unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

#[test]
fn tls_1_2_is_accepted_only_if_allowed() {
    let site = Site::new();
    let strict = Collector::with(config(site.flags()));
    let mut agent = Agent::secure(strict.agents, &old(&site));
    let refused = failure(&mut agent.stream);
    assert_eq!(refused, Some(Error::AlertReceived(AlertDescription::ProtocolVersion)));
    let flags = site.flags().with("tls_min_version", "1.2");
    let lenient = Collector::with(config(flags));
    let catalog = gauges(&["fg_a"]);
    let mut agent = Agent::secure(lenient.agents, &old(&site));
    agent.send(&identity("old").hello(&catalog));
    agent.expect_welcome(&catalog);
    agent.report(&[1.0]);
    assert_eq!(agent.stream.conn.protocol_version(), Some(ProtocolVersion::TLSv1_2));
    assert!(lenient.page().shows("old"));
}

#[test]
fn cheapest_cipher_suite_is_chosen() {
    let site = Site::new();
    let collector = Collector::with(config(site.flags()));
    let catalog = gauges(&["fg_a"]);
    let mut agent = Agent::secure(collector.agents, &site.client(None));
    agent.send(&identity("web-01").hello(&catalog));
    agent.expect_welcome(&catalog);
    let taken = agent.stream.conn.negotiated_cipher_suite().map(|suite| suite.suite());
    assert_eq!(taken, Some(CipherSuite::TLS13_AES_128_GCM_SHA256));
}
