//! Fetches a page as Prometheus does: plain, or gzip with its checksum and length verified.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use flate2::write::GzDecoder;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

/// Timeout of a scrape, as in Prometheus.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// Time to render and to judge a series of a page, on two cores that agents and collectors share.
pub const SERIES_TIME: Duration = Duration::from_nanos(1_500);

/// Returns the timeout of a scrape that is judged while it arrives: twice the expected time if that
/// is longer than [`TIMEOUT`]. The judge takes most of it, so a large page must not fail for that.
#[must_use]
pub fn judged_timeout(series: u64) -> Duration {
    let series = u32::try_from(2 * series).unwrap_or(u32::MAX);
    TIMEOUT.max(SERIES_TIME.saturating_mul(series))
}

/// Maximum size of a page, in bytes: enough for a million agents of six series, or for forty
/// million series.
const MAX_PAGE_BYTES: usize = 4 << 30;

/// Token of the load test's HTTP user. Collectors without a file of users ignore it.
pub const TOKEN: &str = "loadtest";
/// SHA-256 of [`TOKEN`], for files of users.
pub const TOKEN_DIGEST: &str = "823938033bec9a33a44aa40618f9d5e31ccf5625754870bc3f95510d8cbba0b0";

/// Content type of the Prometheus text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4";

/// Why a scrape failed.
#[derive(Debug)]
#[expect(missing_docs, reason = "the texts below say what the variants are")]
pub enum ScrapeError {
    Io(io::Error),
    Http(hyper::Error),
    Request(hyper::http::Error),
    Status(StatusCode),
    ContentType(String),
    Encoding(String),
    Gzip(io::Error),
    TooLarge,
    NotText,
    TimedOut(Duration),
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
            Self::Status(status) => write!(f, "the status is {status} instead of 200"),
            Self::Encoding(encoding) => {
                write!(f, "the content encoding is {encoding:?}, which was not requested")
            }
            Self::Gzip(error) => {
                write!(f, "the body is not a single complete gzip member: {error}")
            }
            Self::ContentType(content_type) => {
                write!(f, "the content type is {content_type:?} instead of {TEXT_FORMAT:?}")
            }
            Self::TooLarge => write!(f, "the page is larger than {} MiB", MAX_PAGE_BYTES >> 20),
            Self::NotText => f.write_str("the page is not UTF-8"),
            Self::TimedOut(timeout) => {
                write!(f, "the scrape took more than {:.1} s", timeout.as_secs_f64())
            }
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

/// Content encoding of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Not compressed.
    Plain,
    /// Compressed, as Prometheus asks for it.
    Gzip,
}

impl Encoding {
    /// Name of the encoding.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
        }
    }
}

/// Fetches the page at `path`, over a new connection.
///
/// # Errors
/// If the page does not arrive completely, in the requested format and in time.
pub async fn fetch(http: SocketAddr, path: &str) -> Result<String, ScrapeError> {
    let mut page = Vec::new();
    fetch_into(http, path, |piece| page.extend_from_slice(piece)).await?;
    String::from_utf8(page).map_err(|_| ScrapeError::NotText)
}

/// Like [`fetch`], but passes the page to `take` in pieces as they arrive. Returns the length in
/// bytes.
///
/// # Errors
/// As for [`fetch`], except that invalid UTF-8 is no error. Pieces before an error have been passed
/// to `take`.
pub async fn fetch_into(
    http: SocketAddr,
    path: &str,
    take: impl FnMut(&[u8]),
) -> Result<usize, ScrapeError> {
    fetch_as(http, path, Encoding::Plain, TIMEOUT, take).await
}

/// Like [`fetch_into`], in the given encoding, decompressed, and with another timeout, which
/// includes the time that `take` takes. Returns the length as transferred.
///
/// # Errors
/// As for [`fetch_into`].
pub async fn fetch_as(
    http: SocketAddr,
    path: &str,
    encoding: Encoding,
    timeout: Duration,
    take: impl FnMut(&[u8]),
) -> Result<usize, ScrapeError> {
    let mut unpacker = Decompressor::new(encoding, take);
    let page = fetch_unbounded(http, path, encoding, |piece| unpacker.push(piece));
    let timed_out = |_| ScrapeError::TimedOut(timeout);
    let bytes = tokio::time::timeout(timeout, page).await.map_err(timed_out)??;
    unpacker.finish().map_err(ScrapeError::Gzip)?;
    Ok(bytes)
}

/// Decompresses a page and passes it to `take`.
struct Decompressor<F> {
    /// The decoder with its last output; `None` for a plain page.
    gzip: Option<GzDecoder<Vec<u8>>>,
    take: F,
    error: Option<io::Error>,
}

