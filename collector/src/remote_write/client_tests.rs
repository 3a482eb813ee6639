use std::io::Write;

use fleetgauge_common::http_client::HttpUrl;
use fleetgauge_common::tls_client::{TlsSettings, server_name};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tempfile::NamedTempFile;
use tokio::net::TcpSocket;
use tokio_rustls::TlsAcceptor;

use super::super::fake_engine::{Answer, FakeEngine, response};
use super::*;
use crate::config::{Compression, Protocol};

/// Timeout of requests that must not time out.
const LONG: Duration = Duration::from_secs(60);

/// Returns the settings of a destination without TLS and authentication.
fn settings(url: &str) -> DestinationSettings {
    DestinationSettings {
        name: "test".into(),
        url: HttpUrl::parse(url, "").unwrap().unwrap(),
        tls: None,
        auth: HttpAuth::None,
        headers: HeaderMap::new(),
        protocol: Protocol::V1,
        compression: Compression::Auto,
        rules: Arc::default(),
        durable: true,
        out_of_order: false,
        lanes: 1,
        max_samples: 1,
        max_queue_bytes: 1,
        flush_delay: Duration::ZERO,
        timeout: LONG,
        max_age: LONG,
        metadata_interval: LONG,
        own_metrics: false,
        own_instance: None,
    }
}

fn settings_of(engine: &FakeEngine) -> DestinationSettings {
    settings(&format!("http://127.0.0.1:{}/api/v1/write?key=hunter2", engine.port))
}

async fn send(client: &mut Client) -> Reply {
    client.send(Bytes::from_static(b"body"), Encoding::Snappy).await
}

/// Sends one request to an engine that gives this answer.
async fn outcome(answer: Answer) -> Outcome {
    let engine = FakeEngine::start([answer]).await;
    let outcome = send(&mut Client::new(&settings_of(&engine))).await.outcome;
    // Without a connection of an earlier request there is nothing to repeat.
    assert_eq!(engine.received().len(), 1);
    outcome
}

/// Returns the problem of a request that failed without an answer.
fn connect_problem(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::RetryLater { after: None, why: RetryReason::Connect(problem) } => problem,
        other => panic!("{other:?}"),
    }
}

fn ok() -> Answer {
    Answer::Keep(response(204, "", ""))
}

#[tokio::test]
async fn request_has_the_headers_of_remote_write() {
    let engine = FakeEngine::start([ok()]).await;
    let mut settings = settings_of(&engine);
    settings.headers.insert("x-scope-orgid", HeaderValue::from_static("fleet"));
    let mut client = Client::new(&settings);
    assert_eq!(send(&mut client).await.outcome, Outcome::Accepted);
    let body = Bytes::from(vec![b'x'; 1 << 20]);
    assert_eq!(client.send(body, Encoding::Zstd).await.outcome, Outcome::Accepted);
    let [first, second] = &engine.received()[..] else { panic!("not two requests") };
    assert!(first.head.starts_with("POST /api/v1/write?key=hunter2 HTTP/1.1\r\n"));
    for line in [
        &format!("host: 127.0.0.1:{}", engine.port),
        "content-type: application/x-protobuf",
        "content-encoding: snappy",
        "content-length: 4",
        "x-prometheus-remote-write-version: 0.1.0",
        concat!("user-agent: fleetgauge-collector/", env!("CARGO_PKG_VERSION")),
        "x-scope-orgid: fleet",
    ] {
        assert!(first.head.lines().any(|header| header == line), "{line}: {}", first.head);
    }
    assert!(!first.head.contains("authorization"));
    assert!(second.head.lines().any(|header| header == "content-encoding: zstd"));
    assert_eq!((&first.body[..], second.body.len()), (&b"body"[..], 1 << 20));
    assert!(!format!("{client:?}").contains("hunter2"));
}

