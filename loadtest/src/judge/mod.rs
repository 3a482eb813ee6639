//! Judges a page: compares it with the ground truth.
//!
//! The judge uses neither sockets nor clocks. All delays that it allows the collector are in
//! [`tolerances`].

pub mod finding;
pub mod ground_truth;
pub mod observed_page;
pub mod tolerances;
pub mod verdict;

use std::time::Duration;

use crate::sim_values::NAMES;
use finding::Finding;
use ground_truth::{AgentHistory, SentReport, Timestamp};
use observed_page::{ObservedAgent, ObservedPage};
use tolerances::{GONE, GONE_MASS, MASS_DEPARTURE, SETTLED};

/// When a page was scraped, as time since the start of the test.
#[derive(Debug, Clone, Copy)]
pub struct ScrapeWindow {
    /// A time before the first byte of the request was written.
    pub requested: Duration,
    /// A time after the last byte of the response was read.
    pub ended: Duration,
}

impl ScrapeWindow {
    /// Name of the page in findings.
    #[must_use]
    pub fn label(self, what: &str) -> String {
        format!("{what}, {:.1} s into the run", self.requested.as_secs_f64())
    }
}

/// Passes all findings on a page to `find`, except for those found while parsing it. `histories`
/// must include the whole scrape. `tolerance` is added to the allowed delays.
pub fn judge(
    observed: &ObservedPage,
    histories: &[AgentHistory],
    window: ScrapeWindow,
    tolerance: Duration,
    mut find: impl FnMut(Finding),
) {
    if observed.lacks_own_metrics() {
        find(Finding::NoOwnMetrics);
    }
    let gone = if is_mass_departure(histories, window) { GONE_MASS } else { GONE };
    let (gone, settled) = (gone + tolerance, SETTLED + tolerance);
    for ((agent, observed), history) in observed.own_agents().zip(histories) {
        if !observed.is_wrong() {
            let check = AgentCheck { agent, history, observed, window, gone, settled };
            check.finding().into_iter().for_each(&mut find);
        }
    }
}

fn is_mass_departure(histories: &[AgentHistory], window: ScrapeWindow) -> bool {
    let recent = window.requested.saturating_sub(GONE_MASS)..=window.requested;
    let ends = histories.iter().flat_map(|history| &history.sessions).filter_map(|s| s.end);
    let gone = ends.filter_map(|end| Some(end.gone?.since_start()));
    gone.filter(|gone| recent.contains(gone)).count() > MASS_DEPARTURE
}

/// The check of one agent on one page.
struct AgentCheck<'a> {
    agent: u32,
    history: &'a AgentHistory,
    observed: ObservedAgent,
    window: ScrapeWindow,
    /// A page requested this long after the agent was gone must not show it.
    gone: Duration,
    /// A page requested this long after a report was written must show it.
    settled: Duration,
}

impl AgentCheck<'_> {
    /// The first finding on the agent. Later ones may be its consequences, so they are not counted.
    fn finding(&self) -> Option<Finding> {
        let agent = self.agent;
        match self.observed.count() {
            0 => self.required_report().map(|sequence| Finding::Missing {
                agent,
                sequence,
                settled: self.settled,
            }),
            shown if shown < NAMES.len() => Some(Finding::Incomplete { agent, shown }),
            _ => self.check_report(self.observed.sequence()).err(),
        }
    }

    /// The last settled report if the agent must be on the page: its session must have lasted until
    /// the end of the response.
    fn required_report(&self) -> Option<u64> {
        let session = self.history.sessions.last()?;
        let ended_before = |leaving: Timestamp| leaving.since_start() <= self.window.ended;
        if session.end.is_some_and(|end| end.by_collector || ended_before(end.leaving)) {
            return None;
        }
        let settled = self.last_settled()?;
        (settled.sequence >= session.first_sequence).then_some(settled.sequence.into())
    }

    /// The last report that was written long enough before the request.
    fn last_settled(&self) -> Option<&SentReport> {
        let until = self.window.requested.checked_sub(self.settled)?;
        let mut reports = self.history.reports.iter().rev();
        reports.find(|report| report.written.is_some_and(|at| at.since_start() <= until))
    }

    /// Checks that the page may show the report with this sequence number.
    fn check_report(&self, shown: u32) -> Result<(), Finding> {
        let agent = self.agent;
        let mut sent = self.history.reports.iter().rev();
        let sent = sent.find(|report| report.begun.since_start() <= self.window.ended);
        let sent = sent.map_or(0, |report| report.sequence);
        let (sequence, written) = (shown.into(), self.last_settled().map(|report| report.sequence));
        if shown > sent {
            return Err(Finding::Future { agent, shown: sequence, sent: sent.into() });
        }
        let end = self.history.session_of(shown).and_then(|session| session.end);
        if let Some(gone) = end.and_then(|end| end.gone) {
            let gone_before = self.window.requested.saturating_sub(gone.since_start());
            if gone_before >= self.gone {
                let allowed = self.gone;
                return Err(Finding::Leftover { agent, sequence, gone_before, allowed });
            }
        }
        match written {
            Some(written) if shown < written => Err(Finding::Stale {
                agent,
                shown: sequence,
                written: written.into(),
                settled: self.settled,
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
