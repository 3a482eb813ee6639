//! Who died of what and when, and what pages say of it: how long each was still shown, who was taken off too
//! early, and who was left. Knows neither sockets nor clocks.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use serde::Serialize;

use super::failure::Failure;
use crate::tally::Times;

/// How an agent ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Bye, then FIN.
    Bye,
    /// FIN without a word.
    Fin,
    /// RST.
    Rst,
    /// Its process is killed, and the system closes the connection.
    KilledProcess,
    /// Its process is frozen, and the system keeps the connection.
    FrozenProcess,
    /// Packets are lost from now on.
    DroppedPackets,
}

impl Cause {
    /// All of them, in the order in which they are told of.
    pub const ALL: [Self; 6] = [
        Self::Bye,
        Self::Fin,
        Self::Rst,
        Self::KilledProcess,
        Self::FrozenProcess,
        Self::DroppedPackets,
    ];

    /// Its name in figures and findings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bye => "bye",
            Self::Fin => "fin",
            Self::Rst => "rst",
            Self::KilledProcess => "killed_process",
            Self::FrozenProcess => "frozen_process",
            Self::DroppedPackets => "dropped_packets",
        }
    }

    /// Nothing tells the collector: it has to notice the silence.
    #[must_use]
    pub const fn is_silent(self) -> bool {
        matches!(self, Self::FrozenProcess | Self::DroppedPackets)
    }
}

/// When a page was made, from the beginning of the test.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Before the request's first byte was written.
    pub requested: Duration,
    /// After the response's last byte was read.
    pub ended: Duration,
}

/// When a page may and when it must be without an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Death {
    cause: Cause,
    /// Before anything was done about it.
    ordered: Duration,
    /// No page that ended before this may be without it.
    not_before: Duration,
    /// No page that was asked for after this may show it.
    not_after: Duration,
    /// When the first page without it had come.
    removed: Option<Duration>,
}

/// What is granted to the collector.
#[derive(Debug, Clone)]
pub struct Grace {
    /// From the end of a connection to the last page with its agent.
    pub gone: Duration,
    /// From the last sign of life to the first page without the agent, and to the last one with it.
    pub silent: Range<Duration>,
}

/// The ledger of deaths.
#[derive(Debug)]
pub struct Removals {
    grace: Grace,
    deaths: Vec<Option<Death>>,
}

/// How long the agents of one cause were shown.
#[derive(Debug, Clone, Default, Serialize)]
#[expect(missing_docs, reason = "the names and their units say it")]
pub struct CauseFigures {
    pub died: u64,
    pub removed: u64,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub max_ms: Option<f64>,
}

impl Removals {
    /// So many agents, all alive.
    #[must_use]
    pub fn new(agents: usize, grace: Grace) -> Self {
        Self { grace, deaths: vec![None; agents] }
    }

    /// These agents die, between two moments from the beginning of the test.
    pub fn died(&mut self, agents: Range<usize>, cause: Cause, during: Range<Duration>) {
        let Grace { gone, silent } = &self.grace;
        let (least, most) =
            if cause.is_silent() { (silent.start, silent.end) } else { (Duration::ZERO, *gone) };
        let death = Death {
            cause,
            ordered: during.start,
            not_before: during.start + least,
            not_after: during.end + most,
            removed: None,
        };
        self.deaths[agents].fill(Some(death));
    }

    /// Compares a page with the ledger; what is wrong with it.
    pub fn compare(&mut self, window: Window, shown: impl Fn(usize) -> bool) -> Vec<Failure> {
        let seen = |(agent, death): (usize, &mut Option<Death>)| {
            let shown = shown(agent);
            let Some(death) = death else {
                return (!shown).then_some(Failure::RemovedAlive { agent });
            };
            death.seen(agent, shown, window)
        };
        self.deaths.iter_mut().enumerate().filter_map(seen).collect()
    }

