//! `/api/drain`: asks a share of the agents to leave, for example for another collector.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, Request, State};
use axum::http::header::{CONTENT_TYPE, ORIGIN};
use axum::response::{IntoResponse, Response};
use fleetgauge_common::endpoint::Endpoint;
use fleetgauge_common::units::parse_duration;
use tracing::info;

use super::error::HttpError;
use super::query::{Query, quoted};
use super::{HttpState, authorize, json};
use crate::auth::{ReadDenied, Reader};
use crate::peers::drain_request::Share;

/// Time over which the agents leave, unless the request says otherwise.
const DEFAULT_SPAN: Duration = Duration::from_secs(10);
/// Maximum of that time. An agent that reconnects meanwhile does not know its delay any more, so a
/// longer one would miss too many.
const MAX_SPAN: Duration = Duration::from_secs(3_600);

/// Asks a share of the agents to leave. The HTTP user needs the right `may_drain`.
pub(super) async fn drain(
    State(http): State<Arc<HttpState>>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, HttpError> {
    let reader = request.extensions().get::<Reader>();
    let Some(reader) = reader.filter(|reader| reader.may_drain) else {
        authorize::record_denied(&http, &request, ReadDenied::NoRight);
        return Err(HttpError::forbidden(
            "requires a user with may_drain = true in the --http-credentials file",
        ));
    };
    // A browser sends stored credentials with a form of any web site.
    if request.headers().contains_key(ORIGIN) {
        return Err(HttpError::forbidden("requests from web pages are not allowed"));
    }
    let query = Query::try_new(query.as_deref(), &["target", "share", "over"])?;
    let target = query.get("target").map(target).transpose()?;
    let share = query.get("share").map_or(Ok(Share::ALL), share)?;
    let over = query.get("over").map_or(Ok(DEFAULT_SPAN), span)?;
    if http.collector.draining() {
        return Err(HttpError::conflict("the collector is stopping and drains all its agents"));
    }
    let name = target.as_ref().map(ToString::to_string);
    let collector = Arc::clone(&http.collector);
    // On a blocking thread, because a large fleet takes a while.
    let ask = move || collector.ask_to_leave(share, target, over);
    let asked = tokio::task::spawn_blocking(ask).await;
    let (agents, over) = asked.map_err(|_| HttpError::conflict("the collector is stopping"))?;
    let seconds = over.as_secs_f64();
    info!(user = &*reader.user, agents, target = name, seconds, "agents asked to leave");
    let body = format!("{{\"agents\":{agents},\"seconds\":{seconds}}}\n");
    Ok(([(CONTENT_TYPE, json::CONTENT_TYPE)], body).into_response())
}

fn target(text: &str) -> Result<Endpoint, HttpError> {
    Endpoint::parse(text).map_err(|problem| {
        let text = quoted(text);
        HttpError::bad_request(format!("invalid target={text}; {problem}"))
    })
}

fn share(text: &str) -> Result<Share, HttpError> {
    Share::parse(text).ok_or_else(|| {
        let text = quoted(text);
        let message =
            format!("invalid share={text}; use a number above 0 and at most 1, as in 0.25");
        HttpError::bad_request(message)
    })
}

fn span(text: &str) -> Result<Duration, HttpError> {
    parse_duration(text).ok().filter(|span| *span <= MAX_SPAN).ok_or_else(|| {
        let text = quoted(text);
        HttpError::bad_request(format!(
            "invalid over={text}; use a duration from 0s to 1h, as in 30s"
        ))
    })
}
