//! Streams that keep an open page up to date: server-sent events with the lines that have changed.
//!
//! A stream is no page in flight: if all connections are in use, the limiter evicts streams before
//! scrapes. The next event is rendered only once the client has taken the last one, so a client
//! that never reads holds two events, and is cut after [`STALL_TIMEOUT`].

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::Frame;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::debug;

use super::HttpState;
use super::connection::HttpConnection;
use super::response::ResponseOptions;
use crate::web::ShownLines;

/// Interval between two events.
const EVERY: Duration = Duration::from_secs(1);
/// Maximum time without an event, so that a browser knows that the collector is alive.
const BEAT: Duration = Duration::from_secs(5);
/// Maximum time for the client to take an event.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum age of a stream. The browser then asks for the next one, and shows its credential again.
const MAX_AGE: Duration = Duration::from_secs(600);
/// Beginning of a stream: after its end, the browser connects again after a second.
const HEAD: &str = "retry: 1000\n\n";
/// An event without a change.
const NO_CHANGE: &str = "event: beat\ndata:\n\n";

/// Returns the number of streams at once: a quarter of the connections, so that scrapes and other
/// requests have the rest.
pub(super) fn max_watchers(http_connections: usize) -> usize {
    (http_connections / 4).max(1)
}

/// Responds with a stream of what `render` returns: the content of a page.
pub(super) fn stream(
    http: &Arc<HttpState>,
    options: &ResponseOptions,
    render: impl FnMut(&HttpState) -> String + Send + 'static,
) -> Response {
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::VARY, HeaderValue::from_static("Accept")),
        // A proxy must not wait for more.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    let metrics = &http.collector.telemetry.metrics;
    let Ok(permit) = Arc::clone(&http.watchers).try_acquire_owned() else {
        metrics.watchers_refused.inc();
        let message = "too many open pages; ask for the page itself instead\n";
        return (StatusCode::SERVICE_UNAVAILABLE, message).into_response();
    };
    let (events, body) = mpsc::channel(1);
    if !options.is_head() {
        let watcher = Watcher {
            http: Arc::clone(http),
            connection: Arc::clone(options.connection()),
            events,
            generation: http.collector.auth.generation(),
            _permit: permit,
        };
        tokio::spawn(watcher.run(render));
    }
    (headers, Body::new(Events(body))).into_response()
}

/// The sending end of a stream.
struct Watcher {
    http: Arc<HttpState>,
    connection: Arc<HttpConnection>,
    events: mpsc::Sender<Bytes>,
    /// Number of reloads of the credentials when the stream began.
    generation: u32,
    _permit: OwnedSemaphorePermit,
}

/// Why a stream ends before its client does.
enum Ended {
    /// The client has left.
    Left,
    /// The client has not taken an event in time.
    Stalled,
}

impl Watcher {
    async fn run(self, render: impl FnMut(&HttpState) -> String + Send + 'static) {
        let metrics = &self.http.collector.telemetry.metrics;
        metrics.watchers.inc();
        if let Err(Ended::Stalled) = self.send_all(render).await {
            metrics.watchers_cut.inc();
            debug!("client does not take the events of its page");
            self.connection.close();
        }
        metrics.watchers.dec();
    }

    /// Sends events until the stream is over.
    async fn send_all(
        &self,
        mut render: impl FnMut(&HttpState) -> String + Send + 'static,
    ) -> Result<(), Ended> {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut shown = ShownLines::default();
        let (begin, mut last) = (Instant::now(), Instant::now());
        self.send(HEAD.into()).await?;
        while begin.elapsed() < MAX_AGE && self.is_allowed() {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.events.closed() => return Err(Ended::Left),
            }
            // Rendered once the client can take it, so that it is new.
            let room = timeout(STALL_TIMEOUT, self.events.reserve()).await;
            let room = room.map_err(|_| Ended::Stalled)?.map_err(|_| Ended::Left)?;
            let http = Arc::clone(&self.http);
            let work = move || {
                let change = shown.update(&render(&http));
                (change, shown, render)
            };
            let done = tokio::task::spawn_blocking(work).await;
            let (change, next_shown, next_render) = done.map_err(|_| Ended::Left)?;
            (shown, render) = (next_shown, next_render);
            if let Some(change) = change {
                room.send(format!("data: {change}\n\n").into());
                last = Instant::now();
            } else if last.elapsed() >= BEAT {
                room.send(NO_CHANGE.into());
                last = Instant::now();
            }
        }
        Ok(())
    }

    async fn send(&self, event: Bytes) -> Result<(), Ended> {
        let sent = timeout(STALL_TIMEOUT, self.events.send(event)).await;
        sent.map_err(|_| Ended::Stalled)?.map_err(|_| Ended::Left)
    }

    /// Whether the stream may go on: the collector does not stop, and the credentials are those by
    /// which it began.
    fn is_allowed(&self) -> bool {
        let collector = &self.http.collector;
        !collector.draining() && collector.auth.generation() == self.generation
    }
}

/// The body of a stream.
struct Events(mpsc::Receiver<Bytes>);

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}
