//! The pages of metrics: the fleet's series, whole or in parts, one agent's, and the collector's own.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tracing::error;

use super::Site;
use super::query::Query;
use super::refused::Refused;
use super::stream::Reader;
use crate::exposition::{Broken, Format, Sink, own, render};

type Answer = Result<Response, Refused>;

/// All agents' series and the collector's own. Of several parts the first has the latter, so that together they are
/// the page.
pub(super) async fn all(
    State(site): State<Arc<Site>>,
    RawQuery(query): RawQuery,
    reader: Reader,
) -> Answer {
    series(site, query, reader, true).await
}

/// All agents' series.
pub(super) async fn agents(
    State(site): State<Arc<Site>>,
    RawQuery(query): RawQuery,
    reader: Reader,
) -> Answer {
    series(site, query, reader, false).await
}

async fn series(site: Arc<Site>, query: Option<String>, reader: Reader, own: bool) -> Answer {
    let shard = Query::try_new(query.as_deref(), &["shard", "shards"])?.shard()?;
    let format = reader.format;
    if let Some(head) = reader.head(format.content_type()) {
        return Ok(head);
    }
    let content = Arc::clone(&site);
    let find = move || {
        let snapshot = content.shared.registry.snapshot_of_shard(shard);
        Ok(move |sink: &mut dyn Sink| {
            render(&snapshot, format, sink)?;
            let end = if own && shard.is_first() {
                own_page(&content, format)?
            } else {
                own::end(format).to_owned()
            };
            sink.chunk(end.as_bytes())
        })
    };
    Ok(reader.stream(&site, format.content_type(), find).await)
}

/// One agent's series. Whoever scrapes every agent by itself asks for many at once, each small.
pub(super) async fn agent(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    reader: Reader,
) -> Answer {
    Query::try_new(query.as_deref(), &[])?;
    let format = reader.format;
    let content = Arc::clone(&site);
    let find = move || {
        let snapshot = content.shared.registry.snapshot_of(&id);
        let snapshot = snapshot.ok_or_else(|| Refused::not_found("no such agent is connected"))?;
        Ok(move |sink: &mut dyn Sink| {
            render(&snapshot, format, sink)?;
            sink.chunk(own::end(format).as_bytes())
        })
    };
    Ok(reader.stream_agent(&site, format.content_type(), find).await)
}

/// The collector's own metrics. They take no place among the scrapes: whoever looks for the cause of a refusal gets
/// an answer.
pub(super) async fn own(
    State(site): State<Arc<Site>>,
    RawQuery(query): RawQuery,
    reader: Reader,
) -> Answer {
    Query::try_new(query.as_deref(), &[])?;
    let format = reader.format;
    Ok(match own_page(&site, format) {
        Ok(page) => reader.small(format.content_type(), page.into_bytes()),
        Err(Broken) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    })
}

fn own_page(site: &Site, format: Format) -> Result<String, Broken> {
    let mut page = String::new();
    if let Err(error) = prometheus_client::encoding::text::encode(&mut page, &site.own) {
        error!(%error, "cannot write the collector's own metrics");
        return Err(Broken);
    }
    Ok(match format {
        Format::Text => own::to_text(&page),
        Format::OpenMetrics => page,
    })
}
