use std::pin::pin;

use fleetgauge_proto::message::{Message, Ping, Reject, Welcome};
use fleetgauge_proto::{AgentId, Code, Limits, VERSION};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::config::Config;
use crate::identity::{Host, IdSource};
use crate::test_log::Log;
use crate::tls::TlsSettings;

/// What has not happened by then never will. Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// One of a collector's addresses.
struct Address(TcpListener);

impl Address {
    async fn bind() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn at(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// The next connection, and the first byte that comes over it.
    async fn accept(&self) -> (TcpStream, u8) {
        let (mut stream, _) =
            timeout(PATIENCE, self.0.accept()).await.expect("nobody comes").unwrap();
        let first = timeout(PATIENCE, stream.read_u8()).await.expect("nothing comes").unwrap();
        (stream, first)
    }

    /// Answers the next connection with this Reject.
    async fn reject(&self, code: Code, retry_after_ms: Option<u32>) {
        reject(self.accept().await.0, code, retry_after_ms).await;
    }

    /// Answers the next connection with Welcome.
    async fn welcome(&self) -> TcpStream {
        let (mut stream, _) = self.accept().await;
        say(&mut stream, &welcome()).await;
        stream
    }

    /// Whether a connection waits to be accepted.
    async fn is_wanted(&self) -> bool {
        timeout(Duration::ZERO, self.0.accept()).await.is_ok()
    }
}

fn welcome() -> Message<'static> {
    Message::Welcome(Welcome {
        version: VERSION,
        capabilities: 0,
        session_id: 1,
        interval_ms: 1_000,
        limits: Limits::default(),
        schema_known: false,
        extensions: Vec::new(),
    })
}

async fn say(stream: &mut (impl AsyncWrite + Unpin), message: &Message<'_>) {
    let mut bytes = Vec::new();
    message.encode(VERSION, &mut bytes).unwrap();
    stream.write_all(&bytes).await.unwrap();
}

async fn reject(mut stream: TcpStream, code: Code, retry_after_ms: Option<u32>) {
    let code = code.to_u16();
    let reject = Message::Reject(Reject { stream: 0, code, text: "no", retry_after_ms });
    say(&mut stream, &reject).await;
    // A close with unread input would destroy the Reject on its way.
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
}

/// The seconds until the next attempt, as a line of the log says.
fn retry_in(line: &str) -> f64 {
    let (_, time) = line.rsplit_once("retry_in=").unwrap();
    let milliseconds = time.strip_suffix("ms").map(|ms| ms.parse::<f64>().unwrap() / 1e3);
    milliseconds.unwrap_or_else(|| time.strip_suffix('s').unwrap().parse().unwrap())
}

fn reporter() -> Reporter {
    let id = IdSource::Given(AgentId::try_new("web-1").unwrap());
    reporter_of(Config { id, ..Config::default() })
}

fn reporter_of(config: Config) -> Reporter {
    let agent = Agent::new(&config, &Host::default()).unwrap();
    let plan = Plan { id: agent.profile.id.clone(), interval: agent.profile.interval };
    Reporter::new(agent, watch::channel(None).1, watch::channel(plan).0)
}

/// Runs an agent of a collector with these addresses for as long as `test` takes.
async fn reporting(
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
        () = reporter.run(Control::new(shutdown, None)) => panic!("it has stopped"),
        () = test => {}
    }
}

#[tokio::test]
async fn an_address_that_accepts_and_hangs_gives_way_to_the_next() {
    let (hung, good) = (Address::bind().await, Address::bind().await);
    reporting(None, [&hung, &good], async {
        let held = hung.accept().await;
        assert_eq!(good.accept().await.1, b'F');
        drop(held);
    })
    .await;
}

#[tokio::test]
async fn an_address_that_rejects_gives_way_to_the_next_and_is_left_alone() {
    let (full, good) = (Address::bind().await, Address::bind().await);
    reporting(None, [&full, &good], async {
        full.reject(Code::Unauthorized, None).await;
        for _ in 0..2 {
            assert_eq!(good.accept().await.1, b'F');
        }
        assert!(!full.is_wanted().await, "it asked again where it was refused");
    })
    .await;
}

