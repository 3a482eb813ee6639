//! Measures how old samples are when they arrive at the engine.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fleetgauge_receiver::SharedLedger;
use tokio::task::JoinHandle;

use crate::host_profile::HostProfile;
use crate::sim_values::{AGENT, LABELS, agent_name};
use crate::tally::Times;

/// Interval between two looks at the ledger.
const POLL: Duration = Duration::from_millis(100);
/// Maximum number of agents that are watched: every look locks the ledger.
const MAX_AGENTS: u32 = 200;

/// Labels of a series, by name.
pub(super) type Labels = Vec<(String, String)>;

/// A moment on the monotonic clock and the clock of the host.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clocks {
    instant: Instant,
    unix: Duration,
}

impl Clocks {
    /// Reads both clocks.
    pub(super) fn now() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { instant: Instant::now(), unix }
    }

    /// Time since the Unix epoch of a moment.
    pub(super) fn unix(self, moment: Instant) -> Duration {
        match moment.checked_duration_since(self.instant) {
            Some(after) => self.unix + after,
            None => self.unix.saturating_sub(self.instant - moment),
        }
    }
}

/// Watches one series of some agents. Stops when it is dropped.
pub(super) struct LagMeter {
    times: Arc<Mutex<Times>>,
    task: JoinHandle<()>,
}

impl LagMeter {
    /// Starts to watch.
    pub(super) fn start(
        ledger: SharedLedger,
        agents: u32,
        static_labels: u8,
        profile: HostProfile,
    ) -> Self {
        let times = Arc::<Mutex<Times>>::default();
        let name = profile.lasting_sample();
        let watched = (0..agents.min(MAX_AGENTS)).map(|agent| labels(agent, static_labels, &name));
        let task = watch(ledger, watched.collect(), Arc::clone(&times));
        Self { times, task: tokio::spawn(task) }
    }

    /// The lags so far: of the newest sample of each look.
    pub(super) fn times(&self) -> Times {
        self.times.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for LagMeter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Labels of a series of an agent that has no labels of its own.
pub(super) fn labels(agent: u32, static_labels: u8, name: &str) -> Labels {
    let mut labels =
        vec![("__name__".to_owned(), name.to_owned()), (AGENT.to_owned(), agent_name(agent))];
    let statics = LABELS.iter().take(static_labels.into());
    labels.extend(statics.map(|(name, values)| ((*name).to_owned(), (agent % values).to_string())));
    labels
}

async fn watch(ledger: SharedLedger, watched: Vec<Labels>, times: Arc<Mutex<Times>>) {
    let mut newest = vec![0; watched.len()];
    let mut tick = tokio::time::interval(POLL);
    loop {
        tick.tick().await;
        let clocks = Clocks::now();
        let ledger = ledger.lock();
        let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
        for (labels, newest) in watched.iter().zip(&mut newest) {
            let labels: Vec<_> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let Some(series) = ledger.find(&labels) else { continue };
            let Some(unix_ms) = series.newest_unix_ms() else { continue };
            if unix_ms > *newest && series.is_live() {
                *newest = unix_ms;
                let sampled = Duration::from_millis(unix_ms.cast_unsigned());
                times.add(clocks.unix(series.last_arrival()).saturating_sub(sampled));
            }
        }
    }
}
