//! Keeps the roster on disk, on threads that may block.

use std::sync::Arc;

use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::{error, warn};

use super::Census;
use super::store::{BadDirectory, Store};
use crate::shared::Shared;

/// Keeps one roster.
#[derive(Debug)]
pub struct Keeper {
    shared: Arc<Shared>,
    /// Where; `None`: nowhere.
    store: Option<Store>,
    /// The changes that the file has.
    saved: u64,
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
        Ok(Self { shared: Arc::clone(shared), store, saved: 0 })
    }

    /// Saves what has changed from time to time; gives itself back when `stop` is done, for the last time to
    /// [`Self::save`]. `None` if that has panicked.
    pub async fn keep(mut self, stop: impl Future<Output = ()>) -> Option<Self> {
        let every = self.shared.config.state.every;
        let mut ticks = interval_at(Instant::now() + every, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return Some(self),
                _ = ticks.tick() => {}
            }
            let save = move || {
                self.save();
                self
            };
            self = tokio::task::spawn_blocking(save).await.ok()?;
        }
    }

    /// Writes the file, if anything has changed. May block.
    pub fn save(&mut self) {
        let Some(store) = &self.store else { return };
        let Shared { registry, roster, clock, metrics, .. } = &*self.shared;
        let changes = roster.changes();
        if changes == self.saved {
            return;
        }
        match store.save(&Census::known(registry, roster), clock.moment().unix) {
            Ok(()) => self.saved = changes,
            Err(error) => {
                metrics.state_errors.inc();
                let file = store.file();
                warn!(file = %file.display(), %error, "cannot write the state file; trying again");
            }
        }
    }
}