impl<F: FnMut(&[u8])> Decompressor<F> {
    fn new(encoding: Encoding, take: F) -> Self {
        let gzip = (encoding == Encoding::Gzip).then(|| GzDecoder::new(Vec::new()));
        Self { gzip, take, error: None }
    }

    /// Decompresses a piece of the page and passes it on. Ignores everything after an error.
    fn push(&mut self, piece: &[u8]) {
        match &mut self.gzip {
            None => (self.take)(piece),
            Some(gzip) if self.error.is_none() => {
                // The decoder does not accept bytes after the trailer, which is an error, too.
                self.error = gzip.write_all(piece).err();
                let unpacked = gzip.get_mut();
                (self.take)(unpacked);
                unpacked.clear();
            }
            Some(_) => {}
        }
    }

    /// Passes on the rest of the page, and verifies the gzip trailer.
    fn finish(mut self) -> io::Result<()> {
        match (self.error.take(), self.gzip) {
            (Some(error), _) => Err(error),
            (None, Some(gzip)) => gzip.finish().map(|rest| (self.take)(&rest)),
            (None, None) => Ok(()),
        }
    }
}

async fn fetch_unbounded(
    http: SocketAddr,
    path: &str,
    encoding: Encoding,
    take: impl FnMut(&[u8]),
) -> Result<usize, ScrapeError> {
    let accept = "text/plain;version=0.0.4";
    request(http, path, accept, encoding, async |response| {
        check_head(&response, encoding)?;
        read_body(response.into_body(), take).await
    })
    .await
}

/// Requests the page at `path` over a new connection, and passes the response to `read`.
///
/// # Errors
/// If there is no response, or `read` fails.
pub(crate) async fn request<T>(
    http: SocketAddr,
    path: &str,
    accept: &str,
    encoding: Encoding,
    read: impl AsyncFnOnce(Response<Incoming>) -> Result<T, ScrapeError>,
) -> Result<T, ScrapeError> {
    let stream = TcpStream::connect(http).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header("Host", http.to_string())
        .header("Authorization", format!("Bearer {TOKEN}"))
        .header("Accept", accept)
        .header("Accept-Encoding", if encoding == Encoding::Gzip { "gzip" } else { "identity" })
        .body(Empty::<Bytes>::new())
        .map_err(ScrapeError::Request)?;
    let answered = async { read(sender.send_request(request).await?).await };
    // The connection makes progress only while it is polled, and is dropped with the scrape: no
    // task remains.
    let mut connection = std::pin::pin!(connection);
    let mut answered = std::pin::pin!(answered);
    tokio::select! {
        read = &mut answered => read,
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
    let content_type = response.headers().get("Content-Type").map(|value| value.as_bytes());
    let content_type = String::from_utf8_lossy(content_type.unwrap_or_default());
    if !content_type.starts_with(TEXT_FORMAT) {
        return Err(ScrapeError::ContentType(content_type.into_owned()));
    }
    let encoded = response.headers().get("Content-Encoding").map(|value| value.as_bytes());
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzipped(page: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(page).unwrap();
        encoder.finish().unwrap()
    }

    /// Decompresses a page that arrives in pieces of this size.
    fn unpacked(bytes: &[u8], size: usize) -> io::Result<Vec<u8>> {
        let mut page = Vec::new();
        let mut unpacker = Decompressor::new(Encoding::Gzip, |piece: &[u8]| page.extend(piece));
        bytes.chunks(size).for_each(|piece| unpacker.push(piece));
        unpacker.finish()?;
        Ok(page)
    }

    #[test]
    fn only_one_complete_gzip_member_is_accepted() {
        let page = b"# TYPE a gauge\na 1\n".repeat(1_000);
        let good = gzipped(&page);
        let wrong_at = |at: usize| {
            let mut wrong = good.clone();
            wrong[at] ^= 1;
            wrong
        };
        let (len, mut more, mut twice) = (good.len(), good.clone(), good.clone());
        more.push(0);
        twice.extend_from_slice(&good);
        for size in [1, 7, usize::MAX] {
            assert_eq!(unpacked(&good, size).unwrap(), page);
            for (what, wrong) in [
                ("checksum", wrong_at(len - 8)),
                ("length", wrong_at(len - 1)),
                ("no trailer", good[..len - 8].to_vec()),
                ("half a trailer", good[..len - 1].to_vec()),
                ("cut off", good[..len / 2].to_vec()),
                ("a byte behind it", more.clone()),
                ("another behind it", twice.clone()),
                ("nothing", Vec::new()),
                ("not packed", page.clone()),
            ] {
                assert!(unpacked(&wrong, size).is_err(), "{what}, in pieces of {size}");
            }
        }
    }
}
