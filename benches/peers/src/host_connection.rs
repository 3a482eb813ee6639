//! A host's end: its connection to a server, made when it is wanted and kept or not, and what it says over it.

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
use crate::peer::{Dialect, Link, Place};
use crate::reading::Reading;
use crate::session::Session;

/// A connection that is there.
enum Connection {
    Stream(Counted),
    Http(SendRequest<Full<Bytes>>),
    Session(Box<Session>),
}

/// One host's way to a server.
pub struct Line {
    link: Link,
    place: Arc<Place>,
    host: usize,
    written: Arc<AtomicU64>,
    connection: Option<Connection>,
}

impl Line {
    /// The line of a host, not connected yet. Bytes written are added to `written`.
    #[must_use]
    pub const fn new(link: Link, place: Arc<Place>, host: usize, written: Arc<AtomicU64>) -> Self {
        Self { link, place, host, written, connection: None }
    }

    /// Reports, and is back when the answer is there or, where none is given, when all is written. The bytes
    /// of the report itself.
    ///
    /// # Errors
    /// The server was not reached or refused; the connection is gone then.
    pub async fn report(&mut self, readings: &[Reading]) -> anyhow::Result<usize> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let payload = self.say(&mut connection, readings).await?;
        if self.link.kept {
            self.connection = Some(connection);
        }
        Ok(payload)
    }

    async fn connect(&self) -> anyhow::Result<Connection> {
        Ok(match self.link.dialect {
            Dialect::Stream(_) => Connection::Stream(self.dial(self.place.tcp).await?),
            Dialect::Request(_) => {
                Connection::Http(http::open(self.dial(self.place.http).await?).await?)
            }
            Dialect::Session => {
                let stream = self.dial(self.place.tcp).await?;
                let session = Session::open(stream, self.host, self.place.interval).await?;
                Connection::Session(Box::new(session))
            }
            Dialect::Pulled => bail!("who is pulled does not connect"),
        })
    }

    async fn dial(&self, server: SocketAddr) -> anyhow::Result<Counted> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((address::of(self.host), 0).into())?;
        let stream = socket.connect(server).await.context("connecting")?;
        stream.set_nodelay(true)?;
        Ok(Counted::new(stream, Arc::clone(&self.written)))
    }

    async fn say(&self, over: &mut Connection, readings: &[Reading]) -> anyhow::Result<usize> {
        match (over, self.link.dialect) {
            (Connection::Stream(stream), Dialect::Stream(encode)) => {
                let bytes = encode(readings);
                stream.write_all(&bytes).await?;
                Ok(bytes.len())
            }
            (Connection::Http(sender), Dialect::Request(encode)) => {
                self.ask(sender, encode(readings)?).await
            }
            (Connection::Session(session), _) => session.report(readings).await,
            _ => bail!("the connection is of another kind"),
        }
    }

    async fn ask(
        &self,
        sender: &mut SendRequest<Full<Bytes>>,
        mut request: Request<Bytes>,
    ) -> anyhow::Result<usize> {
        if !self.link.kept {
            request.headers_mut().insert("Connection", "close".parse()?);
        }
        let payload = request.body().len();
        let response = http::send(sender, self.place.http, request).await?;
        let status = response.status();
        let answer = response.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            bail!("answered with {status}: {}", String::from_utf8_lossy(&answer).trim());
        }
        Ok(payload)
    }
}
