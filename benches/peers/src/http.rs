//! HTTP client, and a stream that counts the bytes written.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::bail;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Maximum time to fetch a page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// A page as received.
#[derive(Debug)]
pub struct Page {
    /// The body, compressed or not.
    pub body: Bytes,
    /// Whether the body is compressed.
    pub compressed: bool,
}

impl Page {
    /// The body as text; meaningful only if it is not compressed.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Fetches a page over a new connection.
///
/// # Errors
/// If the connection fails or the status is not 200.
pub async fn get(address: SocketAddr, path: &str, gzip: bool) -> anyhow::Result<Page> {
    let request =
        Request::get(path).header("Accept-Encoding", if gzip { "gzip" } else { "identity" });
    let request = request.body(Bytes::new())?;
    let fetch = async {
        let stream = TcpStream::connect(address).await?;
        let response = send(&mut open(stream).await?, address, request).await?;
        if response.status() != 200 {
            bail!("GET {path}: status {}", response.status());
        }
        let compressed = response.headers().contains_key("Content-Encoding");
        Ok(Page { body: response.into_body().collect().await?.to_bytes(), compressed })
    };
    timeout(PAGE_TIMEOUT, fetch).await?
}

/// Starts an HTTP/1.1 client on a connection.
///
/// # Errors
/// If hyper refuses the stream.
pub async fn open<S>(stream: S) -> hyper::Result<SendRequest<Full<Bytes>>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // The task ends with the sender, which also gets its errors.
    tokio::spawn(async { drop(connection.await) });
    Ok(sender)
}

/// Sends a request whose URI is a path, with a `Host` header.
///
/// # Errors
/// If the connection fails.
pub async fn send(
    sender: &mut SendRequest<Full<Bytes>>,
    address: SocketAddr,
    mut request: Request<Bytes>,
) -> anyhow::Result<Response<Incoming>> {
    request.headers_mut().insert("Host", address.to_string().parse()?);
    sender.ready().await?;
    Ok(sender.send_request(request.map(Full::new)).await?)
}

/// A connection that counts the bytes written.
pub struct Counted {
    stream: TcpStream,
    written: Arc<AtomicU64>,
}

impl Counted {
    /// Wraps a connection. Adds the number of bytes written to `written`.
    #[must_use]
    pub const fn new(stream: TcpStream, written: Arc<AtomicU64>) -> Self {
        Self { stream, written }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = polled {
            self.written.fetch_add(written as u64, Ordering::Relaxed);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
