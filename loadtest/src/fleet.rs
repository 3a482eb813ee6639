//! The simulated fleet as a whole: brings its agents up, tells them what part of the run it is, and sends
//! them home.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fleetgauge_agent::profile::Profile;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::ledger::Ledger;
use crate::member::{Member, Source};
use crate::tally::Tally;

/// Between two looks at how many agents should have been started by now.
const RAMP_TICK: Duration = Duration::from_millis(5);
/// How long agents may take to leave: longer than a write may be stuck.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(15);

/// The part of the run that agents have to know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Agents come; nobody leaves by choice.
    Ramp,
    /// Agents come and go.
    Steady,
    /// All leave for good.
    Leave,
}

/// What all agents of a fleet share.
#[derive(Debug)]
pub struct Shared {
    /// Where they report to.
    pub collector: SocketAddr,
    /// The share of them that leaves in a second.
    pub churn: f64,
    /// What they did.
    pub ledger: Ledger,
    /// What they counted.
    pub tally: Tally,
}

/// A fleet.
pub struct Fleet {
    shared: Arc<Shared>,
    stage: watch::Sender<Stage>,
    tasks: JoinSet<()>,
    agents: usize,
}

impl Fleet {
    /// A fleet of so many agents, none of which has been started.
    #[must_use]
    pub fn new(agents: usize, collector: SocketAddr, churn: f64) -> Self {
        let (ledger, tally) = (Ledger::new(agents), Tally::default());
        let shared = Arc::new(Shared { collector, churn, ledger, tally });
        Self { shared, stage: watch::Sender::new(Stage::Ramp), tasks: JoinSet::new(), agents }
    }

    /// What its agents share.
    #[must_use]
    pub const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Starts its agents at this rate; `make` says who the one with a number is.
    pub async fn ramp_up(
        &mut self,
        per_second: f64,
        mut make: impl FnMut(usize) -> (Arc<Profile>, Box<dyn Source>),
    ) {
        let began = Instant::now();
        let mut started = 0;
        loop {
            let due = began.elapsed().as_secs_f64() * per_second;
            while started < self.agents && started as f64 <= due {
                let (profile, source) = make(started);
                let (shared, stage) = (self.shared.clone(), self.stage.subscribe());
                self.tasks.spawn(Member::new(started, profile, source, shared, stage).live());
                started += 1;
            }
            if started == self.agents {
                return;
            }
            sleep(RAMP_TICK).await;
        }
    }

    /// Waits until every agent has reported, for so long at most.
    pub async fn all_reporting(&self, patience: Duration) {
        let mut reporting = self.shared.tally.reporting.subscribe();
        let all = reporting.wait_for(|reporting| *reporting >= self.agents);
        // How many do not report is counted afterwards.
        let _ = tokio::time::timeout(patience, all).await;
    }

    /// Begins the steady part, in which agents come and go.
    pub fn settle(&self) {
        self.stage.send_replace(Stage::Steady);
    }

    /// Sends all agents home; how many of them were stuck and had to be dropped.
    pub async fn leave(&mut self) -> usize {
        self.stage.send_replace(Stage::Leave);
        let deadline = Instant::now() + LEAVE_TIMEOUT;
        while !self.tasks.is_empty() {
            if timeout_at(deadline, self.tasks.join_next()).await.is_err() {
                break;
            }
        }
        let stuck = self.tasks.len();
        self.tasks.shutdown().await;
        stuck
    }
}
