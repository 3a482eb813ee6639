//! Authorization of HTTP requests, except those for `/healthz` and `/readyz`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::HttpState;
use super::connection::HttpConnection;
use crate::auth::{ReadDenied, Reader};
use crate::telemetry::log_limiter::{log_count, shortened};

/// `WWW-Authenticate` headers of a 401 response: bearer for Prometheus and curl, basic for
/// browsers.
const CHALLENGES: [&str; 2] =
    ["Bearer realm=\"fleetgauge\"", "Basic realm=\"fleetgauge\", charset=\"UTF-8\""];

/// Passes a request on if its credential belongs to a user. If credentials are configured, adds the
/// user's [`Reader`] to the request's extensions.
pub(super) async fn authorize(
    State(http): State<Arc<HttpState>>,
    mut request: Request,
    next: Next,
) -> Response {
    match allowed(&http, request.headers()) {
        Ok(reader) => {
            if let Some(reader) = reader {
                request.extensions_mut().insert(reader);
            }
            next.run(request).await
        }
        Err(denied) => {
            record_denied(&http, &request, denied);
            unauthorized()
        }
    }
}

/// Counts a denied request, and logs it unless the log's rate limit is reached.
pub(super) fn record_denied(http: &HttpState, request: &Request, denied: ReadDenied) {
    http.collector.telemetry.metrics.http_unauthorized.inc();
    let (cause, collector) = (denied.cause(), &http.collector);
    let kind = ("HTTP request unauthorized", cause);
    let connection = request.extensions().get::<Arc<HttpConnection>>();
    let address = connection.map(|connection| tracing::field::display(connection.address()));
    let path = shortened(request.uri().path());
    log_count!(collector, kind, warn, "HTTP request unauthorized", address, cause, path);
}

/// Returns the user who sent the request; `None` if no credentials are configured.
fn allowed(http: &HttpState, headers: &HeaderMap) -> Result<Option<Reader>, ReadDenied> {
    let policy = http.collector.auth.current();
    let Some(readers) = &policy.readers else { return Ok(None) };
    let mut presented = headers.get_all(AUTHORIZATION).iter();
    match (presented.next(), presented.next()) {
        (_, Some(_)) => Err(ReadDenied::NotUnderstood),
        (header, None) => readers.allow(header.map(HeaderValue::as_bytes)).cloned().map(Some),
    }
}

fn unauthorized() -> Response {
    let mut response = (StatusCode::UNAUTHORIZED, "unauthorized\n").into_response();
    for challenge in CHALLENGES {
        response.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}
