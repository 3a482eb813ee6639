//! A scrape: a request becomes a snapshot, the snapshot becomes chunks, the chunks become the answer.
//!
//! The snapshot is taken after the request has arrived, never reused. Writing happens on a thread of its own,
//! at most [`AHEAD`] chunks ahead of the reader and holding no lock. A page that cannot be finished ends without its
//! final chunk, so that it is a failed scrape and not a short one.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::Frame;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use crate::exposition::{Broken, Counted, Format, Gzip, Sink, Snapshot, own, render};
use crate::http::Site;

/// Chunks that may wait for the reader.
const AHEAD: usize = 2;
/// How long a reader may take for a chunk before it is given up: Prometheus' default timeout.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a page may take in all, so that a reader that is merely slow does not keep others out for ever.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(60);
/// When to come again after a refusal for want of room.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Marks a connection whose reader does not read, so that it is dropped.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stalled(pub CancellationToken);

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Agents' series and the collector's own.
    All,
    /// Agents' series.
    Agents,
    /// One agent's series.
    Agent(String),
    /// The collector's own.
    Own,
}

/// How the reader wants the page.
#[derive(Debug, Clone)]
pub(crate) struct Scrape {
    format: Format,
    gzip: bool,
    /// Only the head of the answer is wanted.
    head: bool,
    stalled: Stalled,
    arrived: Instant,
}

impl<S: Sync> FromRequestParts<S> for Scrape {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self {
            format: format(&parts.headers),
            gzip: takes_gzip(&parts.headers),
            head: parts.method == Method::HEAD,
            stalled: parts.extensions.get::<Stalled>().cloned().unwrap_or_default(),
            arrived: Instant::now(),
        })
    }
}

