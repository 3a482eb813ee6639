//! TLS on the HTTP port.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use fleetgauge_collector::config::Flags;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, StreamOwned};

use crate::support::collector::Collector;
use crate::support::command::Process;
use crate::support::pki::{Authority, named, soon, text};
use crate::support::secure::{NAME, Site, Stream, client, config, rest};
use crate::support::{TEST_TIMEOUT, eventually, read_some};

/// A collector process with TLS on its HTTP port.
fn process(site: &Site, readers: Option<&Authority>) -> Process {
    let given = files(site, readers).into_iter();
    let flag = |(name, path): (&str, String)| [format!("--{}", name.replace('_', "-")), path];
    let arguments: Vec<_> = given.flat_map(flag).collect();
    Process::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Flags of a collector with TLS on its HTTP port; `readers` is the CA of HTTP client certificates.
fn flags(site: &Site, readers: Option<&Authority>) -> Flags {
    let files = files(site, readers).into_iter();
    files.fold(site.flags(), |flags, (name, path)| flags.with(name, path))
}

/// Returns the TLS settings of the HTTP port and their files.
fn files(site: &Site, readers: Option<&Authority>) -> Vec<(&'static str, String)> {
    let mut files = vec![
        ("http_tls_certificate", site.path("own.pem")),
        ("http_tls_key", site.path("own.key")),
    ];
    if let Some(readers) = readers {
        site.files.write("readers.pem", &readers.pem());
        files.push(("http_tls_client_ca", site.path("readers.pem")));
    }
    files
}

/// Starts a collector without requesting a page from it.
fn start(flags: Flags) -> Collector {
    Collector::with(config(flags))
}

fn connect(http: SocketAddr, client: &Arc<ClientConfig>) -> Stream {
    let stream = TcpStream::connect(http).unwrap();
    stream.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
    let name = ServerName::try_from(NAME).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::clone(client), name).unwrap(), stream)
}

/// Returns the answer to a request over TLS; empty if there is none.
fn get(http: SocketAddr, client: &Arc<ClientConfig>, path: &str) -> String {
    get_over(connect(http, client), path).1
}

/// Returns the kind of handshake, and the answer to a request that is sent with the last handshake
/// message.
fn get_over(mut stream: Stream, path: &str) -> (Option<HandshakeKind>, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n");
    stream.conn.writer().write_all(request.as_bytes()).unwrap();
    let answer = String::from_utf8(rest(&mut stream)).unwrap();
    (stream.conn.handshake_kind(), answer)
}

/// Whether a request over an open connection is answered.
fn answers(stream: &mut Stream) -> bool {
    let asked = write!(stream, "GET /healthz HTTP/1.1\r\nHost: {NAME}\r\n\r\n");
    asked.and_then(|()| read_some(stream, &mut [0; 1024])).is_ok_and(|read| read > 0)
}

/// Waits until the collector has counted this number of TLS failures: it counts after it has
/// answered.
fn failures_are(count: usize, collector: &Collector, client: &Arc<ClientConfig>) {
    let line = format!("\nfleetgauge_http_tls_failures_total {count}\n");
    eventually(&line, || get(collector.http, client, "/metrics/self").contains(&line));
}

#[test]
fn pages_are_served_over_tls() {
    let site = Site::new();
    let collector = start(flags(&site, None));
    let page = get(collector.http, &site.client(None), "/metrics");
    assert!(
        page.starts_with("HTTP/1.1 200 OK") && page.contains("fleetgauge_build_info"),
        "{page}"
    );
}

#[test]
fn request_without_tls_is_not_answered() {
    let site = Site::new();
    let collector = start(flags(&site, None));
    let mut plain = TcpStream::connect(collector.http).unwrap();
    plain.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let received = rest(&mut plain);
    assert!(received.is_empty() || received[0] == 21, "{received:?}");
    failures_are(1, &collector, &site.client(None));
}

#[test]
fn client_certificate_is_required() {
    let (site, readers) = (Site::new(), Authority::new("readers"));
    let collector = start(flags(&site, Some(&readers)));
    let own = readers.issue(named("prometheus"));
    let client = site.client(Some(&own));
    assert!(get(collector.http, &client, "/metrics").starts_with("HTTP/1.1 200 OK"));
    for bad in
        [None, Some(&site.agent("web-01")), Some(&readers.issue(named("x").within(2020, 2021)))]
    {
        assert_eq!(get(collector.http, &site.client(bad), "/metrics"), "", "{bad:?}");
    }
    failures_are(3, &collector, &client);
}

