//! One simulated agent: connects, reports, goes away and comes back, until the run is over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetgauge_agent::client::Client;
use fleetgauge_agent::profile::Profile;
use fleetgauge_agent::schedule;
use fleetgauge_proto::message::ByeReason;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::dial::dial;
use crate::fleet::{Shared, Stage};
use crate::session::{Manner, Session};
use crate::value::{Mark, NAMES};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The wait after a failure, before its half that is jitter.
const BACKOFF: Duration = Duration::from_secs(1);
/// The wait after a Reject that names no time.
const HOPELESS: Duration = Duration::from_secs(5);
/// One agent in so many that left is back at once, the others within [`LONGEST_ABSENCE`].
const BACK_AT_ONCE: u32 = 5;
const LONGEST_ABSENCE: Duration = Duration::from_secs(3);

/// Where an agent's values come from.
pub trait Source: Send {
    /// Those of the report with this number.
    fn values(&mut self, sequence: u64) -> [f64; NAMES.len()];
}

/// Values that say what they are, for the judge.
#[derive(Debug)]
pub struct Marked {
    /// The agent's number.
    pub agent: usize,
}

impl Source for Marked {
    fn values(&mut self, sequence: u64) -> [f64; NAMES.len()] {
        std::array::from_fn(|place| Mark { agent: self.agent, sequence, place }.to_f64())
    }
}

/// What comes after a session.
pub(crate) enum Over {
    /// Nothing.
    Finished,
    /// The next one, after this wait.
    Away(Duration),
}

/// A simulated agent.
pub(crate) struct Member {
    pub(crate) number: usize,
    pub(crate) client: Client,
    pub(crate) source: Box<dyn Source>,
    pub(crate) rng: fastrand::Rng,
    /// Of its last report.
    pub(crate) sequence: u64,
    pub(crate) shared: Arc<Shared>,
    pub(crate) stage: watch::Receiver<Stage>,
}

impl Member {
    pub(crate) fn new(
        number: usize,
        profile: Arc<Profile>,
        source: Box<dyn Source>,
        shared: Arc<Shared>,
        stage: watch::Receiver<Stage>,
    ) -> Self {
        let rng = fastrand::Rng::with_seed(profile.id.fnv1a());
        Self { number, client: Client::new(profile), source, rng, sequence: 0, shared, stage }
    }

    /// Lives until the run is over.
    pub(crate) async fn live(mut self) {
        loop {
            match self.connect().await {
                Over::Finished => return,
                Over::Away(wait) => tokio::select! {
                    () = sleep(wait) => {}
                    _ = self.stage.wait_for(|stage| *stage == Stage::Leave) => return,
                },
            }
        }
    }

    async fn connect(&mut self) -> Over {
        let since = Instant::now();
        let dialed = timeout(CONNECT_TIMEOUT, dial(self.number, self.shared.collector)).await;
        match dialed.unwrap_or_else(|elapsed| Err(elapsed.into())) {
            Ok(stream) => Session::new(self, stream, since).run().await,
            Err(error) => {
                self.shared.tally.refused.add(&error.kind().to_string().replace(' ', "_"));
                Over::Away(self.draw_backoff(None))
            }
        }
    }

    /// The first tick of its grid after `moment`. The grid begins with the run and takes its phase from the
    /// agent's name, as the real agent's does.
    pub(crate) fn tick_after(&self, moment: Instant, interval: Duration) -> Instant {
        let phase = schedule::phase(&self.client.profile().id, interval);
        let first = self.shared.ledger.epoch() + phase;
        let Some(past) = moment.checked_duration_since(first) else { return first };
        let ticks = past.as_nanos() / interval.as_nanos().max(1) + 1;
        first + interval * u32::try_from(ticks).unwrap_or(u32::MAX)
    }

    /// Counts the agent once it has reported for the first time.
    pub(crate) fn has_reported(&self) {
        if self.sequence == 1 {
            self.shared.tally.reporting.send_modify(|reporting| *reporting += 1);
        }
    }

    pub(crate) fn draw_manner(&mut self) -> Manner {
        if self.rng.bool() { Manner::Bye(ByeReason::Stopping) } else { Manner::Reset }
    }

    pub(crate) fn draw_absence(&mut self) -> Duration {
        if self.rng.u32(..BACK_AT_ONCE) == 0 {
            Duration::ZERO
        } else {
            LONGEST_ABSENCE.mul_f64(self.rng.f64())
        }
    }

    /// The wait after a failure; `asked` is what a Reject said about it.
    pub(crate) fn draw_backoff(&mut self, asked: Option<Option<Duration>>) -> Duration {
        let least = asked.map_or(BACKOFF / 2, |asked| asked.unwrap_or(HOPELESS));
        least + (BACKOFF / 2).max(least / 10).mul_f64(self.rng.f64())
    }
}
