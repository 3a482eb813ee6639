//! The HTTP port: routes and their handlers. `server` accepts and serves the connections.

mod api;
mod authorize;
mod connection;
mod connection_limiter;
mod drain;
mod error;
mod fleet;
mod json;
mod negotiate;
mod pages;
mod query;
mod response;
mod roster;
pub mod scrape_target;
mod sd;
mod server;
mod socket;
mod tls;
mod watch;
mod web;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use prometheus_client::registry::Registry as MetricsRegistry;
use tokio::sync::Semaphore;

use crate::roster::WarmupProgress;
use crate::state::CollectorState;

pub(crate) use server::start;

/// The body of the response to `/` for clients that are not browsers.
const INDEX: &str = "fleetgauge collector\n\n\
    /                     the fleet, for browsers; also /agents and /agents/{id}\n\
    /metrics              all agents' series and the collector's own metrics\n\
    /metrics/agents       all agents' series\n\
    /metrics/agents/{id}  one agent's series\n\
    /metrics/self         the collector's own metrics\n\
    /metrics/fleet        distribution of each gauge over the agents; ?by=LABEL groups, \
    ?family=NAME selects one\n\
    /sd                   Prometheus http_sd: this collector; ?shards=4 as four targets\n\
    /sd/agents            Prometheus http_sd: each agent as a target\n\
    /metrics/roster       which agents are up, and which are down\n\
    /api/agents           connected agents as JSON; ?limit=N, ?after=ID for the next\n\
    /api/agents/{id}      one connected agent as JSON\n\
    /api/overview         the whole fleet as JSON\n\
    /api/search           agents as JSON; ?q=TEXT, ?state=missing, ?sort=cpu, ?label=NAME=VALUE\n\
    /api/departed         departed agents as JSON, with time and reason\n\
    /api/departed/{id}    DELETE removes a departed agent; requires may_forget\n\
    /api/drain            POST asks agents to leave; ?target=HOST:PORT, ?share=0.25, ?over=30s; \
    requires may_drain\n\
    /healthz              200 while the process runs\n\
    /readyz               200 while agents are accepted\n\n\
    /metrics, /metrics/agents and /metrics/roster accept ?shard=0&shards=4: \
    the first of four shards.\n";

/// The state that all handlers of the HTTP port share.
#[derive(Debug)]
pub(crate) struct HttpState {
    collector: Arc<CollectorState>,
    /// The collector's own metrics.
    metrics: Arc<MetricsRegistry>,
    /// One permit for each concurrent scrape.
    scrapes: Arc<Semaphore>,
    /// One permit for each stream of events.
    watchers: Arc<Semaphore>,
}

impl HttpState {
    /// Creates the state of this collector's HTTP port. `metrics` contains the collector's own
    /// metrics.
    pub(crate) fn new(collector: Arc<CollectorState>, metrics: Arc<MetricsRegistry>) -> Self {
        let bounds = &collector.config.bounds;
        let scrapes = Arc::new(Semaphore::new(bounds.scrapes));
        let watchers = Arc::new(Semaphore::new(watch::max_watchers(bounds.http_connections)));
        Self { collector, metrics, scrapes, watchers }
    }
}

fn router(http: Arc<HttpState>) -> Router {
    Router::new()
        .route("/", get(web::overview))
        .route("/agents", get(web::agents))
        .route("/agents/{id}", get(web::agent))
        .route("/style.css", get(web::style))
        .route("/live.js", get(web::script))
        .route("/icon.svg", get(web::icon))
        .route("/api/overview", get(web::overview_json))
        .route("/api/search", get(web::search_json))
        .route("/api/agents/{id}", get(web::agent_json))
        .route("/metrics", get(pages::all))
        .route("/metrics/agents", get(pages::agents))
        .route("/metrics/agents/{id}", get(pages::agent))
        .route("/metrics/self", get(pages::own))
        .route("/metrics/fleet", get(fleet::page))
        .route("/sd", get(sd::shards))
        .route("/sd/agents", get(sd::agents))
        .route("/metrics/roster", get(roster::up))
        .route("/api/agents", get(api::agents))
        .route("/api/departed", get(roster::departed))
        .route("/api/departed/{id}", delete(roster::forget))
        .route("/api/drain", post(drain::drain))
        .layer(from_fn_with_state(Arc::clone(&http), authorize::authorize))
        // No authorization: load balancers and kubelets have no credential.
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .with_state(http)
}

async fn ready(State(http): State<Arc<HttpState>>) -> Response {
    if http.collector.draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response()
    } else if http.collector.auth.lock().readers.is_some() {
        // Unauthenticated clients must not learn the size of the fleet.
        "ready\n".into_response()
    } else {
        let WarmupProgress { awaited, returned, missing } = http.collector.roster.progress();
        match missing {
            0 => "ready\n".into_response(),
            _ => format!("ready; warming up, {returned} of {awaited} agents returned\n")
                .into_response(),
        }
    }
}