    /// Dead agents that no page has been without yet.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.deaths.iter().flatten().filter(|death| death.removed.is_none()).count()
    }

    /// How long agents were shown after their death, by cause.
    #[must_use]
    pub fn figures(&self) -> BTreeMap<Cause, CauseFigures> {
        let mut times = BTreeMap::<Cause, (u64, Times)>::new();
        for death in self.deaths.iter().flatten() {
            let (died, times) = times.entry(death.cause).or_default();
            *died += 1;
            if let Some(removed) = death.removed {
                times.add(removed.saturating_sub(death.ordered));
            }
        }
        let figures = |(died, times): (u64, Times)| {
            let any = times.count() > 0;
            CauseFigures {
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
    fn seen(&mut self, agent: usize, shown: bool, window: Window) -> Option<Failure> {
        let cause = self.cause;
        match (shown, self.removed) {
            (false, Some(_)) => None,
            (false, None) => {
                self.removed = Some(window.ended);
                let early = self.not_before.saturating_sub(window.ended);
                (!early.is_zero()).then_some(Failure::RemovedEarly { agent, cause, early })
            }
            (true, Some(_)) => Some(Failure::ShownAgain { agent, cause }),
            (true, None) => {
                let late = window.requested.saturating_sub(self.not_after);
                let after = window.requested.saturating_sub(self.ordered);
                (!late.is_zero()).then_some(Failure::Left { agent, cause, after })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Grace = Grace {
        gone: Duration::from_millis(100),
        silent: Duration::from_millis(1_500)..Duration::from_millis(4_000),
    };

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn page(at: u64) -> Window {
        Window { requested: ms(at), ended: ms(at + 10) }
    }

    /// Two agents, of whom the second died at 1,000 to 1,005 ms.
    fn second_died(cause: Cause) -> Removals {
        let mut removals = Removals::new(2, GRACE);
        removals.died(1..2, cause, ms(1_000)..ms(1_005));
        removals
    }

    fn reasons(failures: &[Failure]) -> Vec<&'static str> {
        failures.iter().map(Failure::reason).collect()
    }

    #[test]
    fn a_death_that_is_seen_in_time_is_measured() {
        let mut removals = second_died(Cause::Rst);
        assert!(removals.compare(page(1_050), |_| true).is_empty());
        assert_eq!(removals.remaining(), 1);
        assert!(removals.compare(page(1_090), |agent| agent == 0).is_empty());
        assert_eq!(removals.remaining(), 0);
        let figures = &removals.figures()[&Cause::Rst];
        assert_eq!((figures.died, figures.removed), (1, 1));
        assert!((99.0..=101.0).contains(&figures.max_ms.unwrap()), "{figures:?}");
    }

    #[test]
    fn whoever_is_left_is_found() {
        let mut removals = second_died(Cause::Bye);
        assert!(removals.compare(page(1_105), |_| true).is_empty());
        assert_eq!(reasons(&removals.compare(page(1_106), |_| true)), ["left"]);
        let mut silent = second_died(Cause::FrozenProcess);
        assert!(silent.compare(page(5_005), |_| true).is_empty());
        assert_eq!(reasons(&silent.compare(page(5_006), |_| true)), ["left"]);
    }

    #[test]
    fn whoever_is_taken_off_too_early_is_found() {
        let mut silent = second_died(Cause::DroppedPackets);
        let early = silent.compare(page(2_489), |agent| agent == 0);
        assert_eq!(reasons(&early), ["removed_early"]);
        let mut silent = second_died(Cause::DroppedPackets);
        assert!(silent.compare(page(2_490), |agent| agent == 0).is_empty());
    }

    #[test]
    fn the_living_stay() {
        let mut removals = second_died(Cause::Fin);
        assert_eq!(reasons(&removals.compare(page(1_050), |agent| agent == 1)), ["removed_alive"]);
    }

    #[test]
    fn the_dead_do_not_return() {
        let mut removals = second_died(Cause::Fin);
        assert!(removals.compare(page(1_050), |agent| agent == 0).is_empty());
        assert_eq!(reasons(&removals.compare(page(1_060), |_| true)), ["shown_again"]);
    }
}
