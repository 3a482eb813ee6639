//! `/api/agents`: who is connected, a page of them at a time.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use fleetgauge_proto::AgentId;
use serde::Serialize;

use super::query::{Query, shown};
use super::refused::Refused;
use super::stream::Reader;
use super::{Site, json};
use crate::exposition::{Broken, Sink, agent_of, static_labels};
use crate::peer::Introduction;
use crate::shared::Shared;

/// Agents on a page: as many as are asked for, and at most.
const DEFAULT_LIMIT: u64 = 1_000;
const MAX_LIMIT: u64 = 10_000;

/// An agent that is connected.
#[derive(Serialize)]
struct Connected<'a> {
    id: &'a str,
    /// Those that it gives itself.
    labels: BTreeMap<&'a str, Cow<'a, str>>,
    address: String,
    /// When it introduced itself, in unix seconds.
    since: u32,
    /// When its newest report came, in unix seconds.
    last_report: u64,
    /// `None` if it says none, or if too many are known.
    version: Option<Box<str>>,
    series: usize,
}

/// A page of agents and the way to the next one.
pub(super) async fn agents(
    State(site): State<Arc<Site>>,
    RawQuery(query): RawQuery,
    reader: Reader,
) -> Result<Response, Refused> {
    let query = Query::try_new(query.as_deref(), &["limit", "after"])?;
    let limit = query.number("limit", 1, MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let after = query.get("after").map(cursor).transpose()?;
    if let Some(head) = reader.head(json::CONTENT_TYPE) {
        return Ok(head);
    }
    let shared = Arc::clone(&site.shared);
    let find = move || {
        let mut labels: Vec<_> = shared.registry.roll(after.as_ref(), limit + 1).collect();
        let more = labels.len() > limit;
        labels.truncate(limit);
        Ok(move |sink: &mut dyn Sink| write(&shared, &labels, more, sink))
    };
    Ok(reader.stream(&site, json::CONTENT_TYPE, find).await)
}

fn write(
    shared: &Shared,
    labels: &[Box<str>],
    more: bool,
    sink: &mut dyn Sink,
) -> Result<(), Broken> {
    let mut list = json::List::open("{\"agents\":[", sink);
    // Who has gone since is not listed.
    for agent in labels.iter().filter_map(|labels| connected(shared, labels)) {
        list.item(&agent)?;
    }
    match labels.last().filter(|_| more) {
        Some(last) => list.close(&format!("],\"next\":\"{}\"}}\n", agent_of(last))),
        None => list.close("],\"next\":null}\n"),
    }
}

fn connected<'a>(shared: &Shared, labels: &'a str) -> Option<Connected<'a>> {
    let id = agent_of(labels);
    let holder = shared.registry.holder(&AgentId::try_new(id).ok()?)?;
    let peer = holder.peer();
    let Introduction { since, version, .. } = peer.introduction();
    let now = shared.clock.moment();
    Some(Connected {
        id,
        labels: static_labels(labels).collect(),
        address: peer.address().to_string(),
        since,
        last_report: now.unix.saturating_sub(now.awake.saturating_sub(peer.reported()) / 1_000),
        version: shared.versions.text(version),
        series: holder.seat().schema().schema().series,
    })
}

fn cursor(text: &str) -> Result<AgentId, Refused> {
    AgentId::try_new(text).map_err(|_| {
        let text = shown(text);
        Refused::bad_request(format!("after={text} is no agent's id: use the page's next"))
    })
}
