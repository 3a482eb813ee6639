//! An answer as a stream: a request becomes a page, the page becomes chunks, the chunks become the answer.
//!
//! What the page shows is looked up after the request has arrived, never reused. Writing happens on a thread of its
//! own, at most [`AHEAD`] chunks ahead of the reader and holding no lock. A page that cannot be finished ends without
//! its final chunk and with a reset, so that it is a failed scrape and not a short one.

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

use super::places::{Places, Room, Shows, UnderWay, Visit};
use super::refused::Refused;
use super::{Site, accept};
use crate::exposition::{Broken, Format, Gzip, Sink};

/// Chunks that may wait for the reader.
const AHEAD: usize = 2;
/// How long a reader may take for a chunk before it is given up: Prometheus' default timeout.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a page may take in all, so that a reader that is merely slow does not keep others out for ever.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a reader may take for the chunks that wait when the page is made: for each as long as for any.
const END_TIMEOUT: Duration = STALL_TIMEOUT.saturating_mul(AHEAD as u32);
/// How long to wait for room, so that the parts of a fleet may be asked for at once.
const ROOM_TIMEOUT: Duration = Duration::from_secs(1);
/// When to come again after a refusal for want of room.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// How whoever asks wants the answer.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    /// The text format, where there is a choice.
    pub(super) format: Format,
    gzip: bool,
    /// Only the head of the answer is wanted.
    head: bool,
    visit: Arc<Visit>,
    places: Arc<Places>,
    arrived: Instant,
}

impl<S: Sync> FromRequestParts<S> for Reader {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        // Every connection marks its requests.
        let (visit, places) = (parts.extensions.get::<Arc<Visit>>(), parts.extensions.get());
        let visit = visit.ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
        let places: &Arc<Places> = places.ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
        Ok(Self {
            format: accept::format(&parts.headers),
            gzip: accept::takes_gzip(&parts.headers),
            head: parts.method == Method::HEAD,
            visit: Arc::clone(visit),
            places: Arc::clone(places),
            arrived: Instant::now(),
        })
    }
}

impl Reader {
    /// The answer to HEAD, where only the request itself could be refused: without looking anything up.
    pub(super) fn head(&self, content_type: &'static str) -> Option<Response> {
        self.head.then(|| (self.headers(content_type), Body::new(Unmade)).into_response())
    }

    /// A page of any size, if there is room for one more within a second. `find` looks up what it shows, and gives what writes it.
    pub(super) async fn stream<F, W>(
        self,
        site: &Arc<Site>,
        content_type: &'static str,
        find: F,
    ) -> Response
    where
        F: FnOnce() -> Result<W, Refused> + Send + 'static,
        W: FnOnce(&mut dyn Sink) -> Result<(), Broken>,
    {
        match room(&site.scrapes).await {
            Some(room) => self.answer(Shows::Fleet, room, site, content_type, find).await,
            None => no_room(site),
        }
    }

    /// The page of one agent. It takes no room among the scrapes, as it holds no copy of the fleet.
    pub(super) async fn stream_agent<F, W>(
        self,
        site: &Arc<Site>,
        content_type: &'static str,
        find: F,
    ) -> Response
    where
        F: FnOnce() -> Result<W, Refused> + Send + 'static,
        W: FnOnce(&mut dyn Sink) -> Result<(), Broken>,
    {
        let rooms = self.places.agents_pages();
        let free = Arc::clone(rooms).try_acquire_owned().ok().map(Arc::new);
        let taken = match free.or_else(|| self.places.take_over(&self.visit)) {
            Some(taken) => Some(taken),
            None => room(rooms).await,
        };
        match taken {
            Some(room) => self.answer(Shows::Agent, room, site, content_type, find).await,
            None => no_room(site),
        }
    }

