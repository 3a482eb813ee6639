//! A page and the truth: what on the page is wrong.
//!
//! The judge knows neither sockets nor clocks. What it grants the collector is written here and
//! nowhere else.

use std::time::Duration;

use crate::finding::Finding;
use crate::ledger::{Moment, Record, Sent};
use crate::shown::{Seen, Shown};
use crate::value::NAMES;

/// A report that was written this long before the request is on the page.
pub const SETTLED: Duration = Duration::from_secs(1);
/// An agent that was gone this long before the request is not.
pub const GONE: Duration = Duration::from_millis(100);
/// The same where many left together,
pub const GONE_HERD: Duration = Duration::from_secs(1);
/// which is more than so many within [`GONE_HERD`] before the request.
pub const HERD: usize = 1_000;

/// When a page was made, from the beginning of the run.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Before the request's first byte was written.
    pub requested: Duration,
    /// After the response's last byte was read.
    pub ended: Duration,
}

impl Window {
    /// What a page is called in findings.
    #[must_use]
    pub fn called(self, what: &str) -> String {
        format!("{what}, {:.1} s into the run", self.requested.as_secs_f64())
    }
}

/// Gives `find` everything that is wrong with a page beside what was seen while it was read. The
/// records are those of right after the response. On top of what is granted a page, it may be late
/// by `tolerance`.
pub fn judge(
    shown: &Shown,
    records: &[Record],
    window: Window,
    tolerance: Duration,
    mut find: impl FnMut(Finding),
) {
    if shown.lacks_own() {
        find(Finding::NoOwnMetrics);
    }
    let gone = if is_herd(records, window) { GONE_HERD } else { GONE };
    let (gone, settled) = (gone + tolerance, SETTLED + tolerance);
    for ((agent, seen), record) in shown.of_agents().zip(records) {
        if !seen.is_wrong() {
            let case = Case { agent, record, seen, window, gone, settled };
            case.finding().into_iter().for_each(&mut find);
        }
    }
}

fn is_herd(records: &[Record], window: Window) -> bool {
    let recent = window.requested.saturating_sub(GONE_HERD)..=window.requested;
    let ends = records.iter().flat_map(|record| &record.sessions).filter_map(|s| s.end);
    let gone = ends.filter_map(|end| Some(end.gone?.since_start()));
    gone.filter(|gone| recent.contains(gone)).count() > HERD
}

/// One agent.
struct Case<'a> {
    agent: u32,
    record: &'a Record,
    seen: Seen,
    window: Window,
    /// A page asked for so long after the agent left must be without it.
    gone: Duration,
    /// A page asked for so long after a report was written must show it.
    settled: Duration,
}

impl Case<'_> {
    /// The first thing that is wrong with it: what follows from that is not counted again.
    fn finding(&self) -> Option<Finding> {
        let agent = self.agent;
        match self.seen.count() {
            0 => self.must_be_there().map(|sequence| Finding::Missing { agent, sequence }),
            shown if shown < NAMES.len() => Some(Finding::Incomplete { agent, shown }),
            _ => self.in_time(self.seen.sequence()).err(),
        }
    }

    /// Its last report, if it has to be on the page: it has one and its session lasted beyond the
    /// response.
    fn must_be_there(&self) -> Option<u64> {
        let session = self.record.sessions.last()?;
        let ended_before = |leaving: Moment| leaving.since_start() <= self.window.ended;
        if session.end.is_some_and(|end| end.by_collector || ended_before(end.leaving)) {
            return None;
        }
        let settled = self.settled()?;
        (settled.sequence >= session.first_sequence).then_some(settled.sequence.into())
    }

    /// The last report that was written long enough before the request.
    fn settled(&self) -> Option<&Sent> {
        let until = self.window.requested.checked_sub(self.settled)?;
        let mut reports = self.record.reports.iter().rev();
        reports.find(|report| report.written.is_some_and(|at| at.since_start() <= until))
    }

    /// Whether the report could be on this page.
    fn in_time(&self, shown: u32) -> Result<(), Finding> {
        let agent = self.agent;
        let mut sent = self.record.reports.iter().rev();
        let sent = sent.find(|report| report.begun.since_start() <= self.window.ended);
        let sent = sent.map_or(0, |report| report.sequence);
        let (sequence, written) = (shown.into(), self.settled().map(|report| report.sequence));
        if shown > sent {
            return Err(Finding::Future { agent, shown: sequence, sent: sent.into() });
        }
        let end = self.record.session_of(shown).and_then(|session| session.end);
        if let Some(gone) = end.and_then(|end| end.gone) {
            let gone_before = self.window.requested.saturating_sub(gone.since_start());
            if gone_before >= self.gone {
                return Err(Finding::Leftover { agent, sequence, gone_before });
            }
        }
        match written {
            Some(written) if shown < written => {
                Err(Finding::Stale { agent, shown: sequence, written: written.into() })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
