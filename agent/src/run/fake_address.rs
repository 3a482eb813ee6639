//! A fake address of a collector, for tests.

use std::net::SocketAddr;
use std::time::Duration;

use fleetgauge_proto::message::{Message, Reject, Welcome};
use fleetgauge_proto::{Code, Limits, VERSION};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Time after which a test fails.
pub(super) const TEST_TIMEOUT: Duration = Duration::from_secs(60);

/// A listener that stands for one address of a collector.
pub(super) struct Address(pub(super) TcpListener);

impl Address {
    pub(super) async fn bind() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(super) fn at(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Accepts a connection. Returns it and its first byte.
    pub(super) async fn accept(&self) -> (TcpStream, u8) {
        let (mut stream, _) =
            timeout(TEST_TIMEOUT, self.0.accept()).await.expect("no connection").unwrap();
        let first = timeout(TEST_TIMEOUT, stream.read_u8()).await.expect("no data").unwrap();
        (stream, first)
    }

    /// Accepts a connection and sends Reject.
    pub(super) async fn reject(&self, code: Code, retry_after_ms: Option<u32>) {
        reject(self.accept().await.0, code, retry_after_ms).await;
    }

    /// Accepts a connection and sends Welcome.
    pub(super) async fn welcome(&self) -> TcpStream {
        let (mut stream, _) = self.accept().await;
        send(&mut stream, &welcome()).await;
        stream
    }

    /// Returns whether a connection waits to be accepted.
    pub(super) async fn has_connection(&self) -> bool {
        timeout(Duration::ZERO, self.0.accept()).await.is_ok()
    }
}

pub(super) fn welcome() -> Message<'static> {
    Message::Welcome(Welcome {
        version: VERSION,
        capabilities: 0,
        session_id: 1,
        interval_ms: 1_000,
        unix_ms: 1_767_225_600_000,
        limits: Limits::default(),
        catalogs_known: 0,
        extensions: Vec::new(),
    })
}

pub(super) async fn send(stream: &mut (impl AsyncWrite + Unpin), message: &Message<'_>) {
    let mut bytes = Vec::new();
    message.encode(VERSION, &mut bytes).unwrap();
    stream.write_all(&bytes).await.unwrap();
}

pub(super) async fn reject(mut stream: TcpStream, code: Code, retry_after_ms: Option<u32>) {
    let code = code.to_u16();
    let reject = Message::Reject(Reject { stream: 0, code, text: "no", retry_after_ms });
    send(&mut stream, &reject).await;
    // Closing with unread input could discard the Reject.
    let mut rest = Vec::new();
    let _ = timeout(TEST_TIMEOUT, stream.read_to_end(&mut rest)).await;
}
