//! Who is there, who has gone, and why; and deleting those that will not come back.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use fleetgauge_proto::AgentId;
use serde::Serialize;
use tracing::info;

use super::query::Query;
use super::refused::Refused;
use super::stream::Reader;
use super::{Site, authorize, json};
use crate::exposition::{Sink, own};
use crate::roster::{Census, Departure, NotForgotten, page};
use crate::trust;

type Answer = Result<Response, Refused>;

/// Which agents are up, and which ought to be.
pub(super) async fn up(
    State(site): State<Arc<Site>>,
    RawQuery(query): RawQuery,
    reader: Reader,
) -> Answer {
    let part = Query::try_new(query.as_deref(), &["shard", "shards"])?.shard()?;
    let format = reader.format;
    if let Some(head) = reader.head(format.content_type()) {
        return Ok(head);
    }
    let content = Arc::clone(&site);
    let find = move || {
        let census = Census::take(&content.shared.registry, &content.shared.roster, part);
        Ok(move |sink: &mut dyn Sink| {
            page::render(&census, &content.shared.roster, format, sink)?;
            sink.chunk(own::end(format).as_bytes())
        })
    };
    Ok(reader.stream(&site, format.content_type(), find).await)
}

/// An agent that has gone.
#[derive(Serialize)]
struct Departed<'a> {
    id: &'a str,
    /// Unix seconds.
    at: u64,
    reason: &'static str,
}

/// The agents that have gone, the newest first.
pub(super) async fn departed(
    State(site): State<Arc<Site>>,
    RawQuery(query): RawQuery,
    reader: Reader,
) -> Answer {
    Query::try_new(query.as_deref(), &[])?;
    if let Some(head) = reader.head(json::CONTENT_TYPE) {
        return Ok(head);
    }
    let content = Arc::clone(&site);
    let find = move || {
        let departed = content.shared.roster.departures();
        Ok(move |sink: &mut dyn Sink| {
            let mut list = json::List::open("{\"departed\":[", sink);
            for Departure { id, reason, at, .. } in departed.iter().rev() {
                list.item(&Departed { id: id.as_str(), at: *at, reason: reason.name() })?;
            }
            list.close("]}\n")
        })
    };
    Ok(reader.stream(&site, json::CONTENT_TYPE, find).await)
}

/// Deletes a departed agent from the roster, for a reader that may.
pub(super) async fn forget(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<StatusCode, Refused> {
    let reader = request.extensions().get::<trust::Reader>();
    let Some(reader) = reader.filter(|reader| reader.may_forget) else {
        authorize::note(&site, &request, trust::Unread::NoRight);
        return Err(Refused::forbidden(
            "this takes a user with may_forget = true in the file of --http-credentials",
        ));
    };
    Query::try_new(query.as_deref(), &[])?;
    let not_departed = || Refused::not_found("no such agent has departed: see /api/departed");
    let id = AgentId::try_new(&id).map_err(|_| not_departed())?;
    site.shared.roster.forget(&id).map_err(|not| match not {
        NotForgotten::NotDeparted => not_departed(),
        NotForgotten::Expected => {
            Refused::conflict("this agent is expected: take it out of the file of --expect")
        }
    })?;
    info!(agent = %id, user = &*reader.user, "departed agent deleted");
    Ok(StatusCode::NO_CONTENT)
}
