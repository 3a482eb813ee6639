//! The parts that every test has: a fleet is brought up, pages are judged, and it is sent home.

use std::num::NonZero;
use std::time::Duration;

use tokio::time::Instant;

use crate::finding::Finding;
use crate::fleet::Fleet;
use crate::judge::{GONE_HERD, SETTLED};
use crate::orders::{BACK_WITHIN, Command, Inspected, LEFT_FOR};
use crate::progress::Progress;
use crate::results::Verdict;
use crate::tally::{Causes, Tally};

/// While agents connect, not one more of them may report for so long.
const PATIENCE: Duration = Duration::from_secs(30);
/// On top of what the judge grants, so that a page is judged to the full.
const MARGIN: Duration = Duration::from_millis(100);
/// How long a worker's agents may take to leave, or a page that was asked for to come: longer than a scrape.
const OVERDUE: Duration = Duration::from_secs(20);

impl Fleet {
    /// Brings up all agents, so many in a second, and waits until they have reported, for as long as there are more
    /// of them. That some do not is a finding.
    ///
    /// # Errors
    /// A worker has ended by itself.
    pub async fn bring_up(&mut self, agents: u32, per_second: f64) -> anyhow::Result<()> {
        self.note("agents come");
        self.begin_part("connecting");
        self.progress = Some(Progress::of_ramp(agents));
        let per_second = per_second / self.workers() as f64;
        self.tell_all(&Command::Ramp { per_second }).await;
        let mut before = None;
        while self.reporting() < agents && before != Some(self.reporting()) {
            before = Some(self.reporting());
            let all = |fleet: &Self| fleet.reporting() >= agents;
            self.until(Instant::now() + PATIENCE, all).await?;
        }
        let missing = agents.saturating_sub(self.reporting());
        if missing > 0 {
            let finding = Finding::NotConnected { agents: missing, of: agents };
            self.verdict.add("after the ramp", [finding]);
        }
        Ok(())
    }

    /// Waits until a page must show what was reported last.
    ///
    /// # Errors
    /// A worker has ended by itself.
    pub async fn settle(&mut self) -> anyhow::Result<()> {
        let before = self.begin_part("settling");
        self.wait(SETTLED + self.tolerance + MARGIN).await?;
        self.begin_part(&before);
        Ok(())
    }

    /// Waits for the pages that were asked for: those that came, with their workers. One that does not come is a
    /// finding.
    ///
    /// # Errors
    /// A worker has ended by itself.
    pub async fn pages(&mut self) -> anyhow::Result<Vec<(usize, Inspected)>> {
        if !self.until(Instant::now() + OVERDUE, |fleet| !fleet.awaits_pages()).await? {
            let why = format!("a worker did not tell of it within {} s", OVERDUE.as_secs());
            self.verdict.add("scraping", [Finding::ScrapeFailed { why }]);
        }
        let mut came = Vec::new();
        for (worker, page) in std::mem::take(&mut self.inspected) {
            match page.error {
                Some(why) => self.verdict.add("scraping", [Finding::ScrapeFailed { why }]),
                None => came.push((worker, page)),
            }
        }
        Ok(came)
    }

    /// Sends the fleet home and has the empty pages judged; as many workers' agents at a time as there are cores:
    /// closing a connection is work for both ends.
    ///
    /// # Errors
    /// A worker has ended by itself.
    pub async fn send_home(&mut self) -> anyhow::Result<()> {
        self.note("agents leave");
        self.begin_part("leaving");
        self.progress = Some(Progress::of_leaving(self.present()));
        let at_once = std::thread::available_parallelism().map_or(1, NonZero::get);
        let working = |worker: &usize| !self.is_dismissed(*worker);
        let all: Vec<_> = (0..self.workers()).filter(working).collect();
        for group in all.chunks(at_once) {
            for worker in group {
                self.tell(*worker, &Command::Finish).await;
            }
            let left = |fleet: &Self| group.iter().all(|worker| fleet.has_left(*worker));
            self.until(Instant::now() + OVERDUE, left).await?;
            self.wait(GONE_HERD + self.tolerance + MARGIN).await?;
            for worker in group {
                self.inspect(*worker, "after all have left").await;
            }
            self.pages().await?;
        }
        self.progress = None;
        Ok(())
    }

