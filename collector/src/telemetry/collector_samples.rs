//! The metrics of a collector that are computed at scrape time.

use std::sync::Arc;

use super::process;
use super::sample::MetricSample::{self, Counter, Gauge};
use crate::state::CollectorState;

/// Returns a function that computes the samples. It does not keep the collector alive.
pub(crate) fn of(
    collector: &Arc<CollectorState>,
) -> impl Fn() -> Vec<MetricSample> + Send + Sync + 'static {
    let collector = Arc::downgrade(collector);
    move || {
        let mut samples = process::samples();
        let Some(collector) = collector.upgrade() else { return samples };
        samples.extend(collector.roster.samples());
        samples.extend(fleet(&collector));
        samples.extend(certificates(&collector));
        if collector.config.classic {
            samples.push(agents("clients_connected", &collector));
        }
        samples
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn agents(name: &'static str, collector: &CollectorState) -> MetricSample {
    Gauge(name, "Agents whose series are shown.", collector.registry.agent_count() as f64)
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn fleet(collector: &CollectorState) -> Vec<MetricSample> {
    let CollectorState { admission, registry, config, .. } = collector;
    let budget = &admission.budget;
    vec![
        agents("fleetgauge_agents_connected", collector),
        Gauge(
            "fleetgauge_addresses",
            "Addresses of which something is known: who holds connections, or has lately.",
            admission.addresses.len() as f64,
        ),
        Gauge(
            "fleetgauge_reconnect_wait_seconds",
            "How long the next agent over the handshake limit would be told to wait.",
            admission.pacer.queue(collector.clock.now()) as f64 / 1000.0,
        ),
        Gauge(
            "fleetgauge_memory_bytes",
            "Memory taken by agents' connections, rows, schemas and unfinished frames, as counted.",
            budget.taken() as f64,
        ),
        Gauge(
            "fleetgauge_memory_limit_bytes",
            "Most memory that agents may take, as configured.",
            budget.limit() as f64,
        ),
        Counter(
            "fleetgauge_memory_refusals",
            "Connections, agents, schemas and frames refused because memory had run out.",
            budget.refusals() as f64,
        ),
        Gauge(
            "fleetgauge_schemas",
            "Schemas kept, in use or not.",
            registry.schemas().len() as f64,
        ),
        Gauge(
            "fleetgauge_connections_limit",
            "Most agent connections, as configured.",
            config.bounds.connections as f64,
        ),
        Gauge(
            "fleetgauge_schemas_limit",
            "Most schemas, as configured.",
            config.bounds.schemas.schemas as f64,
        ),
        Gauge(
            "fleetgauge_families_suppressed",
            "Families of connected agents' schemas that the shared pages suppress now.",
            registry.families_suppressed() as f64,
        ),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "timestamps stay far below 2^53")]
fn certificates(collector: &CollectorState) -> [MetricSample; 2] {
    let policy = collector.auth.current();
    [
        (
            "fleetgauge_tls_certificate_expiry_timestamp_seconds",
            "When the certificate of the agents' port expires.",
            &policy.tls,
        ),
        (
            "fleetgauge_http_tls_certificate_expiry_timestamp_seconds",
            "When the certificate of the HTTP port expires.",
            &policy.http_tls,
        ),
    ]
    .map(|(name, help, port)| {
        Gauge(name, help, port.as_ref().map_or(0.0, |port| port.expires() as f64))
    })
}
