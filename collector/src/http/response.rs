//! Streamed responses: a handler renders a page, which is sent in chunks.
//!
//! A page is rendered from data copied after its request has arrived, and is never cached. It is
//! rendered on a blocking thread without holding a lock, at most [`AHEAD`] chunks ahead of the
//! client. If a page cannot be finished, the collector omits the final chunk and resets the
//! connection, so that the client sees a failed scrape and not a short page.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::Frame;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tracing::debug;

use super::connection::{HttpConnection, PageInFlight, PagePermit, Shows};
use super::connection_limiter::ConnectionLimiter;
use super::error::HttpError;
use super::{HttpState, negotiate};
use crate::exposition::{Disconnected, Format, Gzip, Sink};

/// Maximum number of rendered chunks that wait for the client.
const AHEAD: usize = 2;
/// Maximum time for the client to take a chunk: the default scrape timeout of Prometheus.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum time from a request to the end of its page, so that slow clients do not hold permits
/// forever.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum time for the client to take the chunks that still wait when rendering is finished.
const END_TIMEOUT: Duration = STALL_TIMEOUT.saturating_mul(AHEAD as u32);
/// Maximum time to wait for a page permit. Requests wait so that all shards of a fleet can be
/// scraped at once.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(1);
/// `Retry-After` of a response for which no page permit was free.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// What the client asks for (format, compression, whether only the headers), and its connection.
#[derive(Debug, Clone)]
pub(super) struct ResponseOptions {
    /// The text format, for handlers that offer both.
    pub(super) format: Format,
    gzip: bool,
    /// Whether the request method is HEAD.
    head: bool,
    connection: Arc<HttpConnection>,
    limiter: Arc<ConnectionLimiter>,
    arrived: Instant,
}

impl<S: Sync> FromRequestParts<S> for ResponseOptions {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        // The server adds the connection and the limiter to every request.
        let connection = parts.extensions.get::<Arc<HttpConnection>>();
        let connection = connection.ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
        let limiter = parts.extensions.get::<Arc<ConnectionLimiter>>();
        let limiter = limiter.ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
        Ok(Self {
            format: negotiate::format(&parts.headers),
            gzip: negotiate::takes_gzip(&parts.headers),
            head: parts.method == Method::HEAD,
            connection: Arc::clone(connection),
            limiter: Arc::clone(limiter),
            arrived: Instant::now(),
        })
    }
}

impl ResponseOptions {
    /// Returns the response if this is a HEAD request, else `None`. For pages that always exist, so
    /// that nothing must be looked up.
    pub(super) fn head(&self, content_type: &'static str) -> Option<Response> {
        self.head.then(|| (self.headers(content_type), Body::new(HeadBody)).into_response())
    }

    /// Whether only the headers are asked for.
    pub(super) fn is_head(&self) -> bool {
        self.head
    }

    /// Returns the client's connection.
    pub(super) fn connection(&self) -> &Arc<HttpConnection> {
        &self.connection
    }

    /// Streams a page of any size, once a scrape permit is free. `find` looks up the content and
    /// returns a function that renders it.
    pub(super) async fn stream<F, W>(
        self,
        http: &Arc<HttpState>,
        content_type: &'static str,
        find: F,
    ) -> Response
    where
        F: FnOnce() -> Result<W, HttpError> + Send + 'static,
        W: FnOnce(&mut dyn Sink) -> Result<(), Disconnected>,
    {
        match acquire(&http.scrapes).await {
            Some(permit) => self.respond(Shows::Fleet, permit, http, content_type, find).await,
            None => too_many_scrapes(http),
        }
    }

