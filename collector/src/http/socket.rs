//! The TCP socket of an HTTP connection. It sends a reset if it closes while a page is in flight.
//!
//! In HTTP/1.0, which has no chunks, the end of the connection is the end of the page. So a broken
//! page would look complete, but a reset is an error for the client. The kernel also sends the
//! reset if the collector's process is killed.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tracing::debug;

use super::connection::HttpConnection;

/// A TCP socket that sends a reset if it is closed while a page is in flight.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    connection: Arc<HttpConnection>,
    /// Whether closing the socket now sends a reset.
    resets: bool,
}

impl Socket {
    /// Wraps the TCP stream of this connection.
    pub(super) fn new(stream: TcpStream, connection: Arc<HttpConnection>) -> Self {
        Self { stream, connection, resets: false }
    }

    fn reset_on_close(&mut self, resets: bool) {
        if self.resets == resets {
            return;
        }
        let linger = resets.then_some(Duration::ZERO);
        match SockRef::from(&self.stream).set_linger(linger) {
            Ok(()) => self.resets = resets,
            Err(error) => debug!(%error, "cannot set socket options"),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let resets = self.connection.has_page_in_flight();
        self.reset_on_close(resets);
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let resets = self.connection.has_page_in_flight();
        self.reset_on_close(resets);
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// After a flush, hyper and rustls have nothing left to write. If the page is complete, all of
    /// it has been written to the kernel's socket buffer.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        let resets = self.connection.flushed();
        self.reset_on_close(resets);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
