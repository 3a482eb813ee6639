use std::net::SocketAddr;
use std::pin::pin;

use fleetgauge_proto::message::{Message, Ping};
use fleetgauge_proto::{AgentId, Code, VERSION};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::client::Terms;
use crate::config::Config;
use crate::identity::{Host, IdSource};
use crate::run::candidates::Resolved;
use crate::run::fake_address::{Address, TEST_TIMEOUT, reject, send, welcome};
use crate::test_log::Log;
use crate::tls::TlsSettings;

/// Returns `retry_in` of a log line, in seconds.
pub(super) fn retry_in(line: &str) -> f64 {
    let (_, time) = line.rsplit_once("retry_in=").unwrap();
    let milliseconds = time.strip_suffix("ms").map(|ms| ms.parse::<f64>().unwrap() / 1e3);
    milliseconds.unwrap_or_else(|| time.strip_suffix('s').unwrap().parse().unwrap())
}

pub(super) fn reporter() -> Reporter {
    let id = IdSource::Given(AgentId::try_new("web-1").unwrap());
    reporter_of(Config { id, ..Config::default() })
}

pub(super) fn reporter_of(config: Config) -> Reporter {
    let agent = Agent::new(&config, &Host::default()).unwrap();
    let plan = SamplingPlan {
        id: agent.profile.id.clone(),
        interval: agent.profile.interval,
        metrics: agent.metrics.clone(),
        terms: Terms::default(),
    };
    let recorder = Recorder::new(agent.log, Instant::now(), Duration::ZERO);
    Reporter::new(agent, watch::channel(None).1, watch::channel(plan).0, Arc::new(recorder))
}

/// Runs a reporter with these addresses while `test` runs.
async fn with_reporter(
    tls: Option<TlsSettings>,
    addresses: [&Address; 2],
    test: impl Future<Output = ()>,
) {
    let id = IdSource::Given(AgentId::try_new("web-1").unwrap());
    let config = Config { id, tls, ..Config::default() };
    let mut reporter = reporter_of(config);
    reporter.resolver = addresses.map(Address::at).to_vec().into();
    let shutdown = pin!(std::future::pending());
    tokio::select! {
        () = reporter.run(Control::new(shutdown, None)) => panic!("the reporter stopped"),
        () = test => {}
    }
}

/// Binds two addresses. Returns them in the order in which the agent tries them.
pub(super) async fn ordered() -> (Address, Address) {
    let mut two = [Address::bind().await, Address::bind().await];
    let endpoint = Endpoint::default();
    let resolved = Resolved::new(endpoint.clone(), two.each_ref().map(Address::at).to_vec());
    let id = AgentId::try_new("web-1").unwrap();
    let first = Candidates::new(&id, None, vec![(Collector::Endpoint(endpoint), Ok(resolved))]).all
        [0]
    .address;
    two.sort_by_key(|address| address.at() != first);
    two.into()
}

#[tokio::test]
async fn next_address_is_tried_if_one_accepts_and_hangs() {
    let (hung, good) = ordered().await;
    with_reporter(None, [&hung, &good], async {
        let held = hung.accept().await;
        assert_eq!(good.accept().await.1, b'F');
        drop(held);
    })
    .await;
}

#[tokio::test]
async fn next_address_is_tried_if_one_rejects_which_is_then_paused() {
    let (full, good) = ordered().await;
    with_reporter(None, [&full, &good], async {
        full.reject(Code::Unauthorized, None).await;
        for _ in 0..2 {
            assert_eq!(good.accept().await.1, b'F');
        }
        assert!(!full.has_connection().await, "the agent retried the address that rejected it");
    })
    .await;
}

#[tokio::test]
async fn next_address_is_tried_if_one_fails_the_tls_handshake() {
    let key = rcgen::generate_simple_self_signed(["collector".to_owned()]).unwrap();
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), key.cert.pem()).unwrap();
    let tls = TlsSettings { ca: Some(ca.path().to_owned()), ..TlsSettings::default() };
    let (broken, good) = ordered().await;
    with_reporter(Some(tls), [&broken, &good], async {
        let (mut stream, first) = broken.accept().await;
        assert_eq!(first, 0x16);
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        assert_eq!(good.accept().await.1, 0x16);
    })
    .await;
}

