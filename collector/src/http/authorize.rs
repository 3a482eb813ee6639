//! Who may read: every request but those for `/healthz` and `/readyz` passes here.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Site;
use super::places::Visit;
use crate::trust::{Reader, Unread};
use crate::untold::{log_count, shortened};

/// What may be shown: what Prometheus and curl send, and what makes a browser ask.
const CHALLENGES: [&str; 2] =
    ["Bearer realm=\"fleetgauge\"", "Basic realm=\"fleetgauge\", charset=\"UTF-8\""];

/// Answers the request if its sender may read. Where credentials are configured the request is marked with the
/// [`Reader`] whose credential it carries.
pub(super) async fn authorize(
    State(site): State<Arc<Site>>,
    mut request: Request,
    next: Next,
) -> Response {
    match allowed(&site, request.headers()) {
        Ok(reader) => {
            if let Some(reader) = reader {
                request.extensions_mut().insert(reader);
            }
            next.run(request).await
        }
        Err(unread) => {
            note(&site, &request, unread);
            refusal()
        }
    }
}

/// Counts a request that is refused, and logs it if a line is due.
pub(super) fn note(site: &Site, request: &Request, unread: Unread) {
    site.shared.metrics.http_unauthorized.inc();
    let (cause, shared) = (unread.cause(), &site.shared);
    let kind = ("HTTP request unauthorized", cause);
    let visit = request.extensions().get::<Arc<Visit>>();
    let address = visit.map(|visit| tracing::field::display(visit.address()));
    let path = shortened(request.uri().path());
    log_count!(shared, kind, warn, "HTTP request unauthorized", address, cause, path);
}

/// Whose credential the headers carry; `None` if nobody is asked for one.
fn allowed(site: &Site, headers: &HeaderMap) -> Result<Option<Reader>, Unread> {
    let trust = Arc::clone(&site.shared.trust.read());
    let Some(readers) = &trust.readers else { return Ok(None) };
    let mut shown = headers.get_all(AUTHORIZATION).iter();
    match (shown.next(), shown.next()) {
        (_, Some(_)) => Err(Unread::NotUnderstood),
        (one, None) => readers.allow(one.map(HeaderValue::as_bytes)).cloned().map(Some),
    }
}

fn refusal() -> Response {
    let mut refusal = (StatusCode::UNAUTHORIZED, "unauthorized\n").into_response();
    for challenge in CHALLENGES {
        refusal.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    refusal
}
