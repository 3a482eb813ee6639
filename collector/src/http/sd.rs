//! Service discovery for Prometheus (`http_sd`): status 200 with the complete list, or an error.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use serde::Serialize;

use super::error::HttpError;
use super::query::Query;
use super::response::ResponseOptions;
use super::scrape_target::ScrapeTarget;
use super::{HttpState, json};
use crate::exposition::{Sink, agent_of, static_labels};
use crate::registry::FleetShard;

/// Path of the page whose shards are listed as targets.
const PATH: &str = "/metrics/agents";

/// A target group in Prometheus's format: targets, and labels that they share.
#[derive(Serialize)]
struct Group<'a> {
    targets: [&'a str; 1],
    labels: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}

/// Lists the page of all agents as one target or, with the parameter `shards`, as one for each
/// shard.
pub(super) async fn shards(
    State(http): State<Arc<HttpState>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    options: ResponseOptions,
) -> Result<Response, HttpError> {
    let shards = Query::try_new(query.as_deref(), &["shards"])?;
    let shards = shards.number("shards", 1, FleetShard::MAX)?;
    let target = target(&http, &headers)?;
    let mut page = Vec::new();
    let mut list = json::List::open("[", &mut page);
    for shard in 0..shards.unwrap_or(1) {
        let mut labels = BTreeMap::from([("__metrics_path__".into(), PATH.into())]);
        if let Some(shards) = shards {
            labels.insert("__param_shard".into(), shard.to_string().into());
            labels.insert("__param_shards".into(), shards.to_string().into());
        }
        // A `Vec` is never disconnected.
        let _ = list.item(&Group { targets: [target.as_str()], labels });
    }
    let _ = list.close("]\n");
    Ok(options.small(json::CONTENT_TYPE, page))
}

/// Lists the page of each connected agent as a target.
pub(super) async fn agents(
    State(http): State<Arc<HttpState>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    options: ResponseOptions,
) -> Result<Response, HttpError> {
    Query::try_new(query.as_deref(), &[])?;
    let target = target(&http, &headers)?;
    if let Some(head) = options.head(json::CONTENT_TYPE) {
        return Ok(head);
    }
    let collector = Arc::clone(&http.collector);
    let find = move || {
        Ok(move |sink: &mut dyn Sink| {
            let mut list = json::List::open("[", sink);
            for labels in collector.registry.labels_after(None, usize::MAX) {
                list.item(&agent_group(target.as_str(), &labels))?;
            }
            list.close("]\n")
        })
    };
    Ok(options.stream(&http, json::CONTENT_TYPE, find).await)
}

/// Returns the target group of an agent with these labels.
fn agent_group<'a>(target: &'a str, labels: &'a str) -> Group<'a> {
    let id = agent_of(labels);
    let mut of_target: BTreeMap<Cow<'a, str>, Cow<'a, str>> = static_labels(labels)
        .map(|(name, value)| (format!("__meta_fleetgauge_label_{name}").into(), value))
        .collect();
    of_target.insert("__metrics_path__".into(), format!("{PATH}/{id}").into());
    of_target.insert("instance".into(), id.into());
    Group { targets: [target], labels: of_target }
}

/// Returns the configured scrape target or, without one, the `Host` of this request.
fn target(http: &HttpState, headers: &HeaderMap) -> Result<ScrapeTarget, HttpError> {
    if let Some(advertised) = &http.collector.config.advertise {
        return Ok(advertised.clone());
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    host.and_then(ScrapeTarget::try_new).ok_or_else(|| {
        HttpError::bad_request(
            "invalid Host header; send HOST:PORT, or start the collector with --advertise",
        )
    })
}
