//! Compares pages with the times and causes of deaths: how long each dead agent stays on the pages,
//! and which agents are removed too early or too late. Uses neither sockets nor clocks.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use serde::Serialize;

use super::death_cause::DeathCause;
use super::failure::Failure;
use crate::judge::ScrapeWindow;
use crate::tally::Times;

/// A death, and when pages must reflect it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Death {
    cause: DeathCause,
    /// Start of the period in which the agent died.
    begun: Duration,
    /// A page that ended before this must show the agent.
    earliest_removal: Duration,
    /// A page that was requested after this must not show it.
    latest_removal: Duration,
    /// Time at which the first page without the agent had arrived; `None` while pages show it.
    removed: Option<Duration>,
}

/// Allowed times until the collector removes a dead agent.
#[derive(Debug, Clone)]
pub struct RemovalBounds {
    /// Maximum time from the end of a connection to the last page with its agent.
    pub gone: Duration,
    /// Minimum and maximum time from the last report of a silent agent to its removal.
    pub silent: Range<Duration>,
}

/// Tracks the deaths of agents, and when pages stop showing them.
#[derive(Debug)]
pub struct RemovalTracker {
    grace: RemovalBounds,
    deaths: Vec<Option<Death>>,
}

/// How long pages showed dead agents, for one cause of death.
#[derive(Debug, Clone, Default, Serialize)]
#[expect(missing_docs, reason = "the names and their units say it")]
pub struct RemovalStats {
    pub died: u64,
    pub removed: u64,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub max_ms: Option<f64>,
}

impl RemovalTracker {
    /// Creates a tracker of this many agents, all alive.
    #[must_use]
    pub fn new(agents: usize, grace: RemovalBounds) -> Self {
        Self { grace, deaths: vec![None; agents] }
    }

    /// Records that these agents died at an unknown moment in `during`.
    pub fn record_deaths(
        &mut self,
        agents: Range<usize>,
        cause: DeathCause,
        during: Range<Duration>,
    ) {
        let RemovalBounds { gone, silent } = &self.grace;
        let (min, max) =
            if cause.is_silent() { (silent.start, silent.end) } else { (Duration::ZERO, *gone) };
        let death = Death {
            cause,
            begun: during.start,
            earliest_removal: during.start + min,
            latest_removal: during.end + max,
            removed: None,
        };
        self.deaths[agents].fill(Some(death));
    }

    /// Compares a page with the deaths so far. Returns the findings.
    pub fn compare_page(
        &mut self,
        window: ScrapeWindow,
        shown: impl Fn(usize) -> bool,
    ) -> Vec<Failure> {
        let observe = |(agent, death): (usize, &mut Option<Death>)| {
            let shown = shown(agent);
            let Some(death) = death else {
                return (!shown).then_some(Failure::LiveAgentRemoved { agent });
            };
            death.observe(agent, shown, window)
        };
        self.deaths.iter_mut().enumerate().filter_map(observe).collect()
    }

    /// Number of dead agents that are still on the pages.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.deaths.iter().flatten().filter(|death| death.removed.is_none()).count()
    }

    /// How long agents were shown after their death, by cause.
    #[must_use]
    pub fn figures(&self) -> BTreeMap<DeathCause, RemovalStats> {
        let mut times = BTreeMap::<DeathCause, (u64, Times)>::new();
        for death in self.deaths.iter().flatten() {
            let (died, times) = times.entry(death.cause).or_default();
            *died += 1;
            if let Some(removed) = death.removed {
                times.add(removed.saturating_sub(death.begun));
            }
        }
        let figures = |(died, times): (u64, Times)| {
            let any = times.count() > 0;
            RemovalStats {
                died,
                removed: times.count(),
                p50_ms: any.then(|| times.quantile_ms(0.5)),
                p99_ms: any.then(|| times.quantile_ms(0.99)),
                max_ms: any.then(|| times.longest_ms()),
            }
        };
        times.into_iter().map(|(cause, of)| (cause, figures(of))).collect()
    }
}

