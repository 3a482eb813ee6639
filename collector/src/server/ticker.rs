//! The ticker: one timer for all connections.
//!
//! At each tick it corrects the collector's clock after a freeze, updates the retry pacer, wakes
//! the sessions whose deadline has passed, frees idle memory and pings the systemd watchdog.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::time::MissedTickBehavior;
use tracing::warn;

use crate::clock::{Millis, TICK};
use crate::state::CollectorState;
use crate::systemd::notify::Watchdog;
use crate::web::Point;

/// Interval at which idle source addresses are forgotten.
const FORGET_ADDRESSES_EVERY: Millis = 10_000;

/// Runs the ticker. Never completes.
pub(crate) async fn run(collector: Arc<CollectorState>, mut watchdog: Option<Watchdog>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = collector.clock.now();
    let mut addresses_at = FORGET_ADDRESSES_EVERY;
    loop {
        ticks.tick().await;
        collector.clock.set_time_of_day(SystemTime::now());
        let frozen = collector.clock.tick();
        if !frozen.is_zero() {
            collector.telemetry.metrics.frozen_seconds.inc_by(frozen.as_secs_f64());
            warn!(seconds = frozen.as_secs_f64(), "collector was frozen; agent deadlines extended");
        }
        let now = collector.clock.now();
        collector.admission.pacer.learn(now.saturating_sub(last));
        last = now;
        for handle in collector.admission.connections.iter() {
            handle.wake_if_due(now);
        }
        if addresses_at <= now {
            collector.admission.addresses.forget_idle(now);
            addresses_at = now + FORGET_ADDRESSES_EVERY;
        }
        collector.telemetry.log_limiter.sum_up(now);
        remember(&collector, now);
        collector.shrink();
        if let Some(watchdog) = &mut watchdog {
            watchdog.ping(Instant::now(), collector.registry.agent_count());
        }
    }
}

/// Notes figures of the fleet for the pages, and drops what nobody looks at.
fn remember(collector: &CollectorState, now: Millis) {
    let point = || Point {
        at: now,
        agents: collector.registry.agent_count(),
        reports: collector.telemetry.metrics.reports(),
        samples: collector.telemetry.metrics.samples.get(),
        presence: collector.web.presence.totals(),
    };
    collector.web.history.add(point, now);
    collector.web.fleet.expire(now);
}
