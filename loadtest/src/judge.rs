//! A page and the truth: what on the page is wrong.
//!
//! The judge knows neither sockets nor clocks. What it grants the collector is written here and nowhere else.

use std::time::Duration;

use crate::finding::Finding;
use crate::ledger::{Record, Sent};
use crate::page::{self, Sample};
use crate::value::{Mark, NAMES, agent_number};

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

/// Everything that is wrong with `page`. The records are those of right after the response.
#[must_use]
pub fn judge(page: &str, records: &[Record], window: Window) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut shown = vec![Shown::default(); records.len()];
    let unreadable = page::read(page, |sample| {
        if let Err(finding) = place(sample, &mut shown) {
            findings.push(finding);
        }
    });
    findings.extend(unreadable.into_iter().map(Finding::Unreadable));
    let grace = if is_herd(records, window) { GONE_HERD } else { GONE };
    for (agent, (record, shown)) in records.iter().zip(&shown).enumerate() {
        let case = Case { agent, record, shown, window, grace };
        findings.extend(case.finding());
    }
    findings
}

/// The values of one agent on the page.
type Shown = [Option<f64>; NAMES.len()];

/// Puts a sample to the agent it says it is of.
fn place(sample: Sample<'_>, shown: &mut [Shown]) -> Result<(), Finding> {
    let stranger = || Finding::Stranger {
        name: sample.name.to_owned(),
        agent: sample.agent.map(ToOwned::to_owned),
    };
    let agent = sample.agent.and_then(agent_number).ok_or_else(stranger)?;
    let position = NAMES.iter().position(|&name| name == sample.name).ok_or_else(stranger)?;
    let values = shown.get_mut(agent).ok_or_else(stranger)?;
    match values[position].replace(sample.value) {
        None => Ok(()),
        Some(_) => Err(Finding::Duplicate { agent, place: position }),
    }
}

fn is_herd(records: &[Record], window: Window) -> bool {
    let recent = window.requested.saturating_sub(GONE_HERD)..=window.requested;
    let ends = records.iter().flat_map(|record| &record.sessions).filter_map(|s| s.end);
    ends.filter_map(|end| end.gone).filter(|gone| recent.contains(gone)).count() > HERD
}

/// One agent.
struct Case<'a> {
    agent: usize,
    record: &'a Record,
    shown: &'a Shown,
    window: Window,
    grace: Duration,
}

impl Case<'_> {
    /// The first thing that is wrong with it: what follows from that is not counted again.
    fn finding(&self) -> Option<Finding> {
        let agent = self.agent;
        match self.shown.iter().flatten().count() {
            0 => self.must_be_there().map(|sequence| Finding::Missing { agent, sequence }),
            shown if shown < NAMES.len() => Some(Finding::Incomplete { agent, shown }),
            _ => self.one_sequence().and_then(|sequence| self.in_time(sequence)).err(),
        }
    }

    /// Its last report, if it has to be on the page: it has one and its session lasted beyond the response.
    fn must_be_there(&self) -> Option<u64> {
        let session = self.record.sessions.back()?;
        if session.end.is_some_and(|end| end.by_collector || end.leaving <= self.window.ended) {
            return None;
        }
        let settled = self.settled()?;
        (settled.sequence >= session.first_sequence).then_some(settled.sequence)
    }

    /// The last report that was written long enough before the request.
    fn settled(&self) -> Option<&Sent> {
        let until = self.window.requested.checked_sub(SETTLED)?;
        let mut reports = self.record.reports.iter().rev();
        reports.find(|report| report.written.is_some_and(|at| at <= until))
    }

    /// The report that all its values are of.
    fn one_sequence(&self) -> Result<u64, Finding> {
        let agent = self.agent;
        let mut first = None;
        for (place, value) in self.shown.iter().enumerate() {
            let value = value.unwrap_or(f64::NAN);
            let mark = Mark::from_f64(value).ok_or(Finding::Garbled { agent, place, value })?;
            if mark.agent != agent || mark.place != place {
                return Err(Finding::Misplaced { agent, place, holds: mark });
            }
            let (one, sequence) = *first.get_or_insert((place, mark.sequence));
            if sequence != mark.sequence {
                let sequences = (sequence, mark.sequence);
                return Err(Finding::Torn { agent, places: (one, place), sequences });
            }
        }
        Ok(first.map_or(0, |(_, sequence)| sequence))
    }

    /// Whether the report could be on this page.
    fn in_time(&self, shown: u64) -> Result<(), Finding> {
        let agent = self.agent;
        let mut sent = self.record.reports.iter().rev();
        let sent = sent.find(|report| report.begun <= self.window.ended);
        let sent = sent.map_or(0, |report| report.sequence);
        if shown > sent {
            return Err(Finding::Future { agent, shown, sent });
        }
        let end = self.record.session_of(shown).and_then(|session| session.end);
        if let Some(gone) = end.and_then(|end| end.gone) {
            let gone_before = self.window.requested.saturating_sub(gone);
            if gone_before >= self.grace {
                return Err(Finding::Leftover { agent, sequence: shown, gone_before });
            }
        }
        match self.settled().map(|report| report.sequence) {
            Some(written) if shown < written => Err(Finding::Stale { agent, shown, written }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
