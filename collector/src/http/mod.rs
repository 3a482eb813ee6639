//! The HTTP port: what is found where. Nothing here knows how a page is made or how a connection is kept.

mod accept;
mod api;
mod authorize;
mod fleet;
mod json;
mod pages;
mod places;
mod query;
mod refused;
mod roster;
mod sd;
mod secure;
mod server;
mod socket;
mod stream;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use prometheus_client::registry::Registry as OwnRegistry;
use tokio::sync::Semaphore;

use crate::roster::Return;
use crate::shared::Shared;

pub(crate) use server::serve;

const INDEX: &str = "fleetgauge collector\n\n\
    /metrics              all agents' series and the collector's own\n\
    /metrics/agents       all agents' series\n\
    /metrics/agents/{id}  one agent's series\n\
    /metrics/self         the collector's own\n\
    /metrics/fleet        how every gauge is spread over the agents; ?by=role for each role, ?family=… for one gauge\n\
    /sd                   where to scrape, for Prometheus' http_sd; ?shards=4 in four parts\n\
    /sd/agents            every agent as a target of its own\n\
    /metrics/roster       which agents are up, and which ought to be\n\
    /api/agents           who is connected, ?limit= at a time; ?after= the page's next\n\
    /api/departed         agents that have gone: when, and why\n\
    /api/departed/{id}    DELETE forgets one, for users that may\n\
    /healthz              200 while the process runs\n\
    /readyz               200 while agents are accepted\n\n\
    /metrics, /metrics/agents and /metrics/roster come in parts with ?shard=0&shards=4 and so on.\n";

/// What the pages are made from.
#[derive(Debug)]
pub(crate) struct Site {
    /// The collector.
    pub shared: Arc<Shared>,
    /// Its own metrics.
    pub own: OwnRegistry,
    /// Room for scrapes.
    pub scrapes: Arc<Semaphore>,
}

fn router(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(async || INDEX))
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
        .layer(from_fn_with_state(Arc::clone(&site), authorize::authorize))
        // Who asks for these knows no secret: balancers, kubelets.
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .with_state(site)
}

async fn ready(State(site): State<Arc<Site>>) -> Response {
    if site.shared.draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response()
    } else if site.shared.trust.read().readers.is_some() {
        // How large the fleet is is not everybody's business.
        "ready\n".into_response()
    } else {
        let Return { awaited, returned, missing } = site.shared.roster.progress();
        match missing {
            0 => "ready\n".into_response(),
            _ => format!("ready; warming up, {returned} of {awaited} returned\n").into_response(),
        }
    }
}
