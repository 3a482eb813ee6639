//! The tasks of remote write.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry as MetricsRegistry;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::metadata_sender;
use super::own_metrics::{OwnMetrics, default_instance};
use super::sender::Sender;
use crate::config::Protocol;
use crate::state::CollectorState;

/// Interval at which the gauges of the queues are updated, and the state of agents that do not
/// return is dropped.
const TICK: Duration = Duration::from_secs(1);
/// Interval at which paused replays are tried again.
const REPLAY_TICK: Duration = Duration::from_millis(250);

/// The running tasks of remote write.
#[derive(Debug, Default)]
pub(crate) struct RemoteWriteTasks {
    senders: JoinSet<()>,
    /// The task that gives markers of agents that are gone to the lanes.
    tick: JoinSet<()>,
    /// Tasks that end when they are dropped.
    others: JoinSet<()>,
    /// Ends `tick`.
    stop_tick: CancellationToken,
    /// Ends the forwarding of own metrics.
    stop: CancellationToken,
    /// Ends all retries.
    abort: CancellationToken,
}

impl RemoteWriteTasks {
    /// Starts the tasks; none if the collector has no destinations.
    /// `metrics` are the collector's own metrics, `http` is the address of its HTTP port.
    pub(crate) fn start(
        collector: &Arc<CollectorState>,
        metrics: &Arc<MetricsRegistry>,
        http: SocketAddr,
    ) -> Self {
        let mut tasks = Self::default();
        let Some(forwarder) = &collector.forwarder else { return tasks };
        let instance = default_instance(&collector.config, http);
        for (index, destination) in forwarder.destinations().iter().enumerate() {
            for lane in 0..destination.lanes().len() {
                let sender = Sender::new(collector, destination, index, &tasks.abort);
                tasks.senders.spawn(sender.run(lane));
            }
            // Series of remote write 2.0 have their metadata.
            if destination.settings.protocol == Protocol::V1 {
                let (collector, metrics) = (Arc::clone(collector), Arc::clone(metrics));
                let destination = Arc::clone(destination);
                tasks.others.spawn(metadata_sender::run(collector, metrics, destination));
            }
            if destination.settings.own_metrics {
                let own = OwnMetrics::new(collector, destination, metrics, &instance);
                tasks.senders.spawn(own.run(tasks.stop.clone(), tasks.abort.clone()));
            }
        }
        tasks.tick.spawn(tick(Arc::clone(collector), tasks.stop_tick.clone()));
        tasks.others.spawn(wake_replays(Arc::clone(collector)));
        tasks
    }

    /// Sends what is queued. Gives up after `limit`.
    pub(crate) async fn stop(mut self, collector: &CollectorState, limit: Duration) {
        let Some(forwarder) = &collector.forwarder else { return };
        // A lane whose sender has ended would lose markers, which the journal says are sent.
        self.stop_tick.cancel();
        while self.tick.join_next().await.is_some() {}
        for lane in forwarder.destinations().iter().flat_map(|destination| destination.lanes()) {
            lane.stop();
        }
        self.stop.cancel();
        let all = async { while self.senders.join_next().await.is_some() {} };
        if tokio::time::timeout(limit, all).await.is_ok() {
            return;
        }
        self.abort.cancel();
        warn!("remote write stopped before all samples were sent");
        while self.senders.join_next().await.is_some() {}
    }
}

async fn tick(collector: Arc<CollectorState>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let Some(forwarder) = &collector.forwarder else { return };
        forwarder.expire(Instant::now());
        forwarder.update_gauges(collector.clock.unix_ms());
        if forwarder.awaits_agents() {
            let collector = Arc::clone(&collector);
            // On a blocking thread, because decoding many agents takes long.
            let mark = move || {
                collector.forwarder.iter().for_each(|own| own.mark_not_returned(&collector));
            };
            if tokio::task::spawn_blocking(mark).await.is_err() {
                return;
            }
        }
    }
}

async fn wake_replays(collector: Arc<CollectorState>) {
    let mut ticks = tokio::time::interval(REPLAY_TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(forwarder) = &collector.forwarder else { return };
        forwarder.replays().wake_paused();
    }
}
