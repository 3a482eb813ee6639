//! The sweep: takes freezes off the collector's clock, lets the pacer learn, wakes the sessions whose deadline
//! has come, gives back what a fleet that has left leaves idle, and feeds the service manager's watchdog.
//!
//! It takes the place of a timer a connection.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::time::MissedTickBehavior;
use tracing::warn;

use crate::clock::{Millis, TICK};
use crate::shared::Shared;
use crate::supervisor::Pulse;

/// How often addresses are looked at that nobody comes from any more.
const ADDRESSES_EVERY: Millis = 10_000;

/// Sweeps for ever.
pub(crate) async fn sweep(shared: Arc<Shared>, mut pulse: Option<Pulse>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = shared.clock.now();
    let mut addresses_at = ADDRESSES_EVERY;
    loop {
        ticks.tick().await;
        shared.clock.set_time_of_day(SystemTime::now());
        let frozen = shared.clock.tick();
        if !frozen.is_zero() {
            shared.metrics.frozen_seconds.inc_by(frozen.as_secs_f64());
            warn!(
                seconds = frozen.as_secs_f64(),
                "the collector did not run; agents' deadlines move by as much"
            );
        }
        let now = shared.clock.now();
        shared.pacer.learn(now.saturating_sub(last));
        last = now;
        for peer in shared.peers.iter() {
            peer.sweep(now);
        }
        if addresses_at <= now {
            shared.addresses.sweep(now);
            addresses_at = now + ADDRESSES_EVERY;
        }
        shared.untold.sum_up(now);
        shared.shrink();
        if let Some(pulse) = &mut pulse {
            pulse.beat(Instant::now(), shared.registry.agents());
        }
    }
}
