//! Peers that disagree about TLS: each is answered, counted and logged under its own reason.

use std::io::Write;

use fleetgauge_proto::Code;
use rustls::{AlertDescription, CertificateError, Error};

use crate::support::agent::{Agent, who};
use crate::support::collector::Page;
use crate::support::command::Process;
use crate::support::frames::gauges;
use crate::support::pki::{Authority, text};
use crate::support::secure::{Site, Stream, client, failure, rest};
use crate::support::{eventually, http};

/// A collector with this site's certificate on the agents' port.
fn secured(site: &Site) -> Process {
    let [own, key] = ["own.pem", "own.key"].map(|name| text(&site.files.path(name)));
    Process::start(&["--tls-certificate", &own, "--tls-key", &key])
}

/// One connection ends for this reason, and for none besides.
fn ends_as(collector: &Process, reason: &str) {
    let line = format!("fleetgauge_connections_closed_total{{reason=\"{reason}\"}}");
    let closed = || {
        let page = Page(http::request(collector.http, "GET", "/metrics/self", &[]).text());
        (page.value(&line), page.value("fleetgauge_connections_total"))
    };
    eventually(reason, || closed() == (Some(1.0), Some(1.0)));
}

#[test]
fn an_agent_that_rejects_the_collectors_certificate_is_counted_as_tls_and_logged() {
    let site = Site::new();
    let mut collector = secured(&site);
    let believes_another = client(&Authority::new("another"), None);
    let mut agent = Agent::secure(collector.agents, &believes_another);
    let error = Error::InvalidCertificate(CertificateError::UnknownIssuer);
    assert_eq!(failure(&mut agent.stream), Some(error));
    ends_as(&collector, "tls");
    let line = collector.logs("TLS failed");
    assert!(line.contains("WARN") && line.contains("UnknownCA"), "{line}");
}

#[test]
fn an_agent_that_leaves_in_the_handshake_without_an_alert_is_logged_under_its_own_reason() {
    let site = Site::new();
    let mut collector = secured(&site);
    let mut agent = Agent::secure(collector.agents, &site.client(None));
    agent.stream.conn.write_tls(&mut agent.stream.sock).unwrap();
    agent.stream.sock.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(rest(&mut agent.stream.sock)[0], 22, "the collector's flight");
    ends_as(&collector, "tls_unfinished");
    let line = collector.logs("TLS failed");
    assert!(line.contains("does it trust this collector's certificate?"), "{line}");
}

#[test]
fn a_port_probe_is_no_tls_failure() {
    let site = Site::new();
    let collector = secured(&site);
    drop(Agent::connect(collector.agents));
    ends_as(&collector, "closed");
    assert!(!collector.stopped().contains("TLS"));
}

#[test]
fn a_plain_agent_on_a_tls_port_is_told_that_tls_is_required() {
    let site = Site::new();
    let mut collector = secured(&site);
    let mut agent = Agent::greet(collector.agents, &who("web-1"), &gauges(&["load"]));
    let (text, retry_after_ms) = agent.expect_reject(Code::TlsRequired);
    assert_eq!((&*text, retry_after_ms), (Code::TlsRequired.meaning(), None));
    ends_as(&collector, "tls_required");
    let line = collector.logs("refused");
    assert!(line.contains("WARN") && line.contains("code=tls_required"), "{line}");
}

#[test]
fn a_plain_agent_whose_first_frame_comes_byte_by_byte_is_told_too() {
    let site = Site::new();
    let collector = secured(&site);
    let mut agent = Agent::connect(collector.agents);
    for byte in who("web-1").hello(&gauges(&["load"])) {
        // The collector stops listening after two of them.
        if agent.stream.write_all(&[byte]).is_err() {
            break;
        }
    }
    agent.expect_code(Code::TlsRequired);
    ends_as(&collector, "tls_required");
}

#[test]
fn a_tls_agent_on_a_plain_port_is_told_by_an_alert() {
    let site = Site::new();
    let mut collector = Process::start(&[]);
    let mut agent: Agent<Stream> = Agent::secure(collector.agents, &site.client(None));
    let alert = Error::AlertReceived(AlertDescription::HandshakeFailure);
    assert_eq!(failure(&mut agent.stream), Some(alert));
    ends_as(&collector, "tls_not_enabled");
    let line = collector.logs("TLS is not enabled on this port");
    assert!(line.contains("WARN") && line.contains("address="), "{line}");
}
