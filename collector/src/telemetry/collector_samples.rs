//! The metrics of a collector that are computed at scrape time.

use std::sync::Arc;

use super::process;
use super::sample::MetricSample::{self, Counter, Gauge};
use crate::state::CollectorState;

/// Returns a function that computes the samples. The function holds only a weak reference to the
/// collector.
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
        samples.extend(replays(&collector).into_iter().flatten());
        if collector.config.classic {
            samples.push(agents("clients_connected", &collector));
        }
        samples
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn agents(name: &'static str, collector: &CollectorState) -> MetricSample {
    Gauge(name, "Agents whose series are exposed.", collector.registry.agent_count() as f64)
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn fleet(collector: &CollectorState) -> Vec<MetricSample> {
    let CollectorState { admission, registry, config, .. } = collector;
    let budget = &admission.budget;
    vec![
        agents("fleetgauge_agents_connected", collector),
        Gauge(
            "fleetgauge_series",
            "Series of connected agents, absent ones included; a histogram counts as one.",
            registry.series_count() as f64,
        ),
        Gauge(
            "fleetgauge_rows",
            "Rows of connected agents, in tables with row labels.",
            registry.row_count() as f64,
        ),
        Gauge(
            "fleetgauge_addresses",
            "Source addresses currently tracked.",
            admission.addresses.len() as f64,
        ),
        Gauge(
            "fleetgauge_reconnect_wait_seconds",
            "Retry delay that the next agent over the handshake limit would get.",
            admission.pacer.queue(collector.clock.now()) as f64 / 1000.0,
        ),
        Gauge(
            "fleetgauge_memory_bytes",
            "Memory charged to agents: connections, values, labels, rows, catalogs and incomplete \
             frames.",
            budget.taken() as f64,
        ),
        Gauge(
            "fleetgauge_memory_limit_bytes",
            "Maximum of fleetgauge_memory_bytes, as configured.",
            budget.limit() as f64,
        ),
        Counter(
            "fleetgauge_memory_refusals",
            "Connections, agents, catalogs and frames refused at the memory limit.",
            budget.refusals() as f64,
        ),
        Gauge(
            "fleetgauge_catalogs",
            "Catalogs stored, in use or not.",
            registry.catalogs().len() as f64,
        ),
        Gauge(
            "fleetgauge_connections_limit",
            "Maximum agent connections, as configured.",
            config.bounds.connections as f64,
        ),
        Gauge(
            "fleetgauge_catalogs_limit",
            "Maximum catalogs, as configured.",
            config.bounds.catalogs.catalogs as f64,
        ),
        Gauge(
            "fleetgauge_families_suppressed",
            "Families of connected agents that the shared pages suppress.",
            registry.families_suppressed() as f64,
        ),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn replays(collector: &CollectorState) -> Option<[MetricSample; 2]> {
    let (running, waiting) = collector.forwarder.as_ref()?.replays().counts();
    Some([
        Gauge(
            "fleetgauge_replays_running",
            "Agents that send reports again from their logs.",
            running as f64,
        ),
        Gauge(
            "fleetgauge_replays_waiting",
            "Agents that wait until they may send reports again from their logs.",
            waiting as f64,
        ),
    ])
}

#[expect(clippy::cast_precision_loss, reason = "timestamps stay far below 2^53")]
fn certificates(collector: &CollectorState) -> [MetricSample; 2] {
    let policy = collector.auth.current();
    [
        (
            "fleetgauge_tls_certificate_expiry_timestamp_seconds",
            "Expiry of the agent port's certificate, unix time; 0 without one.",
            &policy.tls,
        ),
        (
            "fleetgauge_http_tls_certificate_expiry_timestamp_seconds",
            "Expiry of the HTTP port's certificate, unix time; 0 without one.",
            &policy.http_tls,
        ),
    ]
    .map(|(name, help, port)| {
        Gauge(name, help, port.as_ref().map_or(0.0, |port| port.expires() as f64))
    })
}
