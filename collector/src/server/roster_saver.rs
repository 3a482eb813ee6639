//! Saves the roster to disk periodically, on blocking threads.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tracing::field::display;
use tracing::{error, warn};

use crate::roster::PresenceSnapshot;
use crate::roster::store::{BadDirectory, Store};
use crate::state::CollectorState;

/// Saves the roster of a collector.
#[derive(Debug)]
pub(crate) struct RosterSaver {
    collector: Arc<CollectorState>,
    /// The state directory; `None` if none is configured.
    store: Option<Store>,
    /// Change counter of the roster at the last save.
    saved: u64,
}

impl RosterSaver {
    /// Opens the state directory, if one is configured, and restores the roster from it.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub(crate) fn open(collector: &Arc<CollectorState>) -> Result<Self, BadDirectory> {
        let now = collector.clock.moment();
        let directory = collector.config.state.directory.as_deref();
        let store = directory.map(Store::open).transpose()?;
        if let Some(store) = &store {
            match store.load(now.unix) {
                Ok(saved) => collector.roster.restore(saved, now),
                Err(aside) => {
                    collector.telemetry.metrics.state_errors.inc();
                    let renamed_to = aside.to.as_ref().ok().map(|to| display(to.display()));
                    let rename_error = aside.to.as_ref().err().map(display);
                    error!(
                        file = %aside.file.display(), error = %aside.damage, renamed_to,
                        rename_error, "state file damaged; starting with an empty roster"
                    );
                }
            }
        }
        Ok(Self { collector: Arc::clone(collector), store, saved: 0 })
    }

    /// Starts to save the roster periodically, until `stop` is cancelled.
    pub(crate) fn start(self, stop: &CancellationToken) -> JoinHandle<Option<Self>> {
        tokio::spawn(self.run(stop.clone().cancelled_owned()))
    }

    /// Saves the roster periodically until `stop` completes. Returns itself for the final
    /// [`Self::save`]; `None` if a save has panicked.
    async fn run(mut self, stop: impl Future<Output = ()>) -> Option<Self> {
        let every = self.collector.config.state.every;
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

    /// Saves the roster if it has changed. Blocks.
    pub(crate) fn save(&mut self) {
        let Some(store) = &self.store else { return };
        let CollectorState { registry, roster, clock, telemetry, .. } = &*self.collector;
        let changes = roster.changes();
        if changes == self.saved {
            return;
        }
        match store.save(&PresenceSnapshot::to_save(registry, roster), clock.moment().unix) {
            Ok(()) => self.saved = changes,
            Err(error) => {
                telemetry.metrics.state_errors.inc();
                let file = store.file();
                warn!(file = %file.display(), %error, "cannot write state file; retrying");
            }
        }
    }
}
