//! Peers that disagree about TLS. Each is answered, counted and logged under its own reason.

use std::io::Write;

use fleetgauge_proto::Code;
use rustls::{AlertDescription, CertificateError, Error};

use crate::support::agent::{Agent, identity};
use crate::support::collector::Page;
use crate::support::command::Process;
use crate::support::frames::gauges;
use crate::support::pki::{Authority, text};
use crate::support::secure::{Site, Stream, client, failure, rest};
use crate::support::{eventually, http};

/// A collector with TLS on the agent port.
fn secured(site: &Site) -> Process {
    let [own, key] = ["own.pem", "own.key"].map(|name| text(&site.files.path(name)));
    Process::start(&["--tls-certificate", &own, "--tls-key", &key])
}

/// Checks that one connection ends for this reason, and none for another.
fn ends_as(collector: &Process, reason: &str) {
    let line = format!("fleetgauge_connections_closed_total{{reason=\"{reason}\"}}");
    let closed = || {
        let page = Page(http::request(collector.http, "GET", "/metrics/self", &[]).text());
        (page.value(&line), page.value("fleetgauge_connections_total"))
    };
    eventually(reason, || closed() == (Some(1.0), Some(1.0)));
}

#[test]
fn agent_that_rejects_the_collectors_certificate_is_logged() {
    let site = Site::new();
    let mut collector = secured(&site);
    let believes_another = client(&Authority::new("another"), None);
    let mut agent = Agent::secure(collector.agents, &believes_another);
    let error = Error::InvalidCertificate(CertificateError::UnknownIssuer);
    assert_eq!(failure(&mut agent.stream), Some(error));
    ends_as(&collector, "tls");
    let line = collector.logs("TLS connection failed");
    assert!(line.contains("WARN") && line.contains("UnknownCA"), "{line}");
}

#[test]
fn agent_that_leaves_during_the_handshake_is_logged() {
    let site = Site::new();
    let mut collector = secured(&site);
    let mut agent = Agent::secure(collector.agents, &site.client(None));
    agent.stream.conn.write_tls(&mut agent.stream.sock).unwrap();
    agent.stream.sock.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(rest(&mut agent.stream.sock)[0], 22, "the collector's flight");
    ends_as(&collector, "tls_unfinished");
    let line = collector.logs("TLS connection failed");
    assert!(line.contains("check that it trusts this collector's certificate"), "{line}");
}

#[test]
fn port_probe_is_no_tls_failure() {
    let site = Site::new();
    let collector = secured(&site);
    drop(Agent::connect(collector.agents));
    ends_as(&collector, "closed");
    assert!(!collector.stopped().contains("TLS"));
}

#[test]
fn plain_agent_on_a_tls_port_gets_tls_required() {
    let site = Site::new();
    let mut collector = secured(&site);
    let mut agent = Agent::greet(collector.agents, &identity("web-1"), &gauges(&["load"]));
    let (text, retry_after_ms) = agent.expect_reject(Code::TlsRequired);
    assert_eq!((&*text, retry_after_ms), (Code::TlsRequired.meaning(), None));
    ends_as(&collector, "tls_required");
    let line = collector.logs("connection rejected");
    assert!(line.contains("WARN") && line.contains("code=tls_required"), "{line}");
}

#[test]
fn plain_agent_that_sends_single_bytes_gets_tls_required() {
    let site = Site::new();
    let collector = secured(&site);
    let mut agent = Agent::connect(collector.agents);
    // Two bytes are enough. The collector discards more for a second only, and then resets.
    for byte in &identity("web-1").hello(&gauges(&["load"]))[..2] {
        agent.stream.write_all(&[*byte]).unwrap();
    }
    agent.expect_code(Code::TlsRequired);
    ends_as(&collector, "tls_required");
}

#[test]
fn tls_agent_on_a_plain_port_gets_an_alert() {
    let site = Site::new();
    let mut collector = Process::start(&[]);
    let mut agent: Agent<Stream> = Agent::secure(collector.agents, &site.client(None));
    let alert = Error::AlertReceived(AlertDescription::HandshakeFailure);
    assert_eq!(failure(&mut agent.stream), Some(alert));
    ends_as(&collector, "tls_not_enabled");
    let line = collector.logs("TLS connection rejected; TLS is not enabled");
    assert!(line.contains("WARN") && line.contains("address="), "{line}");
}
