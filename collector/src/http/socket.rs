//! The TCP connection under an HTTP connection. If it ends in the midst of a page, it ends with a reset.
//!
//! HTTP/1.0 knows no chunks: there the end of the connection is the end of the page, and a page that breaks off
//! looks complete. A reset does not, whoever causes it: also the kernel, when the process is killed.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tracing::debug;

use super::places::Visit;

/// A connection that is reset if it is closed while a page is under way.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    visit: Arc<Visit>,
    /// Closing it resets it.
    resets: bool,
}

impl Socket {
    /// The connection of this visit.
    pub(super) fn new(stream: TcpStream, visit: Arc<Visit>) -> Self {
        Self { stream, visit, resets: false }
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
        let resets = self.visit.is_under_way();
        self.reset_on_close(resets);
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let resets = self.visit.is_under_way();
        self.reset_on_close(resets);
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// HTTP and TLS have given all that they had: if the page has come to its end, the kernel has all of it.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        let resets = self.visit.flushed();
        self.reset_on_close(resets);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
