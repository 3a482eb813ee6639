//! Agents with client certificates.

use fleetgauge_collector::Config;
use fleetgauge_collector::config::Flags;
use fleetgauge_proto::Code;
use rustls::{AlertDescription, Error};

use crate::support::agent::{Agent, Identity, identity};
use crate::support::collector::Collector;
use crate::support::eventually;
use crate::support::frames::{gauges, label};
use crate::support::pki::{Authority, Issued, named, soon, text};
use crate::support::secrets::entry;
use crate::support::secure::{Site, Stream, client, config, failure};

fn join(collector: &Collector, site: &Site, own: &Issued, id: &str) -> Agent<Stream> {
    let catalog = gauges(&["fg_a"]);
    let mut agent = Agent::secure(collector.agents, &site.client(Some(own)));
    agent.send(&identity(id).hello(&catalog));
    agent.expect_welcome(&catalog);
    agent.report(&[1.0]);
    agent
}

/// Checks that the collector answers only with an alert that hides the cause.
fn is_refused(collector: &Collector, site: &Site, own: Option<&Issued>, alert: AlertDescription) {
    let mut agent = Agent::secure(collector.agents, &site.client(own));
    agent.send(&identity("web-01").hello(&gauges(&["fg_a"])));
    assert_eq!(failure(&mut agent.stream), Some(Error::AlertReceived(alert)));
    assert!(!collector.page().shows("web-01"));
}

#[test]
fn certificate_name_is_the_agent_id() {
    let site = Site::new();
    let collector = Collector::with(config(site.mutual()));
    let _agent = join(&collector, &site, &site.agent("web-01"), "web-01");
    assert!(collector.page().shows("web-01"));
    let by_common_name = site.agents.issue(named("x").by_common_name("db-02"));
    let _agent = join(&collector, &site, &by_common_name, "db-02");
    assert!(collector.page().shows("db-02"));
}

#[test]
fn certificate_for_another_id_is_rejected() {
    let site = Site::new();
    let collector = Collector::with(config(site.mutual()));
    let mut thief = Agent::secure(collector.agents, &site.client(Some(&site.agent("web-01"))));
    thief.send(&identity("web-02").hello(&gauges(&["fg_a"])));
    let (text, retry) = thief.expect_reject(Code::Unauthorized);
    assert_eq!((text.as_str(), retry), (Code::Unauthorized.meaning(), None));
    assert!(!collector.page().shows("web-02"));
    assert_eq!(collector.metric("fleetgauge_unauthorized_total{cause=\"wrong_certificate\"}"), 1.0);
}

#[test]
fn certificate_name_pattern_extracts_the_id() {
    let site = Site::new();
    let flags = site.mutual().with("tls_client_name", "spiffe://example.com/agent/{id}");
    let collector = Collector::with(config(flags));
    let own = site.agents.issue(named("host-7").with_uri("spiffe://example.com/agent/web-01"));
    let _agent = join(&collector, &site, &own, "web-01");
    assert!(collector.page().shows("web-01"));
    let mut other = Agent::secure(collector.agents, &site.client(Some(&own)));
    other.send(&identity("host-7").hello(&gauges(&["fg_a"])));
    other.expect_reject(Code::Unauthorized);
}

#[test]
fn labels_are_pinned_to_agents_with_certificates() {
    let site = Site::new();
    let pinned = "[[credential]]\nagent = 'web-*'\nlabels = { site = 'fra' }\n";
    let path = site
        .files
        .write("credentials", &(pinned.to_owned() + &entry("agent = 'db-1'", &["db"], "")));
    let with_file = |flags: Flags| flags.with("credentials", text(&path));
    let collector = Collector::with(config(with_file(site.mutual())));
    let _agent = join(&collector, &site, &site.agent("web-01"), "web-01");
    assert_eq!(collector.page().value("fg_a{agent=\"web-01\",site=\"fra\"}"), Some(1.0));
    for (id, said, code) in [
        ("web-02", Some(("site", "ams")), Code::LabelNotAllowed),
        // The agent has no entry, or one that requires a token.
        ("mail-1", None, Code::Unauthorized),
        ("db-1", None, Code::Unauthorized),
    ] {
        let labels = said.iter().map(label).collect();
        let mut agent = Agent::secure(collector.agents, &site.client(Some(&site.agent(id))));
        agent.send(&Identity { labels, ..identity(id) }.hello(&gauges(&["fg_a"])));
        agent.expect_reject(code);
    }
    assert_eq!(collector.metric("fleetgauge_unauthorized_total{cause=\"unknown_agent\"}"), 1.0);
    assert_eq!(collector.metric("fleetgauge_unauthorized_total{cause=\"no_credential\"}"), 1.0);
    let said = Config::try_new(with_file(site.flags())).unwrap_err().to_string();
    assert!(said.starts_with("--credentials: ") && said.contains("tls_client_ca"), "{said}");
}

#[test]
fn invalid_certificates_get_the_same_alert() {
    let site = Site::new();
    site.files.write("agents.crl", &site.agents.revoke(&[7]));
    let flags = site.mutual().with("tls_crl", site.path("agents.crl"));
    let collector = Collector::with(config(flags));
    let good = site.agents.issue(named("web-00").numbered(8));
    let mut good = join(&collector, &site, &good, "web-00");
    is_refused(&collector, &site, None, AlertDescription::CertificateRequired);
    let web = || named("web-01");
    for bad in [
        Authority::new("agents").issue(web()),
        site.agents.issue(web().within(2020, 2021)),
        site.agents.issue(web().within(2099, 2100)),
        site.agents.issue(web().numbered(7)),
    ] {
        is_refused(&collector, &site, Some(&bad), AlertDescription::CertificateUnknown);
    }
    eventually("all are counted", || collector.closed("tls") == 5.0);
    good.report(&[2.0]);
}

#[test]
fn agent_that_trusts_another_authority_does_not_connect() {
    let site = Site::new();
    let collector = Collector::with(config(site.mutual()));
    let other = client(&Authority::new("collectors"), Some(&site.agent("web-01")));
    let mut agent = Agent::secure(collector.agents, &other);
    assert!(matches!(failure(&mut agent.stream), Some(Error::InvalidCertificate(_))));
    eventually("the connection is closed", || collector.closed("tls") == 1.0);
}

#[test]
fn session_ends_when_its_certificate_expires() {
    let site = Site::new();
    let collector = Collector::with(config(site.mutual()));
    let own = site.agents.issue(named("web-01").until(soon()));
    let mut agent = join(&collector, &site, &own, "web-01");
    agent.expect_reject(Code::CredentialRevoked);
    assert!(!collector.page().shows("web-01"));
    is_refused(&collector, &site, Some(&own), AlertDescription::CertificateUnknown);
}
