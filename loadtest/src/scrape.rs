//! Fetching a page as Prometheus does, but plain: what is judged is the page, not the compression.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How long a page may take: Prometheus' own patience.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest page taken, in bytes: a million agents' worth, so that a collector gone mad is not believed.
const MAX_PAGE_BYTES: usize = 512 * 1024 * 1024;

/// Why there is no page.
#[derive(Debug)]
#[expect(missing_docs, reason = "the texts below say what the variants are")]
pub enum ScrapeError {
    Io(io::Error),
    Http(hyper::Error),
    Request(hyper::http::Error),
    Status(StatusCode),
    ContentType(String),
    Encoding(String),
    TooLarge,
    NotText,
    TimedOut,
}

impl std::fmt::Display for ScrapeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Http(error) => match std::error::Error::source(error) {
                Some(source) => write!(f, "{error}: {source}"),
                None => write!(f, "{error}"),
            },
            Self::Request(error) => write!(f, "{error}"),
            Self::Status(status) => write!(f, "the answer was {status}"),
            Self::Encoding(given) => {
                write!(f, "the encoding was {given:?}, which was not asked for")
            }
            Self::ContentType(given) => write!(f, "the content type was {given:?}"),
            Self::TooLarge => write!(f, "it is larger than {MAX_PAGE_BYTES} bytes"),
            Self::NotText => f.write_str("it is not UTF-8"),
            Self::TimedOut => write!(f, "it took more than {} s", TIMEOUT.as_secs()),
        }
    }
}

impl std::error::Error for ScrapeError {}

impl From<io::Error> for ScrapeError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<hyper::Error> for ScrapeError {
    fn from(error: hyper::Error) -> Self {
        Self::Http(error)
    }
}

/// How a page comes over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Plain,
    /// Compressed, as Prometheus asks for it.
    Gzip,
}

impl Encoding {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
        }
    }
}

/// The page at `path`, over a connection of its own.
///
/// # Errors
/// Whatever keeps it from being there in one piece, in the format asked for and in time.
pub async fn fetch(http: SocketAddr, path: &str) -> Result<String, ScrapeError> {
    let mut page = Vec::new();
    fetch_into(http, path, |piece| page.extend_from_slice(piece)).await?;
    String::from_utf8(page).map_err(|_| ScrapeError::NotText)
}

/// The same, given to `take` piece by piece as it comes; its length in bytes.
///
/// # Errors
/// The same, but for what is no text: the pieces that came before have been taken.
pub async fn fetch_into(
    http: SocketAddr,
    path: &str,
    take: impl FnMut(&[u8]),
) -> Result<usize, ScrapeError> {
    fetch_as(http, path, Encoding::Plain, take).await
}

/// The same in another encoding, as it comes over the wire.
///
/// # Errors
/// The same.
pub async fn fetch_as(
    http: SocketAddr,
    path: &str,
    encoding: Encoding,
    take: impl FnMut(&[u8]),
) -> Result<usize, ScrapeError> {
    let page = tokio::time::timeout(TIMEOUT, fetch_unbounded(http, path, encoding, take));
    page.await.map_err(|_| ScrapeError::TimedOut)?
}

async fn fetch_unbounded(
    http: SocketAddr,
    path: &str,
    encoding: Encoding,
    take: impl FnMut(&[u8]),
) -> Result<usize, ScrapeError> {
    let stream = TcpStream::connect(http).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header("Host", http.to_string())
        .header("Accept", "text/plain;version=0.0.4")
        .header("Accept-Encoding", if encoding == Encoding::Gzip { "gzip" } else { "identity" })
        .body(Empty::<Bytes>::new())
        .map_err(ScrapeError::Request)?;
    let answered = async {
        let response = sender.send_request(request).await?;
        check_head(&response, encoding)?;
        read_body(response.into_body(), take).await
    };
    // The connection only moves while it is polled, and ends after the answer: no task outlives the scrape.
    let mut connection = std::pin::pin!(connection);
    let mut answered = std::pin::pin!(answered);
    tokio::select! {
        page = &mut answered => page,
        ended = &mut connection => {
            ended?;
            answered.await
        }
    }
}

fn check_head(response: &Response<Incoming>, encoding: Encoding) -> Result<(), ScrapeError> {
    if response.status() != StatusCode::OK {
        return Err(ScrapeError::Status(response.status()));
    }
    let given = response.headers().get("Content-Type").map(|given| given.as_bytes());
    let given = String::from_utf8_lossy(given.unwrap_or_default());
    if !given.starts_with("text/plain; version=0.0.4") {
        return Err(ScrapeError::ContentType(given.into_owned()));
    }
    let encoded = response.headers().get("Content-Encoding").map(|given| given.as_bytes());
    if encoded == (encoding == Encoding::Gzip).then_some(b"gzip") {
        Ok(())
    } else {
        Err(ScrapeError::Encoding(
            String::from_utf8_lossy(encoded.unwrap_or_default()).into_owned(),
        ))
    }
}

async fn read_body(mut body: Incoming, mut take: impl FnMut(&[u8])) -> Result<usize, ScrapeError> {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            bytes += data.len();
            if bytes > MAX_PAGE_BYTES {
                return Err(ScrapeError::TooLarge);
            }
            take(&data);
        }
    }
    Ok(bytes)
}
