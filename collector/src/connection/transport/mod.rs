//! The transport of a connection: a TCP socket, or TLS over one.
//!
//! An idle transport owns no buffer: it reads into a buffer of the caller. Unsent bytes are kept by
//! the [`Connection`](crate::connection::Connection).

mod tls;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use tls::Tls;

use crate::limits::memory_budget::MemoryBudget;
use crate::tls::{PortTls, PresentedChain};

/// The byte stream of an agent's connection.
#[derive(Debug)]
pub(crate) enum Transport {
    /// TCP without TLS.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<Tls>),
}

/// What a read returned.
#[derive(Debug)]
pub(crate) enum ReadEvent<'a> {
    /// The TLS handshake has finished, and the peer has presented this certificate chain.
    Established(PresentedChain<'a>),
    /// Bytes from the peer, decrypted if the connection uses TLS.
    Bytes(&'a [u8]),
    /// Bytes on a plain port that look like the first record of a TLS client.
    ClientHello(&'a [u8]),
    /// The peer has closed its sending side.
    End,
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    /// Reading from the socket failed.
    #[error(transparent)]
    Socket(#[from] io::Error),
    /// A TLS protocol error, or an invalid client certificate.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// The peer sent a frame in plain text on a port with TLS.
    #[error("the peer does not speak TLS")]
    Plain,
    /// The peer closed the connection before TLS was established.
    #[error(
        "the peer closed the connection during the handshake; check that it trusts this \
         collector's certificate"
    )]
    Unfinished,
    /// The memory limit does not allow the collector to keep an incomplete TLS record.
    #[error("memory limit reached with an incomplete TLS record")]
    Memory,
    /// A TLS record or handshake message is too long.
    #[error("a TLS record or handshake message exceeds {} bytes", tls::RECORD_BYTES)]
    TooLong,
}

/// Start of a client's first TLS record: a handshake record, version 3.x.
const CLIENT_HELLO: [u8; 2] = [0x16, 3];
/// A fatal TLS alert, `handshake_failure`, without encryption.
pub(crate) const HANDSHAKE_FAILURE: [u8; 7] = [0x15, 3, 1, 0, 2, 2, 40];

impl Transport {
    /// Wraps an accepted stream, with TLS if the port has it. Returns the stream if the memory
    /// budget is exhausted.
    pub(crate) fn over(
        stream: TcpStream,
        tls: Option<&Arc<PortTls>>,
        budget: &Arc<MemoryBudget>,
    ) -> Result<Self, TcpStream> {
        match tls {
            Some(port) => Tls::accept(stream, port, budget).map(|tls| Self::Tls(Box::new(tls))),
            None => Ok(Self::Plain(stream)),
        }
    }

    /// Reads once into `scratch` and passes the result to `on_event`. Appends TLS handshake
    /// messages and alerts for the peer to `answer`.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
        answer: &mut Vec<u8>,
        mut on_event: impl FnMut(ReadEvent<'_>),
    ) -> Poll<Result<(), TransportError>> {
        match self {
            Self::Plain(stream) => {
                let mut buffer = ReadBuf::new(scratch);
                ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
                match buffer.filled() {
                    [] => on_event(ReadEvent::End),
                    bytes if bytes.starts_with(&CLIENT_HELLO) => {
                        on_event(ReadEvent::ClientHello(bytes))
                    }
                    bytes => on_event(ReadEvent::Bytes(bytes)),
                }
                Poll::Ready(Ok(()))
            }
            Self::Tls(tls) => tls.poll_read(cx, scratch, answer, &mut on_event),
        }
    }

    /// Writes bytes to the socket that [`Self::seal`] has prepared, or that are not to be
    /// encrypted.
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

    /// Prepares output of the session for the socket. With TLS, encrypts it, and appends a close
    /// notification to the last output. Before the end of the TLS handshake, output is dropped.
    pub(crate) fn seal(&mut self, bytes: Vec<u8>, is_last: bool) -> Vec<u8> {
        match self {
            Self::Plain(_) => bytes,
            Self::Tls(tls) => tls.seal(&bytes, is_last),
        }
    }

    /// Returns the socket.
    pub(crate) fn into_stream(self) -> TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(tls) => tls.into_stream(),
        }
    }
}
