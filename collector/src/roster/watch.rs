//! Time passes on the roster, and it is said how far the fleet is back.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tracing::info;

use super::Return;
use crate::shared::Shared;

/// How often it looks.
const TICK: Duration = Duration::from_secs(1);
/// How often it says how far the fleet is back.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Watches for ever.
pub(crate) async fn watch(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = Said { at: Instant::now(), warming_up: false };
    loop {
        said.progress(shared.roster.progress());
        ticks.tick().await;
        let shared = Arc::clone(&shared);
        // To give up a fleet takes longer than others on this thread may be made to wait.
        let pass = move || shared.roster.pass(shared.clock.moment());
        if tokio::task::spawn_blocking(pass).await.is_err() {
            return;
        }
    }
}

/// What was said last.
struct Said {
    at: Instant,
    warming_up: bool,
}

impl Said {
    fn progress(&mut self, progress: Return) {
        let Return { awaited, returned, missing } = progress;
        let warming_up = progress.warming_up();
        if warming_up && (!self.warming_up || self.at.elapsed() >= SAY_EVERY) {
            info!(awaited, returned, missing, "warming up");
            self.at = Instant::now();
        } else if self.warming_up && !warming_up {
            info!(awaited, returned, "warmed up");
        }
        self.warming_up = warming_up;
    }
}
