//! A socket that fails if its peer accepts nothing.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// Time in which the peer must accept some of the unsent bytes. A first report has up to a
/// megabyte, so a slow link may take longer for all of them.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// A socket whose writes fail with `TimedOut` if the peer accepts no byte for [`WRITE_TIMEOUT`].
///
/// TLS runs on top of it: bytes count as accepted when the TCP socket accepts them, not when TLS
/// does.
#[derive(Debug)]
pub(super) struct Socket<S = TcpStream> {
    stream: S,
    /// Ends the write that waits; `None` while none waits.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> Socket<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self { stream, timer: None }
    }

    /// Returns `result`, or an error if writes have waited for too long.
    fn progress<T>(
        &mut self,
        result: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.timer = None;
            return result;
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(WRITE_TIMEOUT)));
        ready!(timer.as_mut().poll(cx));
        let stalled = format!("the collector accepted no bytes for {WRITE_TIMEOUT:?}");
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, stalled)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.progress(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, buffers);
        self.progress(written, cx)
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::{Instant, timeout};

    use super::*;

    const BEFORE_TIMEOUT: Duration = Duration::from_millis(9_900);
    /// Bytes that the peer's socket holds.
    const BUFFER: usize = 100;

    #[tokio::test(start_paused = true)]
    async fn write_takes_as_long_as_the_peer_accepts_bytes() {
        let (stream, mut peer) = duplex(BUFFER);
        let mut socket = Socket::new(stream);
        let bytes = vec![1; 20 * BUFFER];
        let read = async {
            let mut received = vec![0; bytes.len()];
            for chunk in received.chunks_mut(BUFFER) {
                sleep(BEFORE_TIMEOUT).await;
                peer.read_exact(chunk).await.unwrap();
            }
            received
        };
        let started = Instant::now();
        let (written, received) = tokio::join!(socket.write_all(&bytes), read);
        written.unwrap();
        assert_eq!(received, bytes);
        assert!(started.elapsed() > 19 * BEFORE_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn write_fails_once_the_peer_accepts_nothing_for_10_s() {
        let (stream, mut peer) = duplex(BUFFER);
        let mut socket = Socket::new(stream);
        let bytes = [1; 3 * BUFFER];
        let mut write = Box::pin(socket.write_all(&bytes));
        assert!(timeout(BEFORE_TIMEOUT, &mut write).await.is_err(), "failed too early");
        peer.read_exact(&mut [0; BUFFER]).await.unwrap();
        assert!(timeout(BEFORE_TIMEOUT, &mut write).await.is_err(), "the timeout was not reset");
        let error = timeout(WRITE_TIMEOUT, write).await.expect("no failure").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "the collector accepted no bytes for 10s");
    }

    #[tokio::test(start_paused = true)]
    async fn time_between_writes_does_not_count() {
        let (stream, _peer) = duplex(BUFFER);
        let mut socket = Socket::new(stream);
        for _ in 0..3 {
            socket.write_all(&[1]).await.unwrap();
            sleep(2 * WRITE_TIMEOUT).await;
        }
    }
}
