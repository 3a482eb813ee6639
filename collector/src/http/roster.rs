//! `/metrics/roster` and `/api/departed`: which agents are up, and which have departed and why.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use fleetgauge_proto::AgentId;
use serde::Serialize;
use tracing::info;

use super::error::HttpError;
use super::query::Query;
use super::response::ResponseOptions;
use super::{HttpState, authorize, json};
use crate::auth::{ReadDenied, Reader};
use crate::exposition::{Sink, openmetrics};
use crate::roster::{Departure, NotForgotten, PresenceSnapshot, text};
use crate::state::CollectorState;

type Answer = Result<Response, HttpError>;

/// Returns metrics that show which agents are up and which are down.
pub(super) async fn up(
    State(http): State<Arc<HttpState>>,
    RawQuery(query): RawQuery,
    options: ResponseOptions,
) -> Answer {
    let shard = Query::try_new(query.as_deref(), &["shard", "shards"])?.shard()?;
    let format = options.format;
    if let Some(head) = options.head(format.content_type()) {
        return Ok(head);
    }
    let content = Arc::clone(&http);
    let find = move || {
        let CollectorState { registry, roster, .. } = &*content.collector;
        let presence = PresenceSnapshot::take(registry, roster, shard);
        Ok(move |sink: &mut dyn Sink| {
            text::render(&presence, &content.collector.roster, format, sink)?;
            sink.chunk(openmetrics::end(format).as_bytes())
        })
    };
    Ok(options.stream(&http, format.content_type(), find).await)
}

/// A departed agent, as shown in the response.
#[derive(Serialize)]
struct Departed<'a> {
    id: &'a str,
    /// Time of the departure, in unix seconds.
    at: u64,
    reason: &'static str,
}

/// Returns the departed agents as JSON, the latest departure first.
pub(super) async fn departed(
    State(http): State<Arc<HttpState>>,
    RawQuery(query): RawQuery,
    options: ResponseOptions,
) -> Answer {
    Query::try_new(query.as_deref(), &[])?;
    if let Some(head) = options.head(json::CONTENT_TYPE) {
        return Ok(head);
    }
    let content = Arc::clone(&http);
    let find = move || {
        let departed = content.collector.roster.departures();
        Ok(move |sink: &mut dyn Sink| {
            let mut list = json::List::open("{\"departed\":[", sink);
            for Departure { id, reason, at, .. } in departed.iter().rev() {
                list.item(&Departed { id: id.as_str(), at: *at, reason: reason.name() })?;
            }
            list.close("]}\n")
        })
    };
    Ok(options.stream(&http, json::CONTENT_TYPE, find).await)
}

/// Deletes a departed agent from the roster. The HTTP user needs the right `may_forget`.
pub(super) async fn forget(
    State(http): State<Arc<HttpState>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<StatusCode, HttpError> {
    let reader = request.extensions().get::<Reader>();
    let Some(reader) = reader.filter(|reader| reader.may_forget) else {
        authorize::record_denied(&http, &request, ReadDenied::NoRight);
        return Err(HttpError::forbidden(
            "requires a user with may_forget = true in the --http-credentials file",
        ));
    };
    Query::try_new(query.as_deref(), &[])?;
    let not_departed = || HttpError::not_found("no departed agent has this id; see /api/departed");
    let id = AgentId::try_new(&id).map_err(|_| not_departed())?;
    http.collector.roster.forget(&id).map_err(|error| match error {
        NotForgotten::NotDeparted => not_departed(),
        NotForgotten::Expected => {
            HttpError::conflict("the agent is expected; remove it from the --expected-agents file")
        }
    })?;
    info!(agent = %id, user = &*reader.user, "departed agent deleted");
    Ok(StatusCode::NO_CONTENT)
}
