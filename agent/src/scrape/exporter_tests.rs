use std::io::Write;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use fleetgauge_common::http_client::HttpAuth;

use super::super::fake_exporter::{Answer, FakeExporter, page, response};
use super::*;
use crate::config::ScrapeTarget;
use crate::tables::exposition;
use crate::tls::TlsSettings;

const LABELS: &str = "instance=\"here\",job=\"test\"";

/// Scrapes once. Returns the samples without their labels.
async fn scrape(exporter: &mut Exporter) -> Result<Vec<String>, ScrapeError> {
    exporter.scrape().await;
    let lines = exposition::lines(&[], &exporter.output);
    let scraped = exporter.scraped();
    let plain = |line: String| line.replace(&format!("{{{LABELS}}}"), "");
    scraped.result.clone().map(|_| lines.into_iter().map(plain).collect())
}

/// Scrapes an exporter with this answer once.
async fn scrape_answer(answer: Answer) -> Result<Vec<String>, ScrapeError> {
    let fake = FakeExporter::start(answer).await;
    scrape(&mut Exporter::new(&fake.settings())).await
}

/// Scrapes once and returns the stable name of the error and its text.
async fn failure(answer: Answer) -> (&'static str, String) {
    let error = scrape_answer(answer).await.unwrap_err();
    (error.reason(), error.to_string())
}

fn gzip(page: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(page).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn request_accepts_the_formats_that_prometheus_accepts() {
    let fake = FakeExporter::start(page("a 1\n")).await;
    let settings = fake.settings();
    assert_eq!(scrape(&mut Exporter::new(&settings)).await, Ok(vec!["a 1".to_owned()]));
    let ScrapeTarget::Tcp { port, .. } = settings.target else { panic!() };
    let (_, request) = fake.requests().remove(0);
    let mut lines: Vec<_> = request.trim_end().split("\r\n").collect();
    assert_eq!(lines.remove(0), "GET /metrics?x=1 HTTP/1.1");
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "accept-encoding: identity",
            "accept: application/openmetrics-text;version=1.0.0,\
             application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,\
             */*;q=0.1",
            &format!("host: 127.0.0.1:{port}"),
            concat!("user-agent: fleetgauge-agent/", env!("CARGO_PKG_VERSION")),
            "x-prometheus-scrape-timeout-seconds: 60",
        ]
    );
}

#[tokio::test]
async fn connection_is_reused_and_opened_again_if_the_exporter_closed_it() {
    let fake = FakeExporter::start(page("a 1\n")).await;
    let mut exporter = Exporter::new(&fake.settings());
    scrape(&mut exporter).await.unwrap();
    scrape(&mut exporter).await.unwrap();
    // The response does not say that the connection is closed after it.
    fake.set_answer(Answer::Close(response("", b"a 2\n")));
    assert_eq!(scrape(&mut exporter).await, Ok(vec!["a 2".to_owned()]));
    assert_eq!(scrape(&mut exporter).await, Ok(vec!["a 2".to_owned()]));
    fake.set_answer(Answer::Close(Vec::new()));
    assert_eq!(scrape(&mut exporter).await.unwrap_err().reason(), "connect");
    let connections: Vec<_> = fake.requests().iter().map(|(number, _)| *number).collect();
    assert_eq!(connections[..4], [0, 0, 0, 1]);
    assert!(connections.len() <= 6, "{connections:?}");
}

