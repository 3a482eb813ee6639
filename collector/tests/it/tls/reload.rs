//! Certificates, CA certificates and revocation lists that change while agents are connected.

use fleetgauge_proto::Code;
use rustix::process::Signal;
use rustls::HandshakeKind;

use crate::support::agent::{Agent, identity};
use crate::support::collector::Collector;
use crate::support::command::Process;
use crate::support::frames::gauges;
use crate::support::http::request;
use crate::support::pki::{Authority, named, soon, text};
use crate::support::secure::{NAME, Site, Stream, client, config};
use crate::support::{eventually, secure};

/// A collector process that requires client certificates, with a revocation list.
fn start(site: &Site) -> Process {
    site.files.write("agents.crl", &site.agents.revoke(&[]));
    let file = |name: &str| text(&site.files.path(name));
    Process::start(&[
        "--tls-certificate",
        &file("own.pem"),
        "--tls-key",
        &file("own.key"),
        "--tls-client-ca",
        &file("agents.pem"),
        "--tls-crl",
        &file("agents.crl"),
    ])
}

fn reload(collector: &mut Process) {
    collector.signal(Signal::HUP);
    collector.logs("configuration reloaded");
}

fn join(
    collector: &Process,
    client: &std::sync::Arc<rustls::ClientConfig>,
    id: &str,
) -> Agent<Stream> {
    let catalog = gauges(&["fg_a"]);
    let mut agent = Agent::secure(collector.agents, client);
    agent.send(&identity(id).hello(&catalog));
    agent.expect_welcome(&catalog);
    agent.report(&[1.0]);
    agent
}

fn shows(collector: &Process, id: &str) -> bool {
    request(collector.http, "GET", "/metrics/agents", &[]).text().contains(id)
}

#[test]
fn revoked_certificate_closes_its_session_only() {
    let site = Site::new();
    let mut collector = start(&site);
    let issue = |name, serial| site.agents.issue(named(name).numbered(serial));
    let (one, two) = (site.client(Some(&issue("one", 1))), site.client(Some(&issue("two", 2))));
    let mut revoked = join(&collector, &one, "one");
    let mut stays = join(&collector, &two, "two");
    site.files.write("agents.crl", &site.agents.revoke(&[1]));
    reload(&mut collector);
    revoked.expect_reject(Code::CredentialRevoked);
    assert!(!shows(&collector, "one"));
    stays.report(&[2.0]);
    // Neither the certificate nor its ticket is accepted again.
    let mut again = Agent::secure(collector.agents, &one);
    again.send(&identity("one").hello(&gauges(&["fg_a"])));
    assert!(secure::failure(&mut again.stream).is_some());
    collector.logs("TLS connection failed");
}

#[test]
fn replaced_authority_closes_its_sessions() {
    let site = Site::new();
    let mut collector = start(&site);
    let next = Authority::new("next");
    let (old, new) = (site.agent("old"), next.issue(named("new")));
    let mut old = join(&collector, &site.client(Some(&old)), "old");
    // Both authorities are valid for a while.
    site.files.write("agents.pem", &(site.agents.pem() + &next.pem()));
    site.files.write("agents.crl", &(site.agents.revoke(&[]) + &next.revoke(&[])));
    reload(&mut collector);
    old.report(&[2.0]);
    let mut new = join(&collector, &site.client(Some(&new)), "new");
    site.files.write("agents.pem", &next.pem());
    site.files.write("agents.crl", &next.revoke(&[]));
    reload(&mut collector);
    old.expect_reject(Code::CredentialRevoked);
    new.report(&[2.0]);
}

#[test]
fn session_ends_when_a_new_pattern_yields_another_id() {
    let site = Site::new();
    let pattern = |pattern: &str| {
        let all = format!("drain_timeout = '0s'\ntls_client_name = '{pattern}'\n");
        site.files.write("settings", &all)
    };
    let flags = site.mutual().with("config", text(&pattern("{id}")));
    let collector = Collector::with(config(flags));
    let catalog = gauges(&["fg_a"]);
    let [mut changed, mut stays] = [("one", "two"), ("three", "three")].map(|(name, uri)| {
        let own = site.agents.issue(named(name).with_uri(&format!("spiffe://example.com/{uri}")));
        let mut agent = Agent::secure(collector.agents, &site.client(Some(&own)));
        agent.send(&identity(name).hello(&catalog));
        agent.expect_welcome(&catalog);
        agent.report(&[1.0]);
        agent
    });
    pattern("spiffe://example.com/{id}");
    changed.expect_reject(Code::CredentialRevoked);
    assert!(!collector.page().shows("one"));
    stays.report(&[2.0]);
}

