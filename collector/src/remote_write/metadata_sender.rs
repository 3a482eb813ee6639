//! Sends the metadata of all families to a destination, as Prometheus does: again and again,
//! because engines keep it in memory.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use fleetgauge_proto::catalog::Family;
use prometheus_client::registry::Registry as MetricsRegistry;
use tokio::time::MissedTickBehavior;
use tracing::debug;

use super::client::Client;
use super::compression::Compressor;
use super::destination::Destination;
use super::metadata::write_metadata;
use super::outcome::Outcome;
use super::own_metrics;
use crate::state::CollectorState;

/// Maximum families of a request, as in Prometheus.
const MAX_FAMILIES: usize = 2_000;
/// Maximum time until metadata is sent first, so that a new collector's series have it soon.
const MAX_FIRST_DELAY: Duration = Duration::from_secs(5);

/// Sends the metadata of a destination. Never completes.
pub(super) async fn run(
    collector: Arc<CollectorState>,
    metrics: Arc<MetricsRegistry>,
    destination: Arc<Destination>,
) {
    let interval = destination.settings.metadata_interval;
    let first = tokio::time::Instant::now() + interval.min(MAX_FIRST_DELAY);
    let mut ticks = tokio::time::interval_at(first, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut client = Client::new(&destination.settings);
    let mut compressor = Compressor::default();
    loop {
        ticks.tick().await;
        let catalogs = collector.registry.catalogs().in_use();
        let is_own = destination.settings.own_metrics;
        let own = if is_own { own_metrics::families(&metrics) } else { Vec::new() };
        let families = catalogs.iter().flat_map(|catalog| &catalog.catalog().families);
        for (body, families) in requests(families.chain(&own), &destination) {
            let encoding = destination.compression.encoding();
            let Ok(body) = compressor.compress(&body, encoding) else { continue };
            let reply = client.send(body, encoding).await;
            destination.metrics.request(reply.outcome.status());
            if reply.outcome == Outcome::Accepted {
                destination.metrics.metadata.inc_by(families as u64);
            } else {
                // The samples meet the same problem, and their senders log it.
                debug!(remote_name = &*destination.settings.name, "metadata not accepted");
                break;
            }
        }
    }
}

/// Returns the bodies of requests with the metadata of all families, each once, and the number of
/// families in each.
fn requests<'a>(
    all: impl Iterator<Item = &'a Family>,
    destination: &Destination,
) -> Vec<(Vec<u8>, usize)> {
    let mut requests = Vec::new();
    let (mut body, mut families) = (Vec::new(), 0);
    let mut known = HashSet::new();
    for family in all {
        if !known.insert(&*family.name)
            || !write_metadata(family, &destination.settings.rules, &mut body)
        {
            continue;
        }
        families += 1;
        if families == MAX_FAMILIES {
            requests.push((std::mem::take(&mut body), families));
            families = 0;
        }
    }
    if families > 0 {
        requests.push((body, families));
    }
    requests
}
