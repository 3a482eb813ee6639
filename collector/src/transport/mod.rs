//! What a connection reads from and writes to: a socket as it is, or one under TLS.
//!
//! Either way it owns no buffer while it is idle. It reads through a buffer that is lent to it, and what is to be sent
//! goes out through its [`Connection`](crate::connection::Connection).

mod tls;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use tls::Tls;

use crate::budget::Budget;
use crate::tls::{PortTls, Proof};

/// A connection's stream.
#[derive(Debug)]
pub(crate) enum Transport {
    /// TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<Tls>),
}

/// What was read.
#[derive(Debug)]
pub(crate) enum Heard<'a> {
    /// TLS is established, and the peer has shown this for itself.
    Secured(Proof<'a>),
    /// What the peer sent.
    Bytes(&'a [u8]),
    /// The same, without TLS, where it begins as a client's first TLS record does.
    ClientHello(&'a [u8]),
    /// It will send no more.
    End,
}

/// Why nothing more can be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The socket failed.
    #[error(transparent)]
    Socket(#[from] io::Error),
    /// The peer broke TLS, or could not prove who it is.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// The peer sent a frame without TLS where TLS ought to begin.
    #[error("the peer does not speak TLS")]
    Plain,
    /// The peer closed the connection before TLS was established.
    #[error(
        "the peer closed the connection during the handshake; does it trust this collector's certificate?"
    )]
    Unfinished,
    /// There is no memory left for what it began and did not finish.
    #[error("no memory is left for an unfinished record")]
    Memory,
    /// It began what is longer than TLS allows.
    #[error("a handshake message or a record is longer than {} bytes", tls::RECORD_BYTES)]
    TooLong,
}

/// How a client's first TLS record begins: a handshake, of some version 3.
const CLIENT_HELLO: [u8; 2] = [0x16, 3];
/// A fatal TLS alert, `handshake_failure`, without encryption.
pub(crate) const HANDSHAKE_FAILURE: [u8; 7] = [0x15, 3, 1, 0, 2, 2, 40];

impl Transport {
    /// A connection that was just accepted, at a port with this TLS. What it keeps is taken of the `budget`; the stream
    /// comes back if there is not so much.
    pub(crate) fn over(
        stream: TcpStream,
        tls: Option<&Arc<PortTls>>,
        budget: &Arc<Budget>,
    ) -> Result<Self, TcpStream> {
        match tls {
            Some(port) => Tls::accept(stream, port, budget).map(|tls| Self::Tls(Box::new(tls))),
            None => Ok(Self::Plain(stream)),
        }
    }

    /// Reads once, through `scratch`, and tells `hear` what came. What TLS itself has to answer is appended to `answer`.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
        answer: &mut Vec<u8>,
        mut hear: impl FnMut(Heard<'_>),
    ) -> Poll<Result<(), Broken>> {
        match self {
            Self::Plain(stream) => {
                let mut buffer = ReadBuf::new(scratch);
                ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
                match buffer.filled() {
                    [] => hear(Heard::End),
                    bytes if bytes.starts_with(&CLIENT_HELLO) => hear(Heard::ClientHello(bytes)),
                    bytes => hear(Heard::Bytes(bytes)),
                }
                Poll::Ready(Ok(()))
            }
            Self::Tls(tls) => tls.poll_read(cx, scratch, answer, &mut hear),
        }
    }

    /// Writes bytes that are as they go over the wire.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Tls(tls) => tls.stream(),
        };
        Pin::new(stream).poll_write(cx, bytes)
    }

    /// What a session says, as it goes over the wire: nothing until TLS is established. If it is the last, it says so.
    pub(crate) fn seal(&mut self, bytes: Vec<u8>, is_last: bool) -> Vec<u8> {
        match self {
            Self::Plain(_) => bytes,
            Self::Tls(tls) => tls.seal(&bytes, is_last),
        }
    }

    /// The socket, for what can be said without TLS.
    pub(crate) fn into_stream(self) -> TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(tls) => tls.into_stream(),
        }
    }
}
