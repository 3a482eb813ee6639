//! Service discovery for Prometheus (`http_sd`): always 200 with the complete list, or no list.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use serde::Serialize;

use super::query::Query;
use super::refused::Refused;
use super::stream::Reader;

use super::{Site, json};
use crate::exposition::{Sink, agent_of, static_labels};
use crate::registry::PageShard;
use crate::target::Target;

/// The page of which the parts are listed.
const PATH: &str = "/metrics/agents";

/// A target and what Prometheus is to know of it before it scrapes.
#[derive(Serialize)]
struct Group<'a> {
    targets: [&'a str; 1],
    labels: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}

/// The page of all agents, as one target or, by `shards`, as several.
pub(super) async fn shards(
    State(site): State<Arc<Site>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    reader: Reader,
) -> Result<Response, Refused> {
    let shards = Query::try_new(query.as_deref(), &["shards"])?;
    let shards = shards.number("shards", 1, PageShard::MOST)?;
    let target = target(&site, &headers)?;
    let mut page = Vec::new();
    let mut list = json::List::open("[", &mut page);
    for shard in 0..shards.unwrap_or(1) {
        let mut labels = BTreeMap::from([("__metrics_path__".into(), PATH.into())]);
        if let Some(shards) = shards {
            labels.insert("__param_shard".into(), shard.to_string().into());
            labels.insert("__param_shards".into(), shards.to_string().into());
        }
        // A Vec takes everything.
        let _ = list.item(&Group { targets: [target.as_str()], labels });
    }
    let _ = list.close("]\n");
    Ok(reader.small(json::CONTENT_TYPE, page))
}

/// Every connected agent as a target of its own.
pub(super) async fn agents(
    State(site): State<Arc<Site>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    reader: Reader,
) -> Result<Response, Refused> {
    Query::try_new(query.as_deref(), &[])?;
    let target = target(&site, &headers)?;
    if let Some(head) = reader.head(json::CONTENT_TYPE) {
        return Ok(head);
    }
    let shared = Arc::clone(&site.shared);
    let find = move || {
        Ok(move |sink: &mut dyn Sink| {
            let mut list = json::List::open("[", sink);
            for labels in shared.registry.roll(None, usize::MAX) {
                list.item(&one(target.as_str(), &labels))?;
            }
            list.close("]\n")
        })
    };
    Ok(reader.stream(&site, json::CONTENT_TYPE, find).await)
}

/// An agent as a target, from the labels of its series.
fn one<'a>(target: &'a str, labels: &'a str) -> Group<'a> {
    let id = agent_of(labels);
    let mut of_target: BTreeMap<Cow<'a, str>, Cow<'a, str>> = static_labels(labels)
        .map(|(name, value)| (format!("__meta_fleetgauge_label_{name}").into(), value))
        .collect();
    of_target.insert("__metrics_path__".into(), format!("{PATH}/{id}").into());
    of_target.insert("instance".into(), id.into());
    Group { targets: [target], labels: of_target }
}

/// Where Prometheus is sent: as configured, or where this request was sent.
fn target(site: &Site, headers: &HeaderMap) -> Result<Target, Refused> {
    if let Some(advertised) = &site.shared.config.advertise {
        return Ok(advertised.clone());
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    host.and_then(Target::try_new).ok_or_else(|| {
        Refused::bad_request(
            "the Host header names no target: send HOST:PORT, or start the collector with --advertise",
        )
    })
}