#[tokio::test]
async fn answers_are_classified() {
    let body = "out of order sample\n";
    let excerpt = || "out of order sample".to_owned();
    let rejected = |status| Outcome::Rejected { status, excerpt: excerpt() };
    let failed = |status| Outcome::Failed { status, excerpt: excerpt() };
    let retry = |status, after: Option<u64>| {
        let why = RetryReason::Status { status, excerpt: excerpt() };
        Outcome::RetryLater { after: after.map(Duration::from_secs), why }
    };
    for (status, headers, expected) in [
        (200, "", Outcome::Accepted),
        (204, "", Outcome::Accepted),
        (400, "", rejected(400)),
        (409, "", rejected(409)),
        (413, "", Outcome::TooLarge),
        (415, "", Outcome::Unsupported { status: 415 }),
        (401, "", failed(401)),
        (404, "", failed(404)),
        (429, "Retry-After: 7\r\n", retry(429, Some(7))),
        (503, "Retry-After: 86400\r\n", retry(503, Some(300))),
        (500, "", retry(500, None)),
    ] {
        let body = if status == 204 { "" } else { body };
        assert_eq!(outcome(Answer::Keep(response(status, headers, body))).await, expected);
    }
}

#[tokio::test]
async fn request_of_version_2_has_its_headers() {
    let written = "X-Prometheus-Remote-Write-Samples-Written: 0\r\n";
    let engine = FakeEngine::start([Answer::Keep(response(204, written, ""))]).await;
    let settings = DestinationSettings { protocol: Protocol::V2, ..settings_of(&engine) };
    assert_eq!(send(&mut Client::new(&settings)).await.outcome, Outcome::Accepted);
    for line in [
        "content-type: application/x-protobuf;proto=io.prometheus.write.v2.Request",
        "content-encoding: snappy",
        "x-prometheus-remote-write-version: 2.0.0",
    ] {
        let head = &engine.received()[0].head;
        assert!(head.lines().any(|header| header == line), "{line}: {head}");
    }
}

/// Sends requests of remote write 2.0 on one connection.
async fn outcomes_of_version_2(answers: &[(u16, &str)]) -> Vec<Outcome> {
    let answers = answers.iter().map(|(status, headers)| response(*status, headers, ""));
    let engine = FakeEngine::start(answers.clone().map(Answer::Keep)).await;
    let settings = DestinationSettings { protocol: Protocol::V2, ..settings_of(&engine) };
    let mut client = Client::new(&settings);
    let mut outcomes = Vec::new();
    for _ in answers {
        outcomes.push(send(&mut client).await.outcome);
    }
    outcomes
}

/// It may have decoded an empty request of remote write 1.0.
#[tokio::test]
async fn success_without_confirmation_of_version_2_is_none() {
    let written = "X-Prometheus-Remote-Write-Samples-Written: 1\r\n";
    let unsupported = |status| Outcome::Unsupported { status };
    let outcomes = outcomes_of_version_2(&[(200, ""), (204, ""), (200, written), (204, "")]).await;
    assert_eq!(outcomes, [unsupported(200), unsupported(204), Outcome::Accepted, unsupported(204)]);
}

#[tokio::test]
async fn bad_request_is_about_the_samples_once_version_2_is_confirmed() {
    let written = "X-Prometheus-Remote-Write-Samples-Written: 0\r\n";
    let unsupported = |status| Outcome::Unsupported { status };
    let rejected = |status| Outcome::Rejected { status, excerpt: String::new() };
    let outcomes =
        outcomes_of_version_2(&[(400, ""), (415, ""), (409, ""), (400, written), (400, "")]).await;
    assert_eq!(
        outcomes,
        [unsupported(400), unsupported(415), rejected(409), rejected(400), rejected(400)]
    );
}

#[tokio::test]
async fn confirmation_counts_for_all_lanes() {
    let written = "X-Prometheus-Remote-Write-Samples-Written: 0\r\n";
    let answers = [response(204, written, ""), response(400, "", "")];
    let engine = FakeEngine::start(answers.map(Answer::Keep)).await;
    let settings = DestinationSettings { protocol: Protocol::V2, ..settings_of(&engine) };
    let confirmation = Arc::default();
    let mut clients = [(); 2].map(|()| Client::new(&settings).sharing(&confirmation));
    assert_eq!(send(&mut clients[0]).await.outcome, Outcome::Accepted);
    let rejected = Outcome::Rejected { status: 400, excerpt: String::new() };
    assert_eq!(send(&mut clients[1]).await.outcome, rejected);
}

#[tokio::test]
async fn redirect_is_not_followed() {
    let other = FakeEngine::start([ok()]).await;
    let location = format!("Location: http://127.0.0.1:{}/hunter2\r\n", other.port);
    let excerpt = format!("redirect to 127.0.0.1:{}", other.port);
    for status in [301, 302, 307, 308] {
        let expected = Outcome::Failed { status, excerpt: excerpt.clone() };
        assert_eq!(outcome(Answer::Keep(response(status, &location, ""))).await, expected);
    }
    assert!(other.received().is_empty());
}