    /// Streams the page of one agent. It needs no scrape permit, because it copies only that agent.
    pub(super) async fn stream_agent<F, W>(
        self,
        http: &Arc<HttpState>,
        content_type: &'static str,
        find: F,
    ) -> Response
    where
        F: FnOnce() -> Result<W, HttpError> + Send + 'static,
        W: FnOnce(&mut dyn Sink) -> Result<(), Disconnected>,
    {
        let permits = self.limiter.agent_pages();
        let free = Arc::clone(permits).try_acquire_owned().ok().map(Arc::new);
        let permit = match free.or_else(|| self.limiter.take_over(&self.connection)) {
            Some(permit) => Some(permit),
            None => acquire(permits).await,
        };
        match permit {
            Some(permit) => self.respond(Shows::Agent, permit, http, content_type, find).await,
            None => too_many_scrapes(http),
        }
    }

    /// Streams a page. Holds the page's permit until rendering has ended and the last byte is
    /// written to the socket.
    async fn respond<F, W>(
        self,
        shows: Shows,
        permit: PagePermit,
        http: &Arc<HttpState>,
        content_type: &'static str,
        find: F,
    ) -> Response
    where
        F: FnOnce() -> Result<W, HttpError> + Send + 'static,
        W: FnOnce(&mut dyn Sink) -> Result<(), Disconnected>,
    {
        let headers = self.headers(content_type);
        let in_flight = self.connection.begin(shows, Arc::clone(&permit));
        let (found, page) = oneshot::channel();
        let (chunks, body) = mpsc::channel(AHEAD);
        let pipe =
            Pipe { chunks, handle: Handle::current(), deadline: self.arrived + PAGE_TIMEOUT };
        let http = Arc::clone(http);
        tokio::task::spawn_blocking(move || {
            // If the client has disconnected, sending the first chunk fails.
            match find() {
                Err(error) => drop(found.send(Err(error))),
                // Rendering for HEAD would count as a client that disconnects.
                Ok(_) if self.head => drop(found.send(Ok(()))),
                Ok(write) => {
                    let _ = found.send(Ok(()));
                    self.render(&http, write, pipe, &permit);
                }
            }
            drop(permit);
        });
        match page.await {
            // Also for HEAD: the router drops the body, and no length is sent.
            Ok(Ok(())) => (headers, Body::new(Page { pieces: body, in_flight })).into_response(),
            Ok(Err(error)) => error.into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }

    /// Returns a page in one piece and without a permit, for pages whose size does not grow with
    /// the fleet.
    pub(super) fn small(self, content_type: &'static str, page: Vec<u8>) -> Response {
        let headers = self.headers(content_type);
        let mut body = page;
        if self.gzip {
            let mut packed = Vec::new();
            let mut gzip = Gzip::new(&mut packed);
            if gzip.chunk(&body).and_then(|()| gzip.finish()).is_err() {
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            }
            body = packed;
        }
        (headers, body).into_response()
    }

    fn headers(&self, content_type: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        if self.gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        headers
    }

    fn render(
        &self,
        http: &HttpState,
        write: impl FnOnce(&mut dyn Sink) -> Result<(), Disconnected>,
        mut pipe: Pipe,
        permit: &PagePermit,
    ) {
        let written = if self.gzip {
            let mut gzip = Gzip::new(&mut pipe);
            write(&mut gzip).and_then(|()| gzip.finish())
        } else {
            write(&mut pipe)
        };
        let metrics = &http.collector.telemetry.metrics;
        match written.and_then(|()| pipe.finish()) {
            Ok(()) => {
                // From now on, only the connection can detect that the client stalls.
                let deadline = pipe.deadline.min(Instant::now() + END_TIMEOUT);
                self.connection.rendered(permit, deadline);
                let seconds = self.arrived.elapsed().as_secs_f64();
                metrics.scrape_seconds.observe(seconds);
                debug!(seconds, "page rendered");
            }
            Err(Disconnected) => {
                metrics.scrapes_broken.inc();
                debug!("client disconnected or stalled while a page was sent");
                self.connection.close();
            }
        }
    }
}

/// Waits for one of these permits; `None` after [`PERMIT_TIMEOUT`].
async fn acquire(permits: &Arc<Semaphore>) -> Option<PagePermit> {
    let permit = Arc::clone(permits).acquire_owned();
    let permit = tokio::time::timeout(PERMIT_TIMEOUT, permit).await;
    permit.ok()?.ok().map(Arc::new)
}

fn too_many_scrapes(http: &HttpState) -> Response {
    http.collector.telemetry.metrics.scrapes_refused.inc();
    let retry = [(header::RETRY_AFTER, RETRY_AFTER)];
    let message = "too many concurrent scrapes; retry in a second\n";
    (StatusCode::SERVICE_UNAVAILABLE, retry, message).into_response()
}

/// The body of a response to HEAD, which the router drops. Like the body of a response to GET, it
/// has no known length.
struct HeadBody;

impl http_body::Body for HeadBody {
    type Data = Bytes;
    type Error = Disconnected;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Disconnected>>> {
        Poll::Ready(Some(Err(Disconnected)))
    }
}

/// A message from the rendering thread to the connection. A page without [`Piece::End`] is broken.
#[derive(Debug)]
enum Piece {
    Chunk(Bytes),
    End,
}

/// The rendering thread's end of the channel to the connection.
struct Pipe {
    chunks: mpsc::Sender<Piece>,
    handle: Handle,
    /// Time by which the page must be complete.
    deadline: Instant,
}

impl Pipe {
    fn send(&self, piece: Piece) -> Result<(), Disconnected> {
        let limit = self.deadline.saturating_duration_since(Instant::now()).min(STALL_TIMEOUT);
        let sent = tokio::time::timeout(limit, self.chunks.send(piece));
        let sent = self.handle.block_on(sent);
        sent.map_err(|_| Disconnected)?.map_err(|_| Disconnected)
    }

