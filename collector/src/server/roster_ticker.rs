//! Expires awaited agents, and logs the progress of a warm-up.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tracing::info;

use crate::roster::WarmupProgress;
use crate::state::CollectorState;

/// Interval at which awaited agents and old departures expire.
const TICK: Duration = Duration::from_secs(1);
/// Interval of log lines during a warm-up.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Runs the roster ticker. Never completes.
pub(crate) async fn run(collector: Arc<CollectorState>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut log = WarmupLog { logged_at: Instant::now(), warming_up: false };
    loop {
        log.update(collector.roster.progress());
        ticks.tick().await;
        let collector = Arc::clone(&collector);
        // On a blocking thread, because expiring a whole fleet takes long.
        let expire = move || collector.roster.expire(collector.clock.moment());
        if tokio::task::spawn_blocking(expire).await.is_err() {
            return;
        }
    }
}

/// Progress of the warm-up at its last log line.
struct WarmupLog {
    logged_at: Instant,
    warming_up: bool,
}

impl WarmupLog {
    fn update(&mut self, progress: WarmupProgress) {
        let WarmupProgress { awaited, returned, missing } = progress;
        let warming_up = progress.warming_up();
        if warming_up && (!self.warming_up || self.logged_at.elapsed() >= LOG_EVERY) {
            info!(awaited, returned, missing, "warming up");
            self.logged_at = Instant::now();
        } else if self.warming_up && !warming_up {
            info!(awaited, returned, "warmed up");
        }
        self.warming_up = warming_up;
    }
}