#[tokio::test]
async fn clock_offset_is_returned_with_the_outcome() {
    let ahead = SystemTime::now() + Duration::from_secs(3600);
    let date = format!("Date: {}\r\n", httpdate::fmt_http_date(ahead));
    let engine = FakeEngine::start([Answer::Keep(response(200, &date, ""))]).await;
    let reply = send(&mut Client::new(&settings_of(&engine))).await;
    let offset = reply.clock_offset.unwrap();
    // The request takes some of the time.
    assert!((3600 - 60..=3600).contains(&offset), "{offset}");
}

#[tokio::test]
async fn connection_is_used_again() {
    let engine = FakeEngine::start([
        Answer::Keep(response(500, "", "an error is no reason to connect again")),
        ok(),
    ]);
    let engine = engine.await;
    let mut client = Client::new(&settings_of(&engine));
    for _ in 0..3 {
        send(&mut client).await;
    }
    assert_eq!(engine.connections(), [0, 0, 0]);
}

#[tokio::test]
async fn closed_idle_connection_is_replaced_at_once() {
    let engine = FakeEngine::start([Answer::Close(response(204, "", ""))]).await;
    let mut client = Client::new(&settings_of(&engine));
    for _ in 0..3 {
        assert_eq!(send(&mut client).await.outcome, Outcome::Accepted);
    }
    assert_eq!(engine.connections(), [0, 1, 2]);
}

#[tokio::test]
async fn request_is_repeated_once_if_a_kept_connection_closes_without_an_answer() {
    let close = || Answer::Close(Vec::new());
    let engine = FakeEngine::start([ok(), close(), ok(), close(), close(), ok()]).await;
    let mut client = Client::new(&settings_of(&engine));
    assert_eq!(send(&mut client).await.outcome, Outcome::Accepted);
    assert_eq!(send(&mut client).await.outcome, Outcome::Accepted);
    assert_eq!(engine.connections(), [0, 0, 1]);
    connect_problem(&send(&mut client).await.outcome);
    assert_eq!(engine.connections(), [0, 0, 1, 1, 2]);
    assert_eq!(send(&mut client).await.outcome, Outcome::Accepted);
}

#[tokio::test]
async fn answer_that_is_not_http_is_a_connection_error() {
    for garbage in [
        &b"SSH-2.0-OpenSSH_9.2\r\n\r\n"[..],
        b"\x16\x03\x01\0\0",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"",
    ] {
        let outcome = outcome(Answer::Close(garbage.to_vec())).await;
        assert!(!connect_problem(&outcome).is_empty());
    }
}

#[tokio::test]
async fn endless_headers_are_a_connection_error() {
    let start = b"HTTP/1.1 200 OK\r\n".to_vec();
    connect_problem(&outcome(Answer::Endless(start.clone(), b"a: b\r\n".to_vec())).await);
    connect_problem(&outcome(Answer::Endless(start, vec![b'a'; 4096])).await);
}

#[tokio::test]
async fn endless_body_is_cut_off() {
    for headers in ["", "Content-Length: 99999999999\r\n"] {
        let head = format!("HTTP/1.1 400 Bad Request\r\n{headers}\r\n").into_bytes();
        let endless = Answer::Endless(head, vec![b'x'; 4096]);
        let engine = FakeEngine::start([endless, ok()]).await;
        let mut client = Client::new(&settings_of(&engine));
        let expected = Outcome::Rejected { status: 400, excerpt: "x".repeat(200) + "..." };
        assert_eq!(send(&mut client).await.outcome, expected);
        assert_eq!(send(&mut client).await.outcome, Outcome::Accepted);
        assert_eq!(engine.connections(), [0, 1]);
        // The buffers of the sockets have some megabytes.
        assert!(engine.endless_bytes() < 32 << 20, "{}", engine.endless_bytes());
    }
}

#[tokio::test]
async fn status_counts_if_the_body_never_ends() {
    let start = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab".to_vec();
    for answer in [Answer::Hang(start.clone()), Answer::Close(start)] {
        assert_eq!(outcome(answer).await, Outcome::Accepted);
    }
}