#[tokio::test]
async fn bodies_of_all_framings_are_read() {
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                    3\r\na 1\r\n6\r\n\nb{x=\"\r\n5\r\n1\"} 2\r\n1\r\n\n\r\n0\r\n\r\n";
    let result = scrape_answer(Answer::Keep(chunked.to_vec())).await.unwrap();
    assert_eq!(result, ["a 1".to_owned(), format!("b{{{LABELS},x=\"1\"}} 2")]);
    let old = b"HTTP/1.0 200 OK\r\n\r\na 1\n".to_vec();
    assert_eq!(scrape_answer(Answer::Close(old)).await.unwrap(), ["a 1"]);
    let empty = Answer::Keep(response("", b""));
    assert_eq!(scrape_answer(empty).await, Ok(Vec::new()));
    let large = "a 1\n".repeat(5_000);
    assert_eq!(scrape_answer(page(&large)).await.unwrap(), ["a 1"]);
}

#[tokio::test]
async fn pages_that_end_early_are_errors() {
    let short = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\na 1\n".to_vec();
    assert_eq!(failure(Answer::Close(short)).await.0, "connect");
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na 1\n\r\n".to_vec();
    assert_eq!(failure(Answer::Close(chunked)).await.0, "connect");
    let head = b"HTTP/1.1 200 OK\r\nContent-Le".to_vec();
    assert_eq!(failure(Answer::Close(head)).await.0, "connect");
    let openmetrics = "Content-Type: application/openmetrics-text; version=1.0.0\r\n";
    let body = response(openmetrics, b"a 1\n");
    assert_eq!(failure(Answer::Close(body)).await.0, "cut_off");
    let mut cut = gzip("a 1\n".repeat(1000).as_bytes());
    cut.truncate(cut.len() - 5);
    let body = response("Content-Encoding: gzip\r\n", &cut);
    assert_eq!(failure(Answer::Keep(body)).await.0, "encoding");
}

#[tokio::test]
async fn half_a_line_fails_the_page() {
    let (reason, text) = failure(page("a 1\nb{x=\"1")).await;
    assert_eq!(reason, "bad_line");
    assert!(text.starts_with("line 2 has a quote that is not closed"), "{text}");
    let (reason, _) = failure(page("a 1 NaN\n")).await;
    assert_eq!(reason, "bad_line");
}

#[tokio::test]
async fn compressed_page_is_read() {
    let answer = Answer::Keep(response("Content-Encoding: GZIP\r\n", &gzip(b"a 1\n")));
    assert_eq!(scrape_answer(answer).await.unwrap(), ["a 1"]);
    for coding in ["br", "gzip, gzip", "\u{1}"] {
        let headers = format!("Content-Encoding: {coding}\r\n");
        let (reason, _) = failure(Answer::Keep(response(&headers, &gzip(b"a 1\n")))).await;
        assert!(["encoding", "connect"].contains(&reason), "{coding:?} {reason}");
    }
    let broken = Answer::Keep(response("Content-Encoding: gzip\r\n", b"a 1\n"));
    assert_eq!(failure(broken).await.0, "encoding");
}

#[tokio::test]
async fn page_of_a_gigabyte_ends_at_the_limit() {
    let line = b"# just a comment, for ever and ever and ever\n".repeat(1000);
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n".to_vec();
    let (reason, text) = failure(Answer::Endless(head, line.clone())).await;
    assert_eq!((reason, &*text), ("too_large", "the page is longer than 1048576 bytes"));
    let bomb = gzip(&line.repeat(100));
    assert!(bomb.len() < 1 << 18);
    let answer = Answer::Keep(response("Content-Encoding: gzip\r\n", &bomb));
    assert_eq!(failure(answer).await.0, "too_large");
}

#[tokio::test]
async fn page_with_too_many_series_is_refused() {
    let many: String = (0..100_000).map(|n| format!("a{{x=\"{n}\"}} 1\n")).collect();
    let fake = FakeExporter::start(page(&many)).await;
    let settings = ScrapeSettings { max_size: 1 << 30, ..fake.settings() };
    let mut exporter = Exporter::new(&settings);
    assert_eq!(scrape(&mut exporter).await.unwrap_err().reason(), "too_many_samples");
    fake.set_answer(page("a 1\n"));
    assert_eq!(scrape(&mut exporter).await, Ok(vec!["a 1".to_owned()]));
}

#[tokio::test]
async fn headers_are_limited() {
    for head in [format!("X: {}\r\n", "x".repeat(1_000_000)), "X: y\r\n".repeat(100)] {
        assert_eq!(failure(Answer::Keep(response(&head, b"a 1\n"))).await.0, "connect");
    }
    let endless = Answer::Endless(b"HTTP/1.1 200 OK\r\n".to_vec(), b"X: y\r\n".repeat(100));
    assert_eq!(failure(endless).await.0, "connect");
}

#[tokio::test]
async fn redirect_is_an_error_that_names_the_host() {
    for (location, host) in [
        ("http://user:hunter2@other.example:1/hunter2?hunter2", "other.example:1"),
        ("/hunter2", "another path of the same host"),
        ("", "another path of the same host"),
    ] {
        let answer = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\n\r\n");
        let (reason, text) = failure(Answer::Close(answer.into_bytes())).await;
        assert_eq!(reason, "redirect");
        assert!(text.contains(host) && !text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn other_statuses_and_content_types_are_errors() {
    for status in [204, 401, 404, 500, 503] {
        let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 4\r\n\r\na 1\n");
        let (reason, text) = failure(Answer::Keep(answer.into_bytes())).await;
        assert_eq!(reason, "http_status");
        assert!(text.ends_with(&status.to_string()), "{text}");
    }
    for kind in ["text/html", "Text/HTML; charset=utf-8", "application/vnd.google.protobuf"] {
        let headers = format!("Content-Type: {kind}\r\n");
        let (reason, text) = failure(Answer::Keep(response(&headers, b"a 1\n"))).await;
        assert_eq!(reason, "content_type");
        assert!(text.contains(kind), "{text}");
    }
    for kind in ["text/plain", "", "x", "application/octet-stream"] {
        let headers = format!("Content-Type: {kind}\r\n");
        let result = scrape_answer(Answer::Keep(response(&headers, b"a 1\n"))).await;
        assert_eq!(result.unwrap(), ["a 1"], "{kind}");
    }
}

#[tokio::test]
async fn format_of_the_page_may_change() {
    let fake = FakeExporter::start(page("# TYPE a counter\na_total 1\n")).await;
    let mut exporter = Exporter::new(&fake.settings());
    assert_eq!(scrape(&mut exporter).await.unwrap(), ["a_total 1"]);
    let headers = "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";
    let openmetrics = response(headers, b"# TYPE a counter\na_total 2\n# EOF\n");
    fake.set_answer(Answer::Keep(openmetrics));
    assert_eq!(scrape(&mut exporter).await.unwrap(), ["a_total 2"]);
    assert_eq!(scrape(&mut exporter).await.unwrap(), ["a_total 2"]);
}

#[tokio::test(start_paused = true)]
async fn exporter_that_does_not_answer_times_out() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\na 1\n".to_vec();
    for answer in [Answer::Hang, Answer::Keep(head)] {
        let (reason, text) = failure(answer).await;
        assert_eq!((reason, &*text), ("timeout", "no complete page within 60000 ms"));
    }
}

#[tokio::test]
async fn samples_of_a_failed_page_do_not_reappear() {
    let fake = FakeExporter::start(page("a 1\nb 1\n")).await;
    let mut exporter = Exporter::new(&fake.settings());
    scrape(&mut exporter).await.unwrap();
    for bad in ["a 2\nb\n", "c 2\nb\n", "a 2\nb 2\nc\n", "x\n"] {
        fake.set_answer(page(bad));
        scrape(&mut exporter).await.unwrap_err();
        fake.set_answer(page("c 3\nb 3\n"));
        assert_eq!(scrape(&mut exporter).await.unwrap(), ["b 3", "c 3"]);
        fake.set_answer(page("a 4\nb 4\n"));
        assert_eq!(scrape(&mut exporter).await.unwrap(), ["a 4", "b 4"]);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn unix_socket_is_scraped() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("exporter.sock");
    let fake = FakeExporter::on_socket(page("a 1\n"), &socket);
    let target = ScrapeTarget::Unix { socket, path: "/metrics".into() };
    let settings = ScrapeSettings { target, ..fake.settings() };
    assert_eq!(scrape(&mut Exporter::new(&settings)).await.unwrap(), ["a 1"]);
    assert!(fake.requests()[0].1.contains("host: localhost\r\n"));
}

/// Returns an acceptor for 127.0.0.1, and the certificate that signed its own.
fn tls_acceptor() -> (tokio_rustls::TlsAcceptor, String) {
    let names = vec!["127.0.0.1".to_owned()];
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(names).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    (tokio_rustls::TlsAcceptor::from(Arc::new(config)), cert.pem())
}

#[tokio::test]
async fn certificate_of_a_private_ca_is_verified() {
    let (acceptor, own) = tls_acceptor();
    let (_, other) = tls_acceptor();
    let fake = FakeExporter::with_tls(page("a 1\n"), Some(acceptor)).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    let mut settings = fake.settings();
    let ScrapeTarget::Tcp { tls, .. } = &mut settings.target else { panic!() };
    *tls = Some(TlsSettings { ca: Some(file.clone()), ..TlsSettings::default() });
    let mut exporter = Exporter::new(&settings);

    assert_eq!(scrape(&mut exporter).await.unwrap_err().reason(), "credentials");
    std::fs::write(&file, other).unwrap();
    let error = scrape(&mut exporter).await.unwrap_err();
    assert_eq!(error.reason(), "connect");
    std::fs::write(&file, own).unwrap();
    assert_eq!(scrape(&mut exporter).await.unwrap(), ["a 1"]);
    assert_eq!(scrape(&mut exporter).await.unwrap(), ["a 1"]);
    assert_eq!(fake.requests().iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1; 2]);
}

#[tokio::test]
async fn credentials_are_read_before_every_scrape() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let fake = FakeExporter::start(page("a 1\n")).await;
    let path = file.path().to_path_buf();
    let basic = HttpAuth::Basic { username: "me".into(), password_file: path.clone() };
    for (auth, headers) in [
        (basic, ["authorization: Basic bWU6b25l\r\n", "authorization: Basic bWU6dHdv\r\n"]),
        (
            HttpAuth::Bearer { token_file: path.clone() },
            ["authorization: Bearer one\r\n", "authorization: Bearer two\r\n"],
        ),
    ] {
        let mut exporter = Exporter::new(&ScrapeSettings { auth, ..fake.settings() });
        for (secret, header) in ["one", "two"].iter().zip(headers) {
            std::fs::write(&path, secret).unwrap();
            scrape(&mut exporter).await.unwrap();
            let (_, request) = fake.requests().pop().unwrap();
            assert!(request.contains(header), "{request}");
        }
        std::fs::write(&path, "hun\0ter2").unwrap();
        let error = scrape(&mut exporter).await.unwrap_err();
        assert_eq!(error.reason(), "credentials");
        assert!(!error.to_string().contains("hun"), "{error}");
        let shown = format!("{exporter:?}");
        assert!(!shown.contains("two") && !shown.contains("bWU6"), "{shown}");
    }
}
