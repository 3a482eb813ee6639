//! What the roster needs done while the collector runs: time passes on it, it is said how far the fleet is back, and
//! what has changed is kept on disk. All on threads that may block.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tracing::{error, info, warn};

use super::store::{BadDirectory, Store};
use super::{Census, Return};
use crate::shared::Shared;

/// How often it looks.
const TICK: Duration = Duration::from_secs(1);
/// How often it says how far the fleet is back.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Keeps one roster.
#[derive(Debug)]
pub struct Keeper {
    shared: Arc<Shared>,
    store: Option<Store>,
    /// The changes that the file has.
    saved: u64,
    saved_at: Instant,
    said_at: Instant,
    warming_up: bool,
}

impl Keeper {
    /// Opens the directory, where one is configured, and lets the roster know what was known before.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub fn open(shared: &Arc<Shared>) -> Result<Self, BadDirectory> {
        let now = shared.clock.moment();
        let directory = shared.config.state.directory.as_deref();
        let store = directory.map(Store::open).transpose()?;
        if let Some(store) = &store {
            match store.load(now.unix) {
                Ok(known) => shared.roster.restore(known, now),
                Err(aside) => {
                    shared.metrics.state_errors.inc();
                    error!(
                        file = %aside.file.display(), damage = %aside.damage, set_aside = ?aside.to,
                        "the state file is damaged; starting without knowing who was connected"
                    );
                }
            }
        }
        let Return { awaited, .. } = shared.roster.progress();
        if awaited > 0 {
            info!(awaited, "warming up");
        }
        let now = Instant::now();
        let warming_up = awaited > 0;
        Ok(Self {
            shared: Arc::clone(shared),
            store,
            saved: 0,
            saved_at: now,
            said_at: now,
            warming_up,
        })
    }

    /// Works for ever; gives itself back when `stop` is done, for the last time to [`Self::save`].
    pub async fn keep(mut self, stop: impl Future<Output = ()>) -> Option<Self> {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return Some(self),
                _ = ticks.tick() => {}
            }
            let work = move || {
                self.work();
                self
            };
            // Only a panic takes it away, and that has been told.
            self = tokio::task::spawn_blocking(work).await.ok()?;
        }
    }

    fn work(&mut self) {
        self.shared.roster.pass(self.shared.clock.moment());
        self.say();
        if self.saved_at.elapsed() >= self.shared.config.state.every {
            self.save();
        }
    }

    fn say(&mut self) {
        let progress = self.shared.roster.progress();
        let Return { awaited, returned, missing } = progress;
        if self.warming_up && !progress.warming_up() {
            self.warming_up = false;
            info!(awaited, returned, "warmed up");
        } else if self.warming_up && self.said_at.elapsed() >= SAY_EVERY {
            self.said_at = Instant::now();
            info!(awaited, returned, missing, "warming up");
        }
    }

    /// Writes the file, if anything has changed. May block.
    pub fn save(&mut self) {
        let Some(store) = &self.store else { return };
        self.saved_at = Instant::now();
        let Shared { registry, roster, clock, metrics, .. } = &*self.shared;
        let changes = roster.changes();
        if changes == self.saved {
            return;
        }
        match store.save(&Census::known(registry, roster), clock.moment().unix) {
            Ok(()) => self.saved = changes,
            Err(error) => {
                metrics.state_errors.inc();
                warn!(%error, "cannot write the state file; trying again");
            }
        }
    }
}