    /// Ends a part of a test that began with these counts: what was counted in it. Sessions that
    /// the collectors have ended in it and reports that they have taken in late are findings.
    ///
    /// # Errors
    /// A worker has ended by itself, or did not tell in time.
    pub async fn end_part(&mut self, what: &str, before: &Tally) -> anyhow::Result<Tally> {
        self.flush().await?;
        // Who has just left has as long to come back as anybody else.
        let part = self.begin_part("awaiting returns");
        let returned = Instant::now() + LEFT_FOR + BACK_WITHIN + OVERDUE;
        self.until(returned, |fleet| fleet.returning() == 0).await?;
        self.begin_part(&part);
        self.find_ended_since(what, &before.ended);
        let counts = self.total.since(before);
        for (why, attempts) in counts.refused.clone() {
            self.verdict.add(what, [Finding::Refused { attempts, why }]);
        }
        if counts.not_returned > 0 {
            let (times, within) = (counts.not_returned, LEFT_FOR + BACK_WITHIN);
            self.verdict.add(what, [Finding::NotReturned { times, within }]);
        }
        if counts.returned > 0 {
            self.verdict.checked("returns", counts.returned);
        }
        if counts.late > 0 {
            let finding = Finding::ReportsLate {
                reports: counts.late,
                of: counts.times.lag.count(),
                late_ms: u64::try_from(self.late.as_millis()).unwrap_or(u64::MAX),
                longest_ms: counts.times.answer.longest_ms(),
            };
            self.verdict.add(what, [finding]);
        }
        Ok(counts)
    }

    /// Counts the reports whose lag is known. A test that has compared nothing is not passed.
    pub(crate) fn find_nothing_compared(&mut self) {
        let times = &self.total.times;
        let taken_in = times.lag.count() - self.total.unanswered;
        self.verdict.checked("reports taken in", taken_in);
        let found = nothing_compared(&self.verdict);
        self.verdict.add("at the end", found);
    }

    /// Whatever sessions of these workers the collectors have ended so far is a finding: for scenarios in which
    /// other workers' sessions are ended on purpose.
    ///
    /// # Errors
    /// A worker has ended by itself, or did not tell in time.
    pub async fn find_ended_of(&mut self, when: &str, workers: &[usize]) -> anyhow::Result<()> {
        self.flush().await?;
        let own_lag_ms = self.total.times.own_lag.longest_ms();
        for worker in workers {
            for (why, sessions) in self.counts(*worker).ended.clone() {
                self.verdict.add(when, [Finding::SessionsEnded { sessions, why, own_lag_ms }]);
            }
        }
        Ok(())
    }

    /// Whatever sessions the collectors have ended since there were so many is a finding.
    pub fn find_ended_since(&mut self, when: &str, before: &Causes) {
        let own_lag_ms = self.total.times.own_lag.longest_ms();
        for (why, sessions) in self.total.ended.clone() {
            let sessions = sessions - before.get(&why).copied().unwrap_or(0);
            if sessions > 0 {
                self.verdict.add(when, [Finding::SessionsEnded { sessions, why, own_lag_ms }]);
            }
        }
    }
}

/// What every verdict rests on, and what is said where there was none.
const GROUNDS: [(&str, &str); 2] =
    [("pages", "page was judged"), ("reports taken in", "report was answered by a Pong")];

/// What a verdict lacks to be one.
fn nothing_compared(verdict: &Verdict) -> Vec<Finding> {
    let lacks = |check: &str| verdict.checks.get(check).is_none_or(|times| *times == 0);
    let lacking = GROUNDS.into_iter().filter(|(check, _)| lacks(check));
    lacking.map(|(_, what)| Finding::NothingCompared { what }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_compared_nothing_is_not_passed() {
        let mut verdict = Verdict::new();
        assert_eq!(nothing_compared(&verdict).len(), GROUNDS.len());
        verdict.checked("pages", 1);
        let lacking = nothing_compared(&verdict);
        assert!(lacking[0].to_string().contains("no report was answered"), "{lacking:?}");
        verdict.checked("reports taken in", 0);
        assert_eq!(nothing_compared(&verdict), lacking);
        verdict.checked("reports taken in", 1);
        assert_eq!(nothing_compared(&verdict), []);
    }
}
