//! Judges a page: compares it with the ground truth.
//!
//! The judge uses neither sockets nor clocks. All delays that it allows the collector are in
//! [`tolerances`].

pub mod finding;
pub mod forwarded;
pub mod ground_truth;
mod observed_agents;
pub mod observed_hosts;
pub mod observed_page;
mod series_labels;
pub mod tolerances;
pub mod verdict;

use std::ops::RangeInclusive;
use std::time::Duration;

use finding::Finding;
use ground_truth::{AgentHistory, SentReport, Timestamp};
use observed_page::{ObservedPage, Shown};
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
    for ((agent, shown), history) in observed.own_agents().zip(histories) {
        let check = AgentCheck { agent, history, window, gone, settled };
        check.finding(shown).into_iter().for_each(&mut find);
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
    window: ScrapeWindow,
    /// A page requested this long after the agent was gone must not show it.
    gone: Duration,
    /// A page requested this long after a report was written must show it.
    settled: Duration,
}

impl AgentCheck<'_> {
    /// The first finding on the agent. Later ones may be its consequences, so they are not counted.
    fn finding(&self, shown: Shown) -> Option<Finding> {
        let agent = self.agent;
        match shown {
            Shown::Nothing => self.required_report().map(|sequence| Finding::Missing {
                agent,
                sequence,
                settled: self.settled,
            }),
            Shown::Wrong => None,
            Shown::Invalid(finding) => Some(finding),
            Shown::Report(sequences) => self.check_report(sequences).err(),
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

    /// Checks that the page may show one of the reports with these sequence numbers.
    fn check_report(&self, shown: RangeInclusive<u64>) -> Result<(), Finding> {
        let agent = self.agent;
        let mut sent = self.history.reports.iter().rev();
        let sent = sent.find(|report| report.begun.since_start() <= self.window.ended);
        let sent = sent.map_or(0, |report| u64::from(report.sequence));
        let written = self.last_settled().map(|report| u64::from(report.sequence));
        if *shown.start() > sent {
            return Err(Finding::Future { agent, shown: *shown.start(), sent });
        }
        // Assume the latest report that the page may show, so that no correct collector is blamed.
        let sequence = sent.min(*shown.end());
        let session = u32::try_from(sequence).ok().and_then(|at| self.history.session_of(at));
        let end = session.and_then(|session| session.end);
        if let Some(gone) = end.and_then(|end| end.gone) {
            let gone_before = self.window.requested.saturating_sub(gone.since_start());
            if gone_before >= self.gone {
                let allowed = self.gone;
                return Err(Finding::Leftover { agent, sequence, gone_before, allowed });
            }
        }
        match written {
            Some(written) if sequence < written => {
                Err(Finding::Stale { agent, shown: sequence, written, settled: self.settled })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
