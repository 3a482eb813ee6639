//! The metrics pages: all agents or a shard of them, one agent, and the collector's own metrics.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tracing::error;

use super::HttpState;
use super::error::HttpError;
use super::query::Query;
use super::response::ResponseOptions;
use crate::exposition::{
    Disconnected, Format, OwnFamilies, Sink, openmetrics, render, render_with,
};

type Answer = Result<Response, HttpError>;

/// Returns all agents' series and the collector's own metrics. If the page is divided into shards,
/// only the first shard has the collector's own metrics.
pub(super) async fn all(
    State(http): State<Arc<HttpState>>,
    RawQuery(query): RawQuery,
    options: ResponseOptions,
) -> Answer {
    series(http, query, options, true).await
}

/// Returns the series of all agents, or of the agents in one shard.
pub(super) async fn agents(
    State(http): State<Arc<HttpState>>,
    RawQuery(query): RawQuery,
    options: ResponseOptions,
) -> Answer {
    series(http, query, options, false).await
}

async fn series(
    http: Arc<HttpState>,
    query: Option<String>,
    options: ResponseOptions,
    own: bool,
) -> Answer {
    let shard = Query::try_new(query.as_deref(), &["shard", "shards"])?.shard()?;
    let format = options.format;
    if let Some(head) = options.head(format.content_type()) {
        return Ok(head);
    }
    let content = Arc::clone(&http);
    let find = move || {
        let snapshot = content.collector.registry.snapshot_of_shard(shard);
        Ok(move |sink: &mut dyn Sink| {
            let own = if own && shard.is_first() {
                own_page(&content, format)?
            } else {
                openmetrics::end(format).to_owned()
            };
            let mut own = OwnFamilies::parse(&own);
            render_with(&snapshot, &mut own, format, sink)?;
            sink.chunk(own.remaining().as_bytes())
        })
    };
    Ok(options.stream(&http, format.content_type(), find).await)
}

/// Returns the series of one agent.
pub(super) async fn agent(
    State(http): State<Arc<HttpState>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    options: ResponseOptions,
) -> Answer {
    Query::try_new(query.as_deref(), &[])?;
    let format = options.format;
    let content = Arc::clone(&http);
    let find = move || {
        let snapshot = content.collector.registry.snapshot_of(&id);
        let snapshot =
            snapshot.ok_or_else(|| HttpError::not_found("agent not connected; see /api/agents"))?;
        Ok(move |sink: &mut dyn Sink| {
            render(&snapshot, format, sink)?;
            sink.chunk(openmetrics::end(format).as_bytes())
        })
    };
    Ok(options.stream_agent(&http, format.content_type(), find).await)
}

/// Returns the collector's own metrics. This page needs no scrape permit, so that an operator can
/// see why scrapes are refused.
pub(super) async fn own(
    State(http): State<Arc<HttpState>>,
    RawQuery(query): RawQuery,
    options: ResponseOptions,
) -> Answer {
    Query::try_new(query.as_deref(), &[])?;
    let format = options.format;
    Ok(match own_page(&http, format) {
        Ok(page) => options.small(format.content_type(), page.into_bytes()),
        Err(Disconnected) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    })
}

fn own_page(http: &HttpState, format: Format) -> Result<String, Disconnected> {
    let mut page = String::new();
    if let Err(error) = prometheus_client::encoding::text::encode(&mut page, &http.metrics) {
        error!(%error, "cannot encode the collector's own metrics");
        return Err(Disconnected);
    }
    Ok(match format {
        Format::Text => openmetrics::to_text(&page),
        Format::OpenMetrics => page,
    })
}