    fn finish(&self) -> Result<(), Disconnected> {
        self.send(Piece::End)
    }
}

impl Sink for Pipe {
    fn chunk(&mut self, bytes: &[u8]) -> Result<(), Disconnected> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.send(Piece::Chunk(Bytes::copy_from_slice(bytes)))
    }
}

/// The connection's end of the channel from the rendering thread.
struct Page {
    pieces: mpsc::Receiver<Piece>,
    in_flight: PageInFlight,
}

impl http_body::Body for Page {
    type Data = Bytes;
    type Error = Disconnected;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Disconnected>>> {
        self.in_flight.sending();
        let piece = ready!(self.pieces.poll_recv(cx));
        Poll::Ready(match piece {
            Some(Piece::Chunk(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Piece::End) => {
                self.in_flight.complete();
                None
            }
            None => Some(Err(Disconnected)),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn page_without_end_is_an_error() {
        let frames = |pieces: Vec<Piece>| {
            let (chunks, body) = mpsc::channel(3);
            for piece in pieces {
                chunks.try_send(piece).unwrap();
            }
            drop(chunks);
            let permit =
                ConnectionLimiter::new(1, Counter::default()).try_take(Ipv4Addr::LOCALHOST.into());
            let page_permit = Arc::new(Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap());
            let in_flight = permit.unwrap().connection().begin(Shows::Fleet, page_permit);
            let mut page = Page { pieces: body, in_flight };
            let mut cx = Context::from_waker(std::task::Waker::noop());
            std::iter::repeat_with(move || {
                match http_body::Body::poll_frame(Pin::new(&mut page), &mut cx) {
                    Poll::Ready(Some(frame)) => Some(frame.map(|frame| frame.into_data().unwrap())),
                    Poll::Ready(None) => None,
                    Poll::Pending => unreachable!("all pieces were sent"),
                }
            })
            .take(2)
            .collect::<Vec<_>>()
        };
        let chunk = || Piece::Chunk(Bytes::from_static(b"up 1\n"));
        let sent = Some(Ok(Bytes::from_static(b"up 1\n")));
        assert_eq!(frames(vec![chunk(), Piece::End]), [sent.clone(), None]);
        assert_eq!(frames(vec![chunk()]), [sent, Some(Err(Disconnected))]);
    }
}