#[test]
fn replaced_certificate_of_the_port_closes_no_session() {
    let site = Site::new();
    let mut collector = start(&site);
    let own = site.agent("one");
    let mut agent = join(&collector, &site.client(Some(&own)), "one");
    let other = Authority::new("others");
    site.write_own(&other.issue(named(NAME)));
    reload(&mut collector);
    agent.report(&[2.0]);
    let two = site.agent("two");
    drop(join(&collector, &client(&other, Some(&two)), "two"));
}

#[test]
fn changed_file_is_reloaded_without_a_signal() {
    let site = Site::new();
    let mut collector = start(&site);
    let own = site.agents.issue(named("one").numbered(1));
    let mut agent = join(&collector, &site.client(Some(&own)), "one");
    site.files.write("agents.crl", &site.agents.revoke(&[1]));
    collector.logs("configuration reloaded");
    agent.expect_reject(Code::CredentialRevoked);
}

#[test]
fn invalid_files_change_nothing() {
    let site = Site::new();
    let mut collector = start(&site);
    let own = site.client(Some(&site.agent("one")));
    let mut agent = join(&collector, &own, "one");
    for (file, content, words) in [
        ("own.pem", "nonsense".to_owned(), ["--tls-certificate", "BEGIN CERTIFICATE"]),
        ("own.pem", site.agent("x").certificate, ["--tls-key", "is not the key"]),
        ("agents.pem", String::new(), ["--tls-client-ca", "BEGIN CERTIFICATE"]),
        ("agents.crl", site.agents.pem(), ["--tls-crl", "BEGIN X509 CRL"]),
    ] {
        let before = std::fs::read_to_string(site.files.path(file)).unwrap();
        site.files.write(file, &content);
        collector.signal(Signal::HUP);
        let said = collector.logs("configuration reload failed");
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
        site.files.write(file, &before);
    }
    agent.report(&[2.0]);
    drop(join(&collector, &own, "one"));
    reload(&mut collector);
    agent_is_superseded(agent);
}

/// Checks that a later connection of the same name has superseded this agent.
fn agent_is_superseded(mut agent: Agent<Stream>) {
    agent.expect_code(Code::Superseded);
}

#[test]
fn tickets_are_accepted_until_the_revocation_lists_change() {
    let site = Site::new();
    let mut collector = start(&site);
    let own = site.client(Some(&site.agent("one")));
    let kind = |agent: &Agent<Stream>| agent.stream.conn.handshake_kind().unwrap();
    let come = |collector: &Process| {
        let agent = join(collector, &own, "one");
        let kind = kind(&agent);
        drop(agent);
        eventually("the session has ended", || !shows(collector, "one"));
        kind
    };
    assert_eq!(come(&collector), HandshakeKind::Full);
    assert_eq!(come(&collector), HandshakeKind::Resumed);
    // A reload of files on which tickets do not depend.
    reload(&mut collector);
    assert_eq!(come(&collector), HandshakeKind::Resumed);
    site.files.write("agents.crl", &site.agents.revoke(&[9]));
    reload(&mut collector);
    assert_eq!(come(&collector), HandshakeKind::Full);
}

#[test]
fn ticket_of_an_expired_certificate_is_rejected() {
    let site = Site::new();
    let collector = start(&site);
    let own = site.client(Some(&site.agents.issue(named("one").until(soon()))));
    let mut agent = join(&collector, &own, "one");
    agent.expect_reject(Code::CredentialRevoked);
    let mut again = Agent::secure(collector.agents, &own);
    again.send(&identity("one").hello(&gauges(&["fg_a"])));
    let received = again.receive();
    assert_eq!(again.stream.conn.handshake_kind(), Some(HandshakeKind::Resumed));
    assert!(
        matches!(
            received,
            crate::support::agent::Received::Reject { code: Code::Unauthorized, .. }
        ),
        "{received:?}"
    );
    assert!(!shows(&collector, "one"));
}
