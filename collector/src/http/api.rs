//! `/api/agents`: the connected agents as JSON, paginated.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use fleetgauge_proto::AgentId;
use serde::Serialize;

use super::error::HttpError;
use super::query::{Query, quoted};
use super::response::ResponseOptions;
use super::{HttpState, json};
use crate::exposition::{Disconnected, Sink, agent_of, static_labels};
use crate::peers::handle::HelloInfo;
use crate::state::CollectorState;

/// Default number of agents in a response. The maximum is [`MAX_LIMIT`].
const DEFAULT_LIMIT: u64 = 1_000;
const MAX_LIMIT: u64 = 10_000;

/// A connected agent, as shown in the response.
#[derive(Serialize)]
struct Connected<'a> {
    id: &'a str,
    /// The agent's static labels.
    labels: BTreeMap<&'a str, Cow<'a, str>>,
    address: String,
    /// Time of the agent's Hello, in unix seconds.
    since: u32,
    /// Time of the agent's newest report, in unix seconds.
    last_report: u64,
    /// Version of the agent's program; `None` if the agent sends none, or if too many different
    /// versions are already stored.
    version: Option<Box<str>>,
    series: usize,
    /// Rows of tables with row labels.
    rows: usize,
}

/// Returns up to `limit` agents, and a cursor to request the next ones.
pub(super) async fn agents(
    State(http): State<Arc<HttpState>>,
    RawQuery(query): RawQuery,
    options: ResponseOptions,
) -> Result<Response, HttpError> {
    let query = Query::try_new(query.as_deref(), &["limit", "after"])?;
    let limit = query.number("limit", 1, MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let after = query.get("after").map(cursor).transpose()?;
    if let Some(head) = options.head(json::CONTENT_TYPE) {
        return Ok(head);
    }
    let collector = Arc::clone(&http.collector);
    let find = move || {
        let labels = collector.registry.labels_after(after.as_ref(), limit + 1);
        let mut labels: Vec<_> = labels.collect();
        let more = labels.len() > limit;
        labels.truncate(limit);
        Ok(move |sink: &mut dyn Sink| write(&collector, &labels, more, sink))
    };
    Ok(options.stream(&http, json::CONTENT_TYPE, find).await)
}

fn write(
    collector: &CollectorState,
    labels: &[Box<str>],
    more: bool,
    sink: &mut dyn Sink,
) -> Result<(), Disconnected> {
    let mut list = json::List::open("{\"agents\":[", sink);
    // Skips agents that have left since their labels were copied.
    for agent in labels.iter().filter_map(|labels| connected(collector, labels)) {
        list.item(&agent)?;
    }
    match labels.last().filter(|_| more) {
        Some(last) => list.close(&format!("],\"next\":\"{}\"}}\n", agent_of(last))),
        None => list.close("],\"next\":null}\n"),
    }
}

fn connected<'a>(collector: &CollectorState, labels: &'a str) -> Option<Connected<'a>> {
    let id = agent_of(labels);
    let agent = collector.registry.find(&AgentId::try_new(id).ok()?)?;
    let layout = agent.layout()?;
    let handle = agent.handle();
    let HelloInfo { since, version, .. } = handle.hello();
    let now = collector.clock.moment();
    Some(Connected {
        id,
        labels: static_labels(labels).collect(),
        address: handle.address().to_string(),
        since,
        last_report: now.unix.saturating_sub(now.awake.saturating_sub(handle.reported()) / 1_000),
        version: collector.versions.text(version),
        series: layout.series(),
        rows: layout.rows(),
    })
}

fn cursor(text: &str) -> Result<AgentId, HttpError> {
    AgentId::try_new(text).map_err(|_| {
        let text = quoted(text);
        HttpError::bad_request(format!(
            "invalid after={text}; use the value of next in the previous response"
        ))
    })
}
