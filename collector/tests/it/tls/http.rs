//! TLS on the HTTP port.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use fleetgauge_collector::config::Flags;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::support::collector::Collector;
use crate::support::pki::{Authority, named, text};
use crate::support::secure::{NAME, Site, client, config, rest};
use crate::support::{PATIENCE, eventually};

/// The flags of a site whose HTTP port speaks TLS, with the authority of its readers.
fn flags(site: &Site, readers: Option<&Authority>) -> Flags {
    let file = |name: &str| Some(text(&site.files.path(name)));
    if let Some(readers) = readers {
        site.files.write("readers.pem", &readers.pem());
    }
    let port = site.flags();
    Flags {
        http_tls_certificate: file("own.pem"),
        http_tls_key: file("own.key"),
        http_tls_client_ca: readers.and_then(|_| file("readers.pem")),
        ..port
    }
}

/// Where the collector serves HTTP, without asking it there.
fn start(flags: Flags) -> Collector {
    Collector::with(config(flags))
}

fn connect(
    http: SocketAddr,
    client: &Arc<ClientConfig>,
) -> StreamOwned<ClientConnection, TcpStream> {
    let stream = TcpStream::connect(http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let name = ServerName::try_from(NAME).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::clone(client), name).unwrap(), stream)
}

/// The answer to a request under TLS; nothing if there is none.
fn get(http: SocketAddr, client: &Arc<ClientConfig>, path: &str) -> String {
    let mut stream = connect(http, client);
    let asked = write!(stream, "GET {path} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n");
    let answer = asked.map(|()| rest(&mut stream)).unwrap_or_default();
    String::from_utf8(answer).unwrap()
}

#[test]
fn pages_under_tls() {
    let site = Site::new();
    let collector = start(flags(&site, None));
    let page = get(collector.http, &site.client(None), "/metrics");
    assert!(
        page.starts_with("HTTP/1.1 200 OK") && page.contains("fleetgauge_build_info"),
        "{page}"
    );
}

#[test]
fn without_tls_nothing_is_answered() {
    let site = Site::new();
    let collector = start(flags(&site, None));
    let mut plain = TcpStream::connect(collector.http).unwrap();
    plain.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let heard = rest(&mut plain);
    assert!(heard.is_empty() || heard[0] == 21, "{heard:?}");
    let page = get(collector.http, &site.client(None), "/metrics/self");
    assert!(page.contains("fleetgauge_http_tls_failures_total 1"), "{page}");
}

#[test]
fn readers_prove_who_they_are() {
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
    let page = get(collector.http, &client, "/metrics/self");
    assert!(page.contains("fleetgauge_http_tls_failures_total 3"), "{page}");
}

#[test]
fn a_reader_whose_certificate_expires_is_cut_off() {
    let (site, readers) = (Site::new(), Authority::new("readers"));
    let collector = start(flags(&site, Some(&readers)));
    let soon =
        std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap() + std::time::Duration::from_secs(3);
    let own = readers.issue(named("prometheus").until(soon));
    let mut stream = connect(collector.http, &site.client(Some(&own)));
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {NAME}\r\n\r\n").unwrap();
    assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
    let begun = Instant::now();
    drop(rest(&mut stream));
    // By itself an idle connection is closed after ten seconds.
    assert!(begun.elapsed().as_secs() < 8, "{:?}", begun.elapsed());
}

#[test]
fn a_handshake_that_never_begins_takes_no_place_for_ever() {
    let site = Site::new();
    let flags = Flags { max_http_connections: Some(2), ..flags(&site, None) };
    let collector = start(flags);
    let _silent: Vec<_> = (0..4).map(|_| TcpStream::connect(collector.http).unwrap()).collect();
    let client = client(&site.collectors, None);
    eventually("a page", || get(collector.http, &client, "/readyz").starts_with("HTTP/1.1 200"));
}