#[tokio::test]
async fn an_address_that_fails_in_tls_gives_way_to_the_next() {
    let key = rcgen::generate_simple_self_signed(["collector".to_owned()]).unwrap();
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), key.cert.pem()).unwrap();
    let tls = TlsSettings { ca: Some(ca.path().to_owned()), ..TlsSettings::default() };
    let (broken, good) = (Address::bind().await, Address::bind().await);
    reporting(Some(tls), [&broken, &good], async {
        let (mut stream, first) = broken.accept().await;
        assert_eq!(first, 0x16);
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        assert_eq!(good.accept().await.1, 0x16);
    })
    .await;
}

#[tokio::test]
async fn an_id_that_another_host_holds_is_not_tried_at_the_next_address() {
    let (first, second) = (Address::bind().await, Address::bind().await);
    reporting(None, [&first, &second], async {
        for _ in 0..2 {
            first.reject(Code::IdConflict, Some(100)).await;
            assert!(!second.is_wanted().await, "it went where its id is not known");
        }
    })
    .await;
}

#[tokio::test]
async fn only_a_round_that_fails_whole_makes_the_agent_wait() {
    let (first, second) = (Address::bind().await, Address::bind().await);
    reporting(None, [&first, &second], async {
        for round in 0..3 {
            drop(first.accept().await);
            assert!(!first.is_wanted().await, "round {round}");
            drop(second.accept().await);
        }
    })
    .await;
}

