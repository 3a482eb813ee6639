//! Watches the engine as the roster: which agents a query for `fleetgauge_agent_up` would return.
//!
//! At each look an agent is shown if a sample of it has arrived within the allowed time, and no
//! stale marker after it. Times are those of arrival, because a query can return only what has
//! arrived.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fleetgauge_receiver::{Series, SharedLedger};
use serde::Serialize;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::expected::AGENT_UP;
use super::failure::ForwardFailure;
use super::lag::{Labels, labels};

/// Interval between two looks at the ledger.
const POLL: Duration = Duration::from_millis(100);

/// Watches all agents. Stops when it is dropped.
pub(super) struct RosterWatch {
    roster: Arc<Mutex<Roster>>,
    task: JoinHandle<()>,
}

impl RosterWatch {
    /// Starts to watch. `allowed` is the maximum time for which an agent may be missing.
    pub(super) fn start(
        ledger: SharedLedger,
        agents: u32,
        static_labels: u8,
        allowed: Duration,
    ) -> Self {
        let roster = Roster::new(agents as usize, allowed, Instant::now());
        let roster = Arc::new(Mutex::new(roster));
        let watched = (0..agents).map(|agent| labels(agent, static_labels, AGENT_UP)).collect();
        let task = tokio::spawn(watch(ledger, watched, Arc::clone(&roster)));
        Self { roster, task }
    }

    /// Returns the measurements and the agents that were missing for too long.
    pub(super) fn finish(self) -> (RosterFigures, Vec<ForwardFailure>) {
        let roster = self.roster.lock().unwrap_or_else(PoisonError::into_inner);
        (roster.figures(), roster.failures())
    }
}

impl Drop for RosterWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn watch(ledger: SharedLedger, watched: Vec<Labels>, roster: Arc<Mutex<Roster>>) {
    let mut tick = tokio::time::interval(POLL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let ledger = ledger.lock();
        let newest = |labels: &Labels| {
            let labels: Vec<_> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            ledger.find(&labels).and_then(Newest::of)
        };
        let mut roster = roster.lock().unwrap_or_else(PoisonError::into_inner);
        roster.look(Instant::now(), watched.iter().map(newest));
    }
}

/// The newest sample of an agent.
#[derive(Debug, Clone, Copy)]
struct Newest {
    unix_ms: i64,
    is_marker: bool,
    arrival: Instant,
}

impl Newest {
    fn of(series: Series<'_>) -> Option<Self> {
        let unix_ms = series.newest_unix_ms()?;
        Some(Self { unix_ms, is_marker: !series.is_live(), arrival: series.last_arrival() })
    }
}

/// What the engine has shown so far.
#[derive(Debug)]
struct Roster {
    allowed: Duration,
    agents: Vec<Presence>,
    looks: u64,
    fewest: usize,
}

/// The presence of an agent.
#[derive(Debug, Clone, Copy)]
struct Presence {
    newest_ms: i64,
    /// When its newest sample arrived.
    since: Instant,
    /// Longest time for which no sample was shown.
    longest: Duration,
}

/// Measurements of the roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct RosterFigures {
    looks: u64,
    /// Minimum number of agents that were shown at once.
    fewest_shown: usize,
    /// Longest time without a sample of some agent.
    longest_silence_ms: u128,
}

impl RosterFigures {
    /// Number of times that the engine was looked at.
    pub(super) fn looks(self) -> u64 {
        self.looks
    }
}

impl Roster {
    fn new(agents: usize, allowed: Duration, now: Instant) -> Self {
        let presence = Presence { newest_ms: 0, since: now, longest: Duration::ZERO };
        Self { allowed, agents: vec![presence; agents], looks: 0, fewest: agents }
    }

