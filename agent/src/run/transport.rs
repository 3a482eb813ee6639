//! The transport of a connection: TCP or TLS.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::socket::Socket;

/// First byte of every frame. No TLS record starts with it.
const FRAME_START: u8 = b'F';

/// The transport of a connection.
#[derive(Debug)]
pub(super) enum Transport {
    /// TCP without TLS.
    Plain(Socket),
    /// TLS over TCP.
    Tls(Box<TlsStream<HandshakeStream>>),
}

/// A socket for a TLS handshake. Detects a frame that arrives instead of TLS.
#[derive(Debug)]
pub(super) struct HandshakeStream {
    pub(super) stream: Socket,
    /// Received bytes of a frame that arrived instead of TLS.
    pub(super) frame: Vec<u8>,
    /// Whether the first bytes have been checked.
    checked: bool,
}

impl Transport {
    /// Reads what has already arrived. Returns the number of bytes; 0 after an error.
    pub(super) async fn read_now(&mut self, buffer: &mut [u8]) -> usize {
        let mut buffer = ReadBuf::new(buffer);
        poll_fn(|cx| {
            // Ready, pending or failed: what had arrived is in the buffer.
            let _ = Pin::new(&mut *self).poll_read(cx, &mut buffer);
            Poll::Ready(buffer.filled().len())
        })
        .await
    }
}

impl HandshakeStream {
    pub(super) const fn new(stream: Socket) -> Self {
        Self { stream, frame: Vec::new(), checked: false }
    }
}

impl AsyncRead for HandshakeStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let received = &buffer.filled()[before..];
        if !std::mem::replace(&mut self.checked, true) && received.first() == Some(&FRAME_START) {
            self.frame = received.to_vec();
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for HandshakeStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    /// After a TLS error, tokio-rustls writes once. Without vectored writes it would write only the
    /// first of several records and drop the alert with the reason.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