#[tokio::test]
async fn answer_before_the_body_is_read_counts() {
    let engine = FakeEngine::start([Answer::Early(response(413, "", "")), ok()]).await;
    let mut client = Client::new(&settings_of(&engine));
    // More than the buffers of a connection have room for.
    let large = Bytes::from(vec![b'x'; 64 << 20]);
    assert_eq!(client.send(large, Encoding::Snappy).await.outcome, Outcome::TooLarge);
    // The rest of the first request must not delay the second until the timeout.
    assert_eq!(send(&mut client).await.outcome, Outcome::Accepted);
    assert_eq!(engine.connections(), [0, 1]);
}

#[tokio::test]
async fn hung_engine_is_a_timeout() {
    let engine = FakeEngine::start([Answer::Hang(Vec::new())]).await;
    let mut settings = settings_of(&engine);
    settings.timeout = Duration::from_millis(50);
    let expected = RetryReason::Timeout(settings.timeout);
    let mut client = Client::new(&settings);
    for _ in 0..2 {
        let Outcome::RetryLater { after: None, why } = send(&mut client).await.outcome else {
            panic!()
        };
        assert_eq!(why, expected);
    }
}

#[tokio::test]
async fn closed_port_and_unknown_name_are_retried() {
    // A port that is bound but does not listen refuses connections.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/", socket.local_addr().unwrap());
    let problem = send(&mut Client::new(&settings(&url))).await.outcome;
    assert!(connect_problem(&problem).contains("refused"), "{problem:?}");
    // RFC 6761: no resolver finds this name. Without a network, the lookup can time out.
    let unknown = send(&mut Client::new(&settings("http://engine.invalid/"))).await.outcome;
    let Outcome::RetryLater { why, .. } = unknown else { panic!("{unknown:?}") };
    assert!(matches!(why.reason(), "connect" | "timeout"), "{why}");
}

#[tokio::test]
async fn changed_token_is_used_for_the_next_request() {
    let engine = FakeEngine::start([ok()]).await;
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(b"first\n").unwrap();
    let mut settings = settings_of(&engine);
    settings.auth = HttpAuth::Bearer { token_file: file.path().into() };
    let mut client = Client::new(&settings);
    send(&mut client).await;
    std::fs::write(file.path(), "second\n").unwrap();
    send(&mut client).await;
    std::fs::write(file.path(), "hunter2 hunter2\n").unwrap();
    let Outcome::RetryLater { why, .. } = send(&mut client).await.outcome else { panic!() };
    assert_eq!(why.reason(), "credentials");
    assert!(!why.to_string().contains("hunter2"), "{why}");
    let received = engine.received();
    for (request, token) in received.iter().zip(["first", "second"]) {
        assert!(request.head.contains(&format!("authorization: Bearer {token}\r\n")));
    }
    assert_eq!(received.len(), 2);
}

/// Returns the TLS side of an engine called `engine`, and a file with its certificate.
fn tls() -> (TlsAcceptor, NamedTempFile) {
    let made = rcgen::generate_simple_self_signed(["engine".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(made.cert.pem().as_bytes()).unwrap();
    (TlsAcceptor::from(Arc::new(config)), file)
}

#[tokio::test]
async fn certificate_must_have_the_name_of_the_engine() {
    let (acceptor, ca) = tls();
    let engine = FakeEngine::with_tls([ok()], Some(acceptor)).await;
    let with = |name: Option<&str>, ca: Option<&NamedTempFile>| {
        let mut settings = settings(&format!("https://127.0.0.1:{}/w", engine.port));
        let server_name = name.map(|name| server_name(name).unwrap());
        let ca = ca.map(|ca| ca.path().into());
        settings.tls = Some(TlsSettings { ca, server_name, ..TlsSettings::default() });
        Client::new(&settings)
    };
    let mut right = with(Some("engine"), Some(&ca));
    assert_eq!(send(&mut right).await.outcome, Outcome::Accepted);
    let outcome = send(&mut with(None, Some(&ca))).await.outcome;
    let problem = connect_problem(&outcome);
    assert!(problem.contains("is for another name; set tls_server_name"), "{problem}");
    let (_, other) = tls();
    let outcome = send(&mut with(Some("engine"), Some(&other))).await.outcome;
    let problem = connect_problem(&outcome);
    assert!(problem.contains("no trusted CA signed the certificate"), "{problem}");
    assert_eq!(engine.received().len(), 1);
}
