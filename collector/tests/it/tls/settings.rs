//! Settings of TLS that cannot be, each with a word of its own; and which versions are spoken.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use fleetgauge_collector::Config;
use fleetgauge_collector::config::Flags;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{AlertDescription, CipherSuite, ClientConfig, Error, ProtocolVersion, version};

use crate::support::agent::{Agent, who};
use crate::support::collector::Collector;
use crate::support::frames::gauges;
use crate::support::pki::{Authority, named, text};
use crate::support::secure::{NAME, Site, config, failure};

/// What is wrong with these settings.
fn problem(flags: Flags) -> String {
    Config::try_new(flags).unwrap_err().to_string()
}

/// What is wrong once this file holds this.
fn problem_with(file: &str, content: &str) -> String {
    let site = Site::new();
    site.files.write("agents.crl", &site.agents.revoke(&[]));
    let crl = Some(text(&site.files.path("agents.crl")));
    Config::try_new(Flags { tls_crl: crl.clone(), ..site.mutual() }).unwrap();
    let path = site.files.write(file, content);
    let problem = problem(Flags { tls_crl: crl, ..site.mutual() });
    assert!(problem.contains(&text(&path)) || problem.contains("own.pem"), "{problem}");
    problem
}

#[test]
fn files_that_will_not_do() {
    let other = Authority::new("other");
    let issue = |wanted| other.issue(wanted).certificate;
    let key = other.issue(named(NAME)).key;
    for (file, content, words) in [
        ("own.pem", String::new(), ["tls_certificate", "BEGIN CERTIFICATE"]),
        (
            "own.pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n".to_owned(),
            ["tls_certificate", "is not PEM"],
        ),
        (
            "own.pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
            ["tls_certificate", "not an X.509"],
        ),
        (
            "own.pem",
            issue(named(NAME).within(2020, 2021)),
            ["tls_certificate", "expired on 2021-01-01T00:00:00Z"],
        ),
        (
            "own.pem",
            issue(named(NAME).within(2099, 2100)),
            ["tls_certificate", "not valid before 2099"],
        ),
        ("own.pem", issue(named(NAME)), ["tls_key", "is not the key"]),
        ("own.key", String::new(), ["tls_key", "BEGIN PRIVATE KEY"]),
        ("own.key", "nonsense".to_owned(), ["tls_key", "BEGIN PRIVATE KEY"]),
        ("own.key", key, ["tls_key", "is not the key"]),
        ("agents.pem", String::new(), ["tls_client_ca", "BEGIN CERTIFICATE"]),
        ("agents.crl", String::new(), ["tls_crl", "BEGIN X509 CRL"]),
    ] {
        let problem = problem_with(file, &content);
        assert!(words.iter().all(|word| problem.contains(word)), "{file} {words:?}: {problem}");
    }
}

#[test]
fn a_key_that_everybody_may_read() {
    let site = Site::new();
    let key = site.files.path("own.key");
    std::fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let problem = problem(site.flags());
    assert!(
        ["tls_key", "644", "chmod 600", &text(&key)].iter().all(|word| problem.contains(word)),
        "{problem}"
    );
}

#[test]
fn settings_that_do_not_go_together() {
    let site = Site::new();
    let all = site.mutual();
    let set = |change: fn(&mut Flags)| {
        let mut flags = all.clone();
        change(&mut flags);
        problem(flags)
    };
    for (problem, words) in [
        (set(|flags| flags.tls_key = None), ["tls_certificate", "set tls_key"]),
        (set(|flags| flags.tls_certificate = None), ["tls_key", "set tls_certificate"]),
        (set(|flags| flags.tls_key = Some("/nonexistent".to_owned())), ["tls_key", "/nonexistent"]),
        (
            set(|flags| (flags.tls_certificate, flags.tls_key) = (None, None)),
            ["tls_client_ca", "set tls_certificate"],
        ),
        (
            set(|flags| flags.tls_min_version = Some("1.1".to_owned())),
            ["tls_min_version", "1.3 or 1.2"],
        ),
        (
            set(|flags| flags.certificate_name = Some("web".to_owned())),
            ["certificate_name", "{id}"],
        ),
        (
            set(|flags| flags.http_tls_crl = Some("x".to_owned())),
            ["http_tls_crl", "set http_tls_certificate"],
        ),
        (
            set(|flags| {
                (flags.tls_client_ca, flags.certificate_name) = (None, Some("{id}".to_owned()))
            }),
            ["certificate_name", "tls_client_ca"],
        ),
        (
            set(|flags| (flags.tls_client_ca, flags.tls_crl) = (None, Some("x".to_owned()))),
            ["tls_crl", "set tls_client_ca"],
        ),
    ] {
        assert!(words.iter().all(|word| problem.contains(word)), "{words:?}: {problem}");
    }
}

#[test]
fn an_address_off_loopback_takes_certificates_of_agents_and_of_readers() {
    let site = Site::new();
    let file = |name: &str| Some(text(&site.files.path(name)));
    let open = || Flags {
        listen: Some(vec!["0.0.0.0:0".to_owned()]),
        http: Some("0.0.0.0:0".to_owned()),
        http_tls_certificate: file("own.pem"),
        http_tls_key: file("own.key"),
        http_tls_client_ca: file("agents.pem"),
        ..site.mutual()
    };
    Config::try_new(open()).unwrap();
    let agents = problem(Flags { tls_client_ca: None, ..open() });
    assert!(agents.contains("listen") && agents.contains("--tls-client-ca"), "{agents}");
    let readers = problem(Flags { http_tls_client_ca: None, ..open() });
    assert!(readers.contains("http") && readers.contains("--http-tls-client-ca"), "{readers}");
}

/// A client that knows no newer version.
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
fn tls_1_2_is_spoken_only_where_it_is_allowed() {
    let site = Site::new();
    let strict = Collector::with(config(site.flags()));
    let mut agent = Agent::secure(strict.agents, &old(&site));
    let refused = failure(&mut agent.stream);
    assert_eq!(refused, Some(Error::AlertReceived(AlertDescription::ProtocolVersion)));
    let flags = Flags { tls_min_version: Some("1.2".to_owned()), ..site.flags() };
    let lenient = Collector::with(config(flags));
    let schema = gauges(&["fg_a"]);
    let mut agent = Agent::secure(lenient.agents, &old(&site));
    agent.send(&who("old").hello(&schema));
    agent.expect_welcome(&schema);
    agent.report(&[1.0]);
    assert_eq!(agent.stream.conn.protocol_version(), Some(ProtocolVersion::TLSv1_2));
    assert!(lenient.page().shows("old"));
}

#[test]
fn the_collector_takes_the_cheapest_suite_whatever_its_peer_likes_best() {
    let site = Site::new();
    let collector = Collector::with(config(site.flags()));
    let schema = gauges(&["fg_a"]);
    let mut agent = Agent::secure(collector.agents, &site.client(None));
    agent.send(&who("web-01").hello(&schema));
    agent.expect_welcome(&schema);
    let taken = agent.stream.conn.negotiated_cipher_suite().map(|suite| suite.suite());
    assert_eq!(taken, Some(CipherSuite::TLS13_AES_128_GCM_SHA256));
}