impl Death {
    fn observe(&mut self, agent: usize, shown: bool, window: ScrapeWindow) -> Option<Failure> {
        let cause = self.cause;
        match (shown, self.removed) {
            (false, Some(_)) => None,
            (false, None) => {
                self.removed = Some(window.ended);
                let early = self.earliest_removal.saturating_sub(window.ended);
                (!early.is_zero()).then_some(Failure::RemovedEarly { agent, cause, early })
            }
            (true, Some(_)) => Some(Failure::ShownAgain { agent, cause }),
            (true, None) => {
                let late = window.requested.saturating_sub(self.latest_removal);
                let after = window.requested.saturating_sub(self.begun);
                let allowed = self.latest_removal - self.begun;
                (!late.is_zero()).then_some(Failure::NotRemoved { agent, cause, after, allowed })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: RemovalBounds = RemovalBounds {
        gone: Duration::from_millis(100),
        silent: Duration::from_millis(1_500)..Duration::from_millis(4_000),
    };

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn page(at: u64) -> ScrapeWindow {
        ScrapeWindow { requested: ms(at), ended: ms(at + 10) }
    }

    /// Creates a tracker of two agents, and records that the second agent died between 1,000 and
    /// 1,005 ms.
    fn second_died(cause: DeathCause) -> RemovalTracker {
        let mut removals = RemovalTracker::new(2, GRACE);
        removals.record_deaths(1..2, cause, ms(1_000)..ms(1_005));
        removals
    }

    fn reasons(failures: &[Failure]) -> Vec<&'static str> {
        failures.iter().map(Failure::reason).collect()
    }

    #[test]
    fn a_timely_removal_is_measured() {
        let mut removals = second_died(DeathCause::Rst);
        assert!(removals.compare_page(page(1_050), |_| true).is_empty());
        assert_eq!(removals.remaining(), 1);
        assert!(removals.compare_page(page(1_090), |agent| agent == 0).is_empty());
        assert_eq!(removals.remaining(), 0);
        let figures = &removals.figures()[&DeathCause::Rst];
        assert_eq!((figures.died, figures.removed), (1, 1));
        assert!((99.0..=101.0).contains(&figures.max_ms.unwrap()), "{figures:?}");
    }

    #[test]
    fn a_late_removal_is_found() {
        let mut removals = second_died(DeathCause::Bye);
        assert!(removals.compare_page(page(1_105), |_| true).is_empty());
        assert_eq!(reasons(&removals.compare_page(page(1_106), |_| true)), ["not_removed"]);
        let mut silent = second_died(DeathCause::FrozenProcess);
        assert!(silent.compare_page(page(5_005), |_| true).is_empty());
        assert_eq!(reasons(&silent.compare_page(page(5_006), |_| true)), ["not_removed"]);
    }

    #[test]
    fn an_early_removal_is_found() {
        let mut silent = second_died(DeathCause::DroppedPackets);
        let early = silent.compare_page(page(2_489), |agent| agent == 0);
        assert_eq!(reasons(&early), ["removed_early"]);
        let mut silent = second_died(DeathCause::DroppedPackets);
        assert!(silent.compare_page(page(2_490), |agent| agent == 0).is_empty());
    }

    #[test]
    fn removing_a_live_agent_is_found() {
        let mut removals = second_died(DeathCause::Fin);
        assert_eq!(
            reasons(&removals.compare_page(page(1_050), |agent| agent == 1)),
            ["live_agent_removed"]
        );
    }

    #[test]
    fn showing_a_removed_agent_again_is_found() {
        let mut removals = second_died(DeathCause::Fin);
        assert!(removals.compare_page(page(1_050), |agent| agent == 0).is_empty());
        assert_eq!(reasons(&removals.compare_page(page(1_060), |_| true)), ["shown_again"]);
    }
}
