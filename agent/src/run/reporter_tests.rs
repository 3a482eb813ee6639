use std::pin::pin;

use fleetgauge_proto::message::{Message, Reject};
use fleetgauge_proto::{AgentId, Code, VERSION};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::config::Config;
use crate::identity::{Host, IdSource};
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
        let (mut stream, _) = self.accept().await;
        let mut bytes = Vec::new();
        let code = code.to_u16();
        let reject = Message::Reject(Reject { stream: 0, code, text: "no", retry_after_ms });
        reject.encode(VERSION, &mut bytes).unwrap();
        stream.write_all(&bytes).await.unwrap();
        // What it sent unread would destroy the Reject on its way.
        let mut rest = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    }

    /// Whether a connection waits to be accepted.
    async fn is_wanted(&self) -> bool {
        timeout(Duration::ZERO, self.0.accept()).await.is_ok()
    }
}

/// Runs an agent of a collector with these addresses for as long as `test` takes.
async fn reporting(
    tls: Option<TlsSettings>,
    addresses: [&Address; 2],
    test: impl Future<Output = ()>,
) {
    let id = IdSource::Given(AgentId::try_new("web-1").unwrap());
    let config = Config { id, tls, ..Config::default() };
    let agent = Agent::new(&config, &Host::default()).unwrap();
    let plan = Plan { id: agent.profile.id.clone(), interval: agent.profile.interval };
    let (_newest, samples) = watch::channel(None);
    let mut reporter = Reporter::new(agent, samples, watch::channel(plan).0);
    reporter.resolver = Resolver::Fixed(addresses.map(Address::at).to_vec());
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