#[tokio::test]
async fn addresses_that_refuse_the_schema_are_left_alone() {
    let (first, second) = (Address::bind().await, Address::bind().await);
    let log = Log::default();
    let _logging = log.install();
    reporting(None, [&first, &second], async {
        for address in [&first, &second] {
            reject(address.welcome().await, Code::PageTooLarge, None).await;
        }
        let both = async {
            loop {
                let lines = log.lines().into_iter().filter(|line| line.contains("refused"));
                if let [one, both] = &*lines.collect::<Vec<_>>() {
                    assert!(one.contains(&format!("address={}", first.at())), "{one}");
                    return both.clone();
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            line = timeout(PATIENCE, both) => {
                let line = line.expect("no second line says refused");
                assert!(line.contains("page_too_large") && !line.contains("address="), "{line}");
                assert!(line.contains("advice=") && retry_in(&line) > 500.0, "{line}");
            }
            _ = first.accept() => panic!("it asked the first again"),
            _ = second.accept() => panic!("it asked the second again"),
        }
    })
    .await;
}

#[tokio::test]
async fn times_that_all_addresses_name_after_welcome_are_obeyed() {
    let (first, second) = (Address::bind().await, Address::bind().await);
    let log = Log::default();
    let _logging = log.install();
    reporting(None, [&first, &second], async {
        for (address, seconds) in [(&first, 300), (&second, 200)] {
            let stream = address.welcome().await;
            reject(stream, Code::TooManyReports, Some(seconds * 1_000)).await;
        }
        let lost = async {
            while log.lines().iter().filter(|line| line.contains("connection lost")).count() < 2 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, lost).await.expect("only one line says connection lost");
        let line = log.lines().pop().unwrap();
        assert!((190.0..=220.0).contains(&retry_in(&line)), "{line}");
    })
    .await;
}

#[tokio::test]
async fn an_address_that_closes_after_welcome_gives_way_to_the_next() {
    let (broken, good) = (Address::bind().await, Address::bind().await);
    reporting(None, [&broken, &good], async {
        drop(broken.welcome().await);
        let _held = good.welcome().await;
        assert!(!broken.is_wanted().await, "it went where its session broke");
    })
    .await;
}

#[tokio::test]
async fn an_address_that_hangs_after_welcome_gives_way_to_the_next() {
    let (hung, good) = (Address::bind().await, Address::bind().await);
    reporting(None, [&hung, &good], async {
        let (_answers, mut questions) = hung.welcome().await.into_split();
        // It asks and takes no answer, so the agent cannot write any more.
        let ask = async {
            let mut pings = Vec::new();
            for token in 0..10_000 {
                Message::Ping(Ping { token }).encode(VERSION, &mut pings).unwrap();
            }
            while questions.write_all(&pings).await.is_ok() {}
            std::future::pending::<()>().await;
        };
        let _held = tokio::select! {
            () = ask => None,
            (held, first) = good.accept() => {
                assert_eq!(first, b'F');
                Some(held)
            }
        };
        assert!(!hung.is_wanted().await, "it went where its session broke");
    })
    .await;
}

#[tokio::test]
async fn an_address_that_fails_in_tls_after_welcome_gives_way_to_the_next() {
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
    let (broken, good) = (Address::bind().await, Address::bind().await);
    reporting(Some(tls), [&broken, &good], async {
        let (stream, _) = broken.0.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        let mut record = vec![0; 1 << 14];
        let hello = stream.read(&mut record);
        assert_ne!(timeout(PATIENCE, hello).await.expect("no Hello").unwrap(), 0);
        say(&mut stream, &welcome()).await;
        // The agent has heard Welcome when it sends its Schema.
        let schema = stream.read(&mut record);
        assert_ne!(timeout(PATIENCE, schema).await.expect("no Schema").unwrap(), 0);
        let (mut stream, _) = stream.into_inner();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let (_held, first) = good.accept().await;
        assert_eq!(first, 0x16);
        assert!(!broken.is_wanted().await, "it went where its session broke");
    })
    .await;
}

#[tokio::test]
async fn a_refusal_is_logged_though_the_other_address_fails_otherwise() {
    let (refused, broken) = (Address::bind().await, Address::bind().await);
    for addresses in [[&refused, &broken], [&broken, &refused]] {
        let log = Log::default();
        let _logging = log.install();
        let line = async |part| timeout(PATIENCE, log.line_with(part)).await.expect(part);
        reporting(None, addresses, async {
            for address in addresses {
                if std::ptr::eq(address, &raw const refused) {
                    refused.reject(Code::TlsRequired, None).await;
                } else {
                    drop(broken.accept().await);
                }
            }
            let said = line("refused").await;
            assert!(said.contains("ERROR") && said.contains("tls_required"), "{said}");
            assert!(said.contains(&format!("address={}", refused.at())), "{said}");
            assert!(said.contains("set tls, or tls_ca") && retry_in(&said) > 500.0, "{said}");
            // The second round leaves out the address that has refused.
            drop(broken.accept().await);
            for attempt in ["no connection collector=127.0.0.1:45678 attempt=1", "attempt=2"] {
                let said = line(attempt).await;
                assert!(said.contains("tls_required"), "{said}");
                assert!(said.contains("set tls, or tls_ca"), "{said}");
            }
        })
        .await;
        let refusals = log.lines().iter().filter(|line| line.contains("ERROR")).count();
        assert_eq!(refusals, 1, "{:?}", log.lines());
    }
}

/// Counts a failure in all logs, and again, until the next is left out.
fn fill_logs(reporter: &mut Reporter) {
    for log in [&mut reporter.log, &mut reporter.session_log, &mut reporter.skipped_log] {
        *log = RetryLog::new(false);
        for _ in 0..2 {
            log.failed(Instant::now());
        }
    }
}

#[test]
fn a_turn_is_taken_though_the_other_address_fails_otherwise() {
    let mut reporter = reporter();
    let (to, seconds) = (reporter.agent.collector.clone(), Duration::from_secs);
    let all = [1, 2].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let turn = Failure::rejected(Code::HandshakesFull.to_u16(), "full", Some(seconds(2)));
    let conflict = Failure::rejected(Code::IdConflict.to_u16(), "no", Some(seconds(60)));
    for _ in 0..50 {
        reporter.note(&to, &all, all[0], &turn);
        let mut other = Failure::new("Connection refused");
        reporter.wait_for_first(&all, &mut other);
        let wait = reporter.failed(&to, &other).time;
        assert!(wait <= seconds(2).mul_f64(1.1), "{wait:?}");
        let mut conflict = conflict.clone();
        reporter.wait_for_first(&all, &mut conflict);
        assert!(reporter.failed(&to, &conflict).time >= seconds(60));
    }
}

#[test]
fn a_long_session_makes_the_next_failures_worth_a_line_again() {
    let mut reporter = reporter();
    fill_logs(&mut reporter);
    let to = reporter.agent.collector.clone();
    let ended = reporter.ended(&to, Ended::Lost(Lost::Closed), Some(STEADY_EVERY), true);
    assert!(ended.is_ok());
    for log in [&mut reporter.log, &mut reporter.session_log, &mut reporter.skipped_log] {
        assert_eq!(log.failed(Instant::now()), Some(1));
    }
}

#[test]
fn a_reload_makes_the_next_failures_worth_a_line_again() {
    let mut reporter = reporter();
    fill_logs(&mut reporter);
    let agent = reporter.agent.clone();
    let credentials = Credentials::default();
    reporter.adopt(Loaded { agent, credentials, log_changed: false });
    for log in [&mut reporter.log, &mut reporter.session_log, &mut reporter.skipped_log] {
        assert_eq!(log.failed(Instant::now()), Some(1));
    }
}
