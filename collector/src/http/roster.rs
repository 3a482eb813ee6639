//! Who is there, who has gone, and why.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde::Serialize;

use super::query::Query;
use super::refused::Refused;
use super::stream::Reader;
use super::{Site, json};
use crate::exposition::{Sink, own};
use crate::roster::{Census, Departure, page};

type Answer = Result<Response, Refused>;

/// Which agents are up, and which ought to be.
pub(super) async fn up(
    State(site): State<Arc<Site>>,
    RawQuery(query): RawQuery,
    reader: Reader,
) -> Answer {
    let part = Query::try_new(query.as_deref(), &["shard", "shards"])?.shard()?;
    let format = reader.format;
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
