//! Who may read: every request but those for `/healthz` and `/readyz` passes here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use tracing::info;

use super::Site;
use super::places::Visit;
use crate::trust::Unread;

/// What may be shown: what Prometheus and curl send, and what makes a browser ask.
const CHALLENGES: [&str; 2] =
    ["Bearer realm=\"fleetgauge\"", "Basic realm=\"fleetgauge\", charset=\"UTF-8\""];

/// Time between two lines of the log about refused requests: whoever sends many does not fill the disk.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// Refused requests that the log has not told of yet, and when it told last.
#[derive(Debug, Default)]
pub(crate) struct Untold(Mutex<(u64, Option<Instant>)>);

impl Untold {
    /// One more at this time; how many a line is to tell of, if one is due.
    fn add(&self, now: Instant) -> Option<u64> {
        let (count, told) = &mut *self.0.lock();
        *count += 1;
        if told.is_some_and(|told| now.saturating_duration_since(told) < LOG_EVERY) {
            return None;
        }
        *told = Some(now);
        Some(std::mem::take(count))
    }
}

/// Answers the request if whoever sent it may read.
pub(super) async fn authorize(
    State(site): State<Arc<Site>>,
    request: Request,
    next: Next,
) -> Response {
    match allowed(&site, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(unread) => {
            site.shared.metrics.http_unauthorized.inc();
            if let Some(requests) = site.untold.add(Instant::now()) {
                let visit = request.extensions().get::<Arc<Visit>>();
                let address = visit.map(|visit| tracing::field::display(visit.address()));
                let (cause, path) = (unread.cause(), request.uri().path());
                info!(address, cause, path, requests, "HTTP request unauthorized");
            }
            refusal()
        }
    }
}

fn allowed(site: &Site, headers: &HeaderMap) -> Result<(), Unread> {
    let trust = Arc::clone(&site.shared.trust.read());
    let Some(readers) = &trust.readers else { return Ok(()) };
    let mut shown = headers.get_all(AUTHORIZATION).iter();
    match (shown.next(), shown.next()) {
        (_, Some(_)) => Err(Unread::NotUnderstood),
        (one, None) => readers.allow(one.map(HeaderValue::as_bytes)),
    }
}

fn refusal() -> Response {
    let mut refusal = (StatusCode::UNAUTHORIZED, "unauthorized\n").into_response();
    for challenge in CHALLENGES {
        refusal.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    refusal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_refused_requests_in_a_second_are_two_lines() {
        let (untold, begun) = (Untold::default(), Instant::now());
        let lines: Vec<_> =
            (0..1_001).filter_map(|n| untold.add(begun + Duration::from_millis(n))).collect();
        assert_eq!(lines, [1, 1_000]);
    }
}