#[test]
fn connection_is_closed_when_its_client_certificate_expires() {
    let (site, readers) = (Site::new(), Authority::new("readers"));
    let collector = start(flags(&site, Some(&readers)));
    let own = readers.issue(named("prometheus").until(soon()));
    let mut stream = connect(collector.http, &site.client(Some(&own)));
    assert!(answers(&mut stream));
    eventually("the connection is closed", || !answers(&mut stream));
}

#[test]
fn expired_client_certificate_is_logged_with_its_address() {
    let (site, readers) = (Site::new(), Authority::new("readers"));
    let mut collector = process(&site, Some(&readers));
    let own = readers.issue(named("prometheus").until(soon()));
    let mut stream = connect(collector.http, &site.client(Some(&own)));
    eventually("the connection is closed", || !answers(&mut stream));
    let line = collector.logs("HTTP client certificate rejected");
    assert!(line.contains("WARN") && line.contains("address=127.0.0.1 error="), "{line}");
    assert!(line.contains("count=1"), "{line}");
}

#[test]
fn plain_http_on_a_tls_port_gets_an_alert_and_is_logged() {
    let site = Site::new();
    let mut collector = process(&site, None);
    let mut plain = TcpStream::connect(collector.http).unwrap();
    plain.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let received = rest(&mut plain);
    assert!(received.is_empty() || received[0] == 21 && received.len() == 7, "{received:?}");
    let line = collector.logs("HTTP TLS connection failed");
    assert!(line.contains("WARN") && line.contains("the client does not speak TLS"), "{line}");
}

/// rustls does not verify the certificate of a resumed session.
#[test]
fn ticket_of_an_expired_client_certificate_is_rejected() {
    let (site, readers) = (Site::new(), Authority::new("readers"));
    let collector = start(flags(&site, Some(&readers)));
    let own = readers.issue(named("prometheus").until(soon()));
    let client = site.client(Some(&own));
    let mut first = connect(collector.http, &client);
    assert!(answers(&mut first));
    eventually("it has expired", || !answers(&mut first));
    for _ in 0..20 {
        let (kind, answer) = get_over(connect(collector.http, &client), "/metrics");
        assert_eq!((kind, answer.as_str()), (Some(HandshakeKind::Resumed), ""));
    }
}

#[test]
fn connection_with_a_revoked_client_certificate_is_closed() {
    let (site, readers) = (Site::new(), Authority::new("readers"));
    let crl = site.files.write("readers.crl", &readers.revoke(&[]));
    let flags = flags(&site, Some(&readers)).with("http_tls_crl", text(&crl));
    let collector = start(flags);
    let [mut one, mut two] = [1, 2].map(|serial| {
        let own = readers.issue(named("prometheus").numbered(serial));
        connect(collector.http, &site.client(Some(&own)))
    });
    assert!(answers(&mut one) && answers(&mut two));
    site.files.write("readers.crl", &readers.revoke(&[1]));
    eventually("the connection is closed", || {
        assert!(answers(&mut two));
        !answers(&mut one)
    });
    assert!(answers(&mut two));
}

#[test]
fn connections_of_a_replaced_authority_are_closed() {
    let (site, readers) = (Site::new(), Authority::new("readers"));
    let collector = start(flags(&site, Some(&readers)));
    let client = site.client(Some(&readers.issue(named("prometheus"))));
    let mut old = connect(collector.http, &client);
    assert!(answers(&mut old));
    let next = Authority::new("next");
    site.files.write("readers.pem", &next.pem());
    eventually("the connection is closed", || !answers(&mut old));
    assert_eq!(get(collector.http, &client, "/metrics"), "");
    let new = site.client(Some(&next.issue(named("prometheus"))));
    assert!(get(collector.http, &new, "/metrics").starts_with("HTTP/1.1 200 OK"));
}

#[test]
fn unfinished_handshake_frees_its_permit() {
    let site = Site::new();
    let flags = flags(&site, None).with("max_http_connections", "2");
    let collector = start(flags);
    let _silent: Vec<_> = (0..4).map(|_| TcpStream::connect(collector.http).unwrap()).collect();
    let client = client(&site.collectors, None);
    eventually("a page", || get(collector.http, &client, "/readyz").starts_with("HTTP/1.1 200"));
}