    /// Looks at the newest samples of all agents.
    fn look(&mut self, now: Instant, newest: impl Iterator<Item = Option<Newest>>) {
        let mut shown = 0;
        for (presence, newest) in self.agents.iter_mut().zip(newest) {
            if let Some(newest) = newest
                && newest.unix_ms > presence.newest_ms
            {
                // Samples that arrive later and are older change nothing.
                presence.newest_ms = newest.unix_ms;
                // A marker shows nothing.
                if !newest.is_marker {
                    presence.since = presence.since.max(newest.arrival);
                }
            }
            let silence = now.saturating_duration_since(presence.since);
            presence.longest = presence.longest.max(silence);
            let has_ended = newest.is_none_or(|newest| newest.is_marker);
            shown += usize::from(!has_ended && silence <= self.allowed);
        }
        self.looks += 1;
        self.fewest = self.fewest.min(shown);
    }

    fn figures(&self) -> RosterFigures {
        let longest = self.agents.iter().map(|presence| presence.longest).max();
        RosterFigures {
            looks: self.looks,
            fewest_shown: self.fewest,
            longest_silence_ms: longest.unwrap_or_default().as_millis(),
        }
    }

    fn failures(&self) -> Vec<ForwardFailure> {
        let allowed = self.allowed;
        let is_late = |(_, presence): &(u32, &Presence)| presence.longest > allowed;
        let late = (0..).zip(&self.agents).filter(is_late);
        let failure = |(agent, presence): (u32, &Presence)| ForwardFailure::MissingFromRoster {
            agent,
            missing: presence.longest,
            allowed,
        };
        late.map(failure).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWED: Duration = Duration::from_secs(2);
    const SECOND: Duration = Duration::from_secs(1);

    fn sample(unix_ms: i64, arrival: Instant) -> Option<Newest> {
        Some(Newest { unix_ms, is_marker: false, arrival })
    }

    #[test]
    fn agent_whose_samples_keep_arriving_is_never_missing() {
        let start = Instant::now();
        let mut roster = Roster::new(1, ALLOWED, start);
        for second in 1..10 {
            let arrival = start + second * SECOND;
            roster.look(arrival, [sample(i64::from(second), arrival)].into_iter());
            roster.look(arrival + SECOND, [sample(i64::from(second), arrival)].into_iter());
        }
        assert_eq!(roster.failures(), []);
        assert_eq!(
            roster.figures(),
            RosterFigures { looks: 18, fewest_shown: 1, longest_silence_ms: 1_000 }
        );
    }

    #[test]
    fn agent_whose_samples_arrive_late_is_missing_until_then() {
        let start = Instant::now();
        let mut roster = Roster::new(2, ALLOWED, start);
        let other = sample(1, start + 3 * SECOND);
        roster.look(start + 3 * SECOND, [sample(1, start), other].into_iter());
        roster.look(start + 4 * SECOND, [sample(2, start + 4 * SECOND), other].into_iter());
        let missing = 3 * SECOND;
        let failure = ForwardFailure::MissingFromRoster { agent: 0, missing, allowed: ALLOWED };
        assert_eq!(roster.failures(), [failure]);
        assert_eq!(roster.figures().fewest_shown, 1);
    }

    #[test]
    fn agent_that_is_marked_as_stale_is_not_shown() {
        let start = Instant::now();
        let mut roster = Roster::new(1, ALLOWED, start);
        let marker = Newest { unix_ms: 2, is_marker: true, arrival: start };
        roster.look(start + SECOND, [Some(marker)].into_iter());
        assert_eq!(roster.figures().fewest_shown, 0);
        assert_eq!(roster.failures(), []);
        roster.look(start + 3 * SECOND, [Some(marker)].into_iter());
        assert_eq!(roster.failures().len(), 1);
    }

    #[test]
    fn old_sample_that_arrives_late_does_not_show_an_agent() {
        let start = Instant::now();
        let mut roster = Roster::new(1, ALLOWED, start);
        roster.look(start, [sample(5, start)].into_iter());
        // An older one has arrived, so the last arrival is later.
        roster.look(start + 3 * SECOND, [sample(5, start + 3 * SECOND)].into_iter());
        assert_eq!(roster.failures().len(), 1);
    }
}