    /// The room is kept until nothing makes the page any more and the kernel has all of it.
    async fn answer<F, W>(
        self,
        shows: Shows,
        room: Room,
        site: &Arc<Site>,
        content_type: &'static str,
        find: F,
    ) -> Response
    where
        F: FnOnce() -> Result<W, Refused> + Send + 'static,
        W: FnOnce(&mut dyn Sink) -> Result<(), Broken>,
    {
        let headers = self.headers(content_type);
        let under_way = self.visit.begin(shows, Arc::clone(&room));
        let (found, page) = oneshot::channel();
        let (chunks, body) = mpsc::channel(AHEAD);
        let pipe =
            Pipe { chunks, handle: Handle::current(), deadline: self.arrived + PAGE_TIMEOUT };
        let site = Arc::clone(site);
        tokio::task::spawn_blocking(move || {
            // Whoever asked may have gone: then the first chunk finds that out.
            match find() {
                Err(refused) => drop(found.send(Err(refused))),
                // A page that nobody reads would look like a reader that left.
                Ok(_) if self.head => drop(found.send(Ok(()))),
                Ok(write) => {
                    let _ = found.send(Ok(()));
                    self.write(&site, write, pipe, &room);
                }
            }
            drop(room);
        });
        match page.await {
            // Of HEAD, too: the router drops the body, and says no length, which is not known.
            Ok(Ok(())) => (headers, Body::new(Page { pieces: body, under_way })).into_response(),
            Ok(Err(refused)) => refused.into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }

    /// A page that is small whatever the fleet: in one piece, and for everybody at any time.
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

    fn write(
        &self,
        site: &Site,
        write: impl FnOnce(&mut dyn Sink) -> Result<(), Broken>,
        mut pipe: Pipe,
        room: &Room,
    ) {
        let written = if self.gzip {
            let mut gzip = Gzip::new(&mut pipe);
            write(&mut gzip).and_then(|()| gzip.finish())
        } else {
            write(&mut pipe)
        };
        let metrics = &site.shared.metrics;
        match written.and_then(|()| pipe.finish()) {
            Ok(()) => {
                // From here on only the connection knows whether its reader stalls.
                self.visit.made(room, pipe.deadline.min(Instant::now() + END_TIMEOUT));
                let seconds = self.arrived.elapsed().as_secs_f64();
                metrics.scrape_seconds.observe(seconds);
                debug!(seconds, "scraped");
            }
            Err(Broken) => {
                metrics.scrapes_broken.inc();
                debug!("the reader of a scrape left or stalled");
                self.visit.leave();
            }
        }
    }
}

/// One of these, if one becomes free in time.
async fn room(rooms: &Arc<Semaphore>) -> Option<Room> {
    let room = tokio::time::timeout(ROOM_TIMEOUT, Arc::clone(rooms).acquire_owned()).await;
    room.ok()?.ok().map(Arc::new)
}

fn no_room(site: &Site) -> Response {
    site.shared.metrics.scrapes_refused.inc();
    let retry = [(header::RETRY_AFTER, RETRY_AFTER)];
    let why = "too many scrapes at once; come again in a second\n";
    (StatusCode::SERVICE_UNAVAILABLE, retry, why).into_response()
}

/// The body of an answer to HEAD. The router drops it; it says that no length is known, as GET's does.
struct Unmade;

impl http_body::Body for Unmade {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        Poll::Ready(Some(Err(Broken)))
    }
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
struct Page {
    pieces: mpsc::Receiver<Piece>,
    under_way: UnderWay,
}

impl http_body::Body for Page {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.under_way.sending();
        let piece = ready!(self.pieces.poll_recv(cx));
        Poll::Ready(match piece {
            Some(Piece::Chunk(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Piece::End) => {
                self.under_way.whole();
                None
            }
            None => Some(Err(Broken)),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use prometheus_client::metrics::counter::Counter;

    use super::super::places::Places;
    use super::*;

    #[test]
    fn a_page_without_its_end_is_an_error() {
        let frames = |pieces: Vec<Piece>| {
            let (chunks, body) = mpsc::channel(3);
            for piece in pieces {
                chunks.try_send(piece).unwrap();
            }
            drop(chunks);
            let place = Places::new(1, Counter::default()).try_take(Ipv4Addr::LOCALHOST.into());
            let room = Arc::new(Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap());
            let under_way = place.unwrap().visit().begin(Shows::Fleet, room);
            let mut page = Page { pieces: body, under_way };
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
}