#[tokio::test]
async fn no_other_address_is_tried_after_an_id_conflict() {
    let (first, second) = ordered().await;
    with_reporter(None, [&first, &second], async {
        for _ in 0..2 {
            first.reject(Code::IdConflict, Some(100)).await;
            assert!(!second.has_connection().await, "the agent tried the next address");
        }
    })
    .await;
}

#[tokio::test]
async fn delay_follows_only_a_round_in_which_all_addresses_failed() {
    let (first, second) = ordered().await;
    with_reporter(None, [&first, &second], async {
        for round in 0..3 {
            drop(first.accept().await);
            assert!(!first.has_connection().await, "round {round}");
            drop(second.accept().await);
        }
    })
    .await;
}

#[tokio::test]
async fn addresses_that_reject_the_catalog_are_paused() {
    let (first, second) = ordered().await;
    let log = Log::default();
    let _logging = log.install();
    with_reporter(None, [&first, &second], async {
        for address in [&first, &second] {
            reject(address.welcome().await, Code::PageTooLarge, None).await;
        }
        let both = async {
            loop {
                let lines =
                    log.lines().into_iter().filter(|line| line.contains("connection rejected"));
                if let [one, both] = &*lines.collect::<Vec<_>>() {
                    assert!(one.contains(&format!("address={}", first.at())), "{one}");
                    return both.clone();
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            line = timeout(TEST_TIMEOUT, both) => {
                let line = line.expect("no second line about a rejected connection");
                assert!(line.contains("page_too_large") && !line.contains("address="), "{line}");
                assert!(line.contains("advice=") && retry_in(&line) > 500.0, "{line}");
            }
            _ = first.accept() => panic!("the agent retried the first address"),
            _ = second.accept() => panic!("the agent retried the second address"),
        }
    })
    .await;
}

#[tokio::test]
async fn requested_delays_after_welcome_are_kept() {
    let (first, second) = ordered().await;
    let log = Log::default();
    let _logging = log.install();
    with_reporter(None, [&first, &second], async {
        for (address, seconds) in [(&first, 300), (&second, 200)] {
            let stream = address.welcome().await;
            reject(stream, Code::TooManyReports, Some(seconds * 1_000)).await;
        }
        let lost = async {
            while log.lines().iter().filter(|line| line.contains("connection lost")).count() < 2 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(TEST_TIMEOUT, lost).await.expect("only one line about a lost connection");
        let line = log.lines().pop().unwrap();
        assert!((190.0..=220.0).contains(&retry_in(&line)), "{line}");
    })
    .await;
}

#[tokio::test]
async fn next_address_is_tried_if_one_closes_after_welcome() {
    let (broken, good) = ordered().await;
    with_reporter(None, [&broken, &good], async {
        drop(broken.welcome().await);
        let _held = good.welcome().await;
        assert!(
            !broken.has_connection().await,
            "the agent returned to the address of the lost session"
        );
    })
    .await;
}

#[tokio::test]
async fn next_address_is_tried_if_one_hangs_after_welcome() {
    let (hung, good) = ordered().await;
    with_reporter(None, [&hung, &good], async {
        let (_unread, mut writer) = hung.welcome().await.into_split();
        // The address sends Pings and reads no Pong, until the agent cannot write.
        let ping = async {
            let mut pings = Vec::new();
            for token in 0..10_000 {
                Message::Ping(Ping { token }).encode(VERSION, &mut pings).unwrap();
            }
            while writer.write_all(&pings).await.is_ok() {}
            std::future::pending::<()>().await;
        };
        let _held = tokio::select! {
            () = ping => None,
            (held, first) = good.accept() => {
                assert_eq!(first, b'F');
                Some(held)
            }
        };
        assert!(
            !hung.has_connection().await,
            "the agent returned to the address of the lost session"
        );
    })
    .await;
}

#[tokio::test]
async fn next_address_is_tried_after_a_tls_error_in_a_session() {
    let made = rcgen::generate_simple_self_signed(["collector".to_owned()]).unwrap();
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), made.cert.pem()).unwrap();
    let tls = TlsSettings {
        ca: Some(ca.path().to_owned()),
        server_name: Some(ServerName::try_from("collector").unwrap()),
        ..TlsSettings::default()
    };
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (broken, good) = ordered().await;
    with_reporter(Some(tls), [&broken, &good], async {
        let (stream, _) = broken.0.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        let mut record = vec![0; 1 << 14];
        let hello = stream.read(&mut record);
        assert_ne!(timeout(TEST_TIMEOUT, hello).await.expect("no Hello").unwrap(), 0);
        send(&mut stream, &welcome()).await;
        // A Catalog means that the agent received Welcome.
        let catalog = stream.read(&mut record);
        assert_ne!(timeout(TEST_TIMEOUT, catalog).await.expect("no Catalog").unwrap(), 0);
        let (mut stream, _) = stream.into_inner();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let (_held, first) = good.accept().await;
        assert_eq!(first, 0x16);
        assert!(
            !broken.has_connection().await,
            "the agent returned to the address of the lost session"
        );
    })
    .await;
}

#[tokio::test]
async fn rejected_connection_is_logged_if_the_other_address_fails_differently() {
    let (first, second) = ordered().await;
    for (rejecting, broken) in [(&first, &second), (&second, &first)] {
        let addresses = [&first, &second];
        let log = Log::default();
        let _logging = log.install();
        let line = async |part| timeout(TEST_TIMEOUT, log.line_with(part)).await.expect(part);
        with_reporter(None, addresses, async {
            for address in addresses {
                if std::ptr::eq(address, rejecting) {
                    rejecting.reject(Code::TlsRequired, None).await;
                } else {
                    drop(broken.accept().await);
                }
            }
            let said = line("connection rejected").await;
            assert!(said.contains("ERROR") && said.contains("tls_required"), "{said}");
            assert!(said.contains(&format!("address={}", rejecting.at())), "{said}");
            assert!(said.contains("enable TLS") && retry_in(&said) > 500.0, "{said}");
            // The second round skips the paused address.
            drop(broken.accept().await);
            for attempt in ["connection failed collector=127.0.0.1:45678 attempt=1", "attempt=2"] {
                let said = line(attempt).await;
                assert!(said.contains("tls_required"), "{said}");
                assert!(said.contains("enable TLS"), "{said}");
            }
        })
        .await;
        let rejections = log.lines().iter().filter(|line| line.contains("ERROR")).count();
        assert_eq!(rejections, 1, "{:?}", log.lines());
    }
}

/// Counts failures in all rate limiters until the next one is not logged.
fn fill_logs(reporter: &mut Reporter) {
    for log in [&mut reporter.round_log, &mut reporter.session_log, &mut reporter.address_log] {
        *log = RetryLog::new(false);
        for _ in 0..2 {
            log.failed(Instant::now());
        }
    }
}

#[test]
fn retry_slot_is_used_if_the_other_address_fails_differently() {
    let mut reporter = reporter();
    let seconds = Duration::from_secs;
    let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let all = [1, 2].map(|port| Candidate::new(Endpoint::default(), address(port)));
    let slot = Failure::rejected(Code::HandshakesFull.to_u16(), "full", Some(seconds(2)));
    let conflict = Failure::rejected(Code::IdConflict.to_u16(), "no", Some(seconds(60)));
    for _ in 0..50 {
        reporter.record_failure(&all, &all[0], &slot);
        let mut other = Failure::new("Connection refused");
        reporter.set_retry(&all, &mut other);
        let delay = reporter.round_failed(&other).duration;
        assert!(delay <= seconds(2).mul_f64(1.1), "{delay:?}");
        let mut conflict = conflict.clone();
        reporter.set_retry(&all, &mut conflict);
        assert!(reporter.round_failed(&conflict).duration >= seconds(60));
    }
}

#[test]
fn long_session_resets_the_rate_limiters() {
    let mut reporter = reporter();
    fill_logs(&mut reporter);
    let endpoint = Endpoint::default();
    let lost = SessionEnd::Lost(Lost::Closed);
    let attempt = reporter.session_ended(&endpoint, lost, Some(MAX_SILENCE), true);
    assert!(attempt.is_ok());
    for log in [&mut reporter.round_log, &mut reporter.session_log, &mut reporter.address_log] {
        assert_eq!(log.failed(Instant::now()), Some(1));
    }
}

#[test]
fn reload_resets_the_rate_limiters() {
    let mut reporter = reporter();
    fill_logs(&mut reporter);
    let agent = reporter.agent.clone();
    let credentials = Credentials::default();
    reporter.apply_settings(LoadedSettings { agent, credentials, log_changed: false });
    for log in [&mut reporter.round_log, &mut reporter.session_log, &mut reporter.address_log] {
        assert_eq!(log.failed(Instant::now()), Some(1));
    }
}
