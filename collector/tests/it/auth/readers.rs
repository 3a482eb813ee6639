//! Authorization of HTTP requests.

use std::io::Read;
use std::net::TcpStream;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::support::collector::Collector;
use crate::support::http;
use crate::support::secrets::{Files, entry, guarded};

const PATHS: [&str; 18] = [
    "/",
    "/agents",
    "/style.css",
    "/live.js",
    "/icon.svg",
    "/api/overview",
    "/api/search",
    "/metrics",
    "/metrics/agents",
    "/metrics/agents/web-1",
    "/metrics/self",
    "/metrics/fleet",
    "/metrics/roster",
    "/sd",
    "/sd/agents",
    "/api/agents",
    "/api/departed",
    "/nonexistent",
];

fn collector(files: &Files) -> Collector {
    let entry = entry("user = 'prometheus'", &["the token", "the next token"], "");
    Collector::with(guarded(None, Some(&files.write("readers", &entry)), &[]))
}

fn basic(pair: &str) -> String {
    format!("Authorization: Basic {}", BASE64_STANDARD.encode(pair))
}

#[test]
fn bearer_token_and_basic_authentication_open_every_page() {
    let files = Files::new();
    let collector = collector(&files);
    let bearer = "Authorization: Bearer the token".to_owned();
    for authorization in [bearer, basic("prometheus:the token"), basic("prometheus:the next token")]
    {
        for path in PATHS {
            let status = collector.get(path, &[&authorization]).status;
            let expected =
                if path.ends_with("web-1") || path == "/nonexistent" { 404 } else { 200 };
            assert_eq!(status, expected, "{path}");
        }
    }
}

#[test]
fn request_without_credential_returns_401_even_for_unknown_paths() {
    let files = Files::new();
    let collector = collector(&files);
    let mut refused = 0.0;
    for authorization in [
        None,
        Some("Authorization: Bearer wrong".to_owned()),
        Some("Authorization: Bearer".to_owned()),
        Some("Authorization: Digest username=\"prometheus\"".to_owned()),
        Some(basic("prometheus:wrong")),
        Some(basic("nobody:the token")),
        Some("Authorization: Bearer the token\r\nAuthorization: Bearer the token".to_owned()),
    ] {
        let headers: Vec<&str> = authorization.iter().map(String::as_str).collect();
        for path in PATHS {
            for method in ["GET", "POST"] {
                let answer = http::request(collector.http, method, path, &headers);
                assert_eq!((answer.status, &*answer.text()), (401, "unauthorized\n"), "{path}");
                let asked: Vec<_> =
                    answer.headers.iter().filter(|(name, _)| name == "www-authenticate").collect();
                assert_eq!(asked.len(), 2, "{asked:?}");
                assert!(asked[0].1.starts_with("Bearer ") && asked[1].1.starts_with("Basic "));
                refused += 1.0;
            }
        }
    }
    let own = collector.get("/metrics/self", &["Authorization: Bearer the token"]).text();
    assert!(own.contains(&format!("\nfleetgauge_http_unauthorized_total {refused}\n")), "{own}");
}

#[test]
fn health_checks_need_no_credential_and_do_not_reveal_the_fleet() {
    let files = Files::new();
    let collector = collector(&files);
    assert_eq!(collector.get("/healthz", &[]).text(), "ok\n");
    assert_eq!(collector.get("/readyz", &[]).text(), "ready\n");
}

#[test]
fn every_request_of_a_connection_is_authorized() {
    let files = Files::new();
    let collector = collector(&files);
    let mut stream = TcpStream::connect(collector.http).unwrap();
    let both = b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer the token\r\n\r\n\
        GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    std::io::Write::write_all(&mut stream, both).unwrap();
    stream.set_read_timeout(Some(crate::support::TEST_TIMEOUT)).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    let statuses: Vec<_> = answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["200", "401"]);
}