impl Scrape {
    /// The page, or why there is none.
    pub(crate) async fn answer(self, site: Arc<Site>, scope: Scope) -> Response {
        // The collector's own page copies no agents: whoever looks for the cause of a refusal gets an answer.
        let place = match scope {
            Scope::Own => Ok(None),
            _ => Arc::clone(&site.scrapes).try_acquire_owned().map(Some),
        };
        let Ok(place) = place else {
            site.shared.metrics.scrapes_refused.inc();
            let retry = [(header::RETRY_AFTER, RETRY_AFTER)];
            let why = "too many scrapes at once; come again in a second\n";
            return (StatusCode::SERVICE_UNAVAILABLE, retry, why).into_response();
        };
        let (begun, begins) = tokio::sync::oneshot::channel();
        let (chunks, body) = mpsc::channel(AHEAD);
        let mut headers = HeaderMap::new();
        let content_type = HeaderValue::from_static(self.format.content_type());
        headers.insert(header::CONTENT_TYPE, content_type);
        headers.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        if self.gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if self.head {
            // A page that nobody reads would look like a reader that left.
            return match scope {
                Scope::Agent(id) if site.shared.registry.snapshot_of(&id).is_none() => absent(),
                _ => headers.into_response(),
            };
        }
        let handle = Handle::current();
        tokio::task::spawn_blocking(move || {
            let snapshot = match &scope {
                Scope::All | Scope::Agents => Some(site.shared.registry.snapshot()),
                Scope::Agent(id) => site.shared.registry.snapshot_of(id),
                Scope::Own => Some(Snapshot { families: Vec::new(), groups: Vec::new() }),
            };
            // Whoever asked may have gone: then the first chunk finds that out.
            let _ = begun.send(snapshot.is_some());
            if let Some(snapshot) = snapshot {
                let own = matches!(scope, Scope::All | Scope::Own);
                let deadline = self.arrived + SCRAPE_TIMEOUT;
                self.write(&site, &snapshot, own, Pipe { chunks, handle, deadline });
            }
            drop::<Option<OwnedSemaphorePermit>>(place);
        });
        match begins.await {
            Ok(true) => (headers, Body::new(Page(body))).into_response(),
            Ok(false) => absent(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }

    fn write(&self, site: &Site, snapshot: &Snapshot, own: bool, mut pipe: Pipe) {
        let written = if self.gzip {
            let mut gzip = Gzip::new(&mut pipe);
            write_page(site, snapshot, self.format, own, &mut gzip)
                .and_then(|counted| gzip.finish().map(|()| counted))
        } else {
            write_page(site, snapshot, self.format, own, &mut pipe)
        };
        let metrics = &site.shared.metrics;
        match written.and_then(|counted| pipe.finish().map(|()| counted)) {
            Ok(counted) => {
                let seconds = self.arrived.elapsed().as_secs_f64();
                metrics.scrape_seconds.observe(seconds);
                debug!(lines = counted.lines, bytes = counted.bytes, seconds, "scraped");
            }
            Err(Broken) => {
                metrics.scrapes_broken.inc();
                debug!("the reader of a scrape left or stalled");
                self.stalled.0.cancel();
            }
        }
    }
}

fn absent() -> Response {
    (StatusCode::NOT_FOUND, "no such agent is connected\n").into_response()
}

fn write_page(
    site: &Site,
    snapshot: &Snapshot,
    format: Format,
    own: bool,
    sink: &mut dyn Sink,
) -> Result<Counted, Broken> {
    let counted = render(snapshot, format, sink)?;
    let mut page = String::new();
    if own {
        if let Err(error) = prometheus_client::encoding::text::encode(&mut page, &site.own) {
            error!(%error, "cannot write the collector's own metrics");
            return Err(Broken);
        }
        if format == Format::Text {
            page = own::to_text(&page);
        }
    } else if format == Format::OpenMetrics {
        page.push_str(own::END);
    }
    sink.chunk(page.as_bytes())?;
    Ok(counted)
}

/// What goes from the writing thread to the connection; closed without [`Piece::End`], the page is broken.
#[derive(Debug)]
enum Piece {
    Chunk(Bytes),
    End,
}

/// The writing thread's end.
struct Pipe {
    chunks: mpsc::Sender<Piece>,
    handle: Handle,
    /// When the page must be finished.
    deadline: Instant,
}

impl Pipe {
    fn send(&self, piece: Piece) -> Result<(), Broken> {
        let patience = self.deadline.saturating_duration_since(Instant::now()).min(STALL_TIMEOUT);
        let sent = tokio::time::timeout(patience, self.chunks.send(piece));
        let sent = self.handle.block_on(sent);
        sent.map_err(|_| Broken)?.map_err(|_| Broken)
    }

    fn finish(&self) -> Result<(), Broken> {
        self.send(Piece::End)
    }
}

impl Sink for Pipe {
    fn chunk(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.send(Piece::Chunk(Bytes::copy_from_slice(bytes)))
    }
}

/// The connection's end.
struct Page(mpsc::Receiver<Piece>);

impl http_body::Body for Page {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.0.poll_recv(cx).map(|piece| match piece {
            Some(Piece::Chunk(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Piece::End) => None,
            None => Some(Err(Broken)),
        })
    }
}

/// OpenMetrics if the reader prefers it to the older format, or asks for nothing but it.
fn format(headers: &HeaderMap) -> Format {
    let (mut text, mut openmetrics) = (0.0, 0.0);
    for (kind, quality) in preferences(headers, header::ACCEPT) {
        let mut parts = kind.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let version = parts.find_map(|part| part.strip_prefix("version="));
        match name.as_str() {
            "application/openmetrics-text" if version.is_none_or(|v| v == "1.0.0") => {
                openmetrics = quality;
            }
            "text/plain" | "text/*" | "*/*" => text = f32::max(text, quality),
            _ => {}
        }
    }
    if openmetrics > 0.0 && openmetrics >= text { Format::OpenMetrics } else { Format::Text }
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    preferences(headers, header::ACCEPT_ENCODING)
        .any(|(coding, quality)| coding.trim().eq_ignore_ascii_case("gzip") && quality > 0.0)
}

/// The comma-separated choices of a header, each with its quality (1 where none is given).
fn preferences(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = (&str, f32)> {
    let choices = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    choices.flat_map(|choices| choices.split(',')).map(|choice| {
        let quality = choice
            .split(';')
            .find_map(|part| part.trim().strip_prefix("q="))
            .and_then(|quality| quality.parse().ok())
            .unwrap_or(1.0);
        let without_quality = choice.split(";q=").next().unwrap_or(choice);
        (without_quality.trim(), quality)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepting(accept: &'static str) -> Format {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        format(&headers)
    }

    #[test]
    fn the_format_is_the_reader_s_choice() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for accept in [prometheus_2, prometheus_3, "application/openmetrics-text"] {
            assert_eq!(accepting(accept), Format::OpenMetrics, "{accept}");
        }
        for accept in [
            "*/*",
            "text/plain",
            "text/html",
            "text/plain,application/openmetrics-text;q=0.1",
            "application/openmetrics-text;version=2.0.0",
        ] {
            assert_eq!(accepting(accept), Format::Text, "{accept}");
        }
        assert_eq!(format(&HeaderMap::new()), Format::Text);
    }

    #[test]
    fn a_page_without_its_end_is_an_error() {
        let frames = |pieces: Vec<Piece>| {
            let (chunks, body) = mpsc::channel(3);
            for piece in pieces {
                chunks.try_send(piece).unwrap();
            }
            drop(chunks);
            let mut page = Page(body);
            let mut cx = Context::from_waker(std::task::Waker::noop());
            std::iter::repeat_with(move || {
                match http_body::Body::poll_frame(Pin::new(&mut page), &mut cx) {
                    Poll::Ready(Some(frame)) => Some(frame.map(|frame| frame.into_data().unwrap())),
                    Poll::Ready(None) => None,
                    Poll::Pending => unreachable!("all that there is was sent"),
                }
            })
            .take(2)
            .collect::<Vec<_>>()
        };
        let chunk = || Piece::Chunk(Bytes::from_static(b"up 1\n"));
        let sent = Some(Ok(Bytes::from_static(b"up 1\n")));
        assert_eq!(frames(vec![chunk(), Piece::End]), [sent.clone(), None]);
        assert_eq!(frames(vec![chunk()]), [sent, Some(Err(Broken))]);
    }

    #[test]
    fn gzip_is_for_those_who_take_it() {
        let taking = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            takes_gzip(&headers)
        };
        assert!(taking("gzip"));
        assert!(taking("deflate, gzip;q=0.5"));
        assert!(!taking("gzip;q=0, identity"));
        assert!(!taking("br"));
    }
}
