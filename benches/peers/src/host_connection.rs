//! The connection of a host to a server, and the reports over it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::SendRequest;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;

use crate::address;
use crate::http::{self, Counted};
use crate::peer::{LaunchOptions, Protocol, ReportMode};
use crate::reading::Reading;
use crate::session::Session;

/// An open connection.
enum Connection {
    Stream(Counted),
    Http(SendRequest<Full<Bytes>>),
    Session(Box<Session>),
}

/// Connects a host to a server when it reports. Keeps the connection if the report mode requires
/// it.
pub struct HostConnection {
    report_mode: ReportMode,
    options: Arc<LaunchOptions>,
    host: usize,
    written: Arc<AtomicU64>,
    connection: Option<Connection>,
}

impl HostConnection {
    /// Creates a host without connecting it. Adds the number of bytes written to `written`.
    #[must_use]
    pub const fn new(
        report_mode: ReportMode,
        options: Arc<LaunchOptions>,
        host: usize,
        written: Arc<AtomicU64>,
    ) -> Self {
        Self { report_mode, options, host, written, connection: None }
    }

    /// Sends the readings. Waits for the response, or only for the write if the protocol has no
    /// responses.
    /// Returns the number of bytes without protocol overhead.
    ///
    /// # Errors
    /// If the connection fails or the server refuses the report. The connection is then closed.
    pub async fn report(&mut self, readings: &[Reading]) -> anyhow::Result<usize> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let payload = self.send(&mut connection, readings).await?;
        if self.report_mode.keep_alive {
            self.connection = Some(connection);
        }
        Ok(payload)
    }

    async fn connect(&self) -> anyhow::Result<Connection> {
        Ok(match self.report_mode.protocol {
            Protocol::Stream(_) => Connection::Stream(self.dial(self.options.tcp).await?),
            Protocol::Request(_) => {
                Connection::Http(http::open(self.dial(self.options.http).await?).await?)
            }
            Protocol::Session => {
                let stream = self.dial(self.options.tcp).await?;
                let LaunchOptions { kind, interval, .. } = *self.options;
                let session = Session::open(stream, kind, self.host, interval).await?;
                Connection::Session(Box::new(session))
            }
            Protocol::Pulled => bail!("a pulled host does not connect"),
        })
    }

    async fn dial(&self, server: SocketAddr) -> anyhow::Result<Counted> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((address::of(self.host), 0).into())?;
        let stream = socket.connect(server).await.context("connecting")?;
        stream.set_nodelay(true)?;
        Ok(Counted::new(stream, Arc::clone(&self.written)))
    }

    async fn send(
        &self,
        connection: &mut Connection,
        readings: &[Reading],
    ) -> anyhow::Result<usize> {
        match (connection, self.report_mode.protocol) {
            (Connection::Stream(stream), Protocol::Stream(encode)) => {
                let bytes = encode(readings);
                stream.write_all(&bytes).await?;
                Ok(bytes.len())
            }
            (Connection::Http(sender), Protocol::Request(encode)) => {
                self.request(sender, encode(readings)?).await
            }
            (Connection::Session(session), _) => session.report(readings).await,
            _ => bail!("the connection does not match the protocol"),
        }
    }

    async fn request(
        &self,
        sender: &mut SendRequest<Full<Bytes>>,
        mut request: Request<Bytes>,
    ) -> anyhow::Result<usize> {
        if !self.report_mode.keep_alive {
            request.headers_mut().insert("Connection", "close".parse()?);
        }
        let payload = request.body().len();
        let response = http::send(sender, self.options.http, request).await?;
        let status = response.status();
        let answer = response.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            bail!("status {status}: {}", String::from_utf8_lossy(&answer).trim());
        }
        Ok(payload)
    }
}
