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
use crate::tally::Tally;

/// While agents connect, not one more of them may report for so long.
const PATIENCE: Duration = Duration::from_secs(30);
/// On top of what the judge grants, so that a page is judged to the full.
const MARGIN: Duration = Duration::from_millis(100);
/// How long a worker's agents may take to leave, or a page that was asked for to come: longer than
/// a scrape.
const OVERDUE: Duration = Duration::from_secs(20);

/// Minimum answers of a part for a verdict on late reports, and for its p99.
pub(crate) const SOME: u64 = 1;
pub(crate) const FOR_P99: u64 = 100;

impl Fleet {
    /// Brings up all agents, so many in a second, and waits until they have reported, for as long
    /// as there are more of them. That some do not is a finding, and so is a session that ends.
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
        self.ramp = self.end_upheaval("while agents came").await?;
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

    /// Waits for the pages that were asked for: those that came, with their workers. One that does
    /// not come is a finding.
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

    /// Sends the fleet home and has the empty pages judged; as many workers' agents at a time as
    /// there are cores: closing a connection is work for both ends.
    ///
    /// # Errors
    /// A worker has ended by itself.
    pub async fn send_home(&mut self) -> anyhow::Result<()> {
        self.end_part("before all left").await?;
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

    /// Ends a part of the test in which the fleet stayed as it was, or was to return to that.
    /// Sessions that the collectors have ended since the part before, attempts that they have
    /// refused and reports that they have taken in late are findings. What was counted in it.
    ///
    /// # Errors
    /// A worker has ended by itself, or did not tell in time.
    pub async fn end_part(&mut self, what: &str) -> anyhow::Result<Tally> {
        let counts = self.count_part().await?;
        self.find(what, ended(&counts));
        self.find(what, refused(&counts));
        self.find(what, not_returned(&counts));
        self.find(what, late(&counts, self.late));
        Ok(counts)
    }

    /// The same of a part whose figures are a result: at least so many reports of it have to be
    /// known to have been taken in.
    ///
    /// # Errors
    /// A worker has ended by itself, or did not tell in time.
    pub async fn end_measured_part(&mut self, what: &str, least: u64) -> anyhow::Result<Tally> {
        let counts = self.end_part(what).await?;
        self.find(what, too_few_answers(&counts, least));
        Ok(counts)
    }

    /// The same of a part in which hosts are started again: attempts may be refused for as long as
    /// the former session is there.
    ///
    /// # Errors
    /// A worker has ended by itself, or did not tell in time.
    pub async fn end_part_of_reboots(&mut self, what: &str) -> anyhow::Result<()> {
        let counts = self.end_upheaval(what).await?;
        self.find(what, late(&counts, self.late));
        Ok(())
    }

    /// Ends a part of the test in which agents come or go in numbers: they may have to wait for
    /// their turn and be late, but no session may end that the agents did not end themselves.
    ///
    /// # Errors
    /// A worker has ended by itself, or did not tell in time.
    pub async fn end_upheaval(&mut self, what: &str) -> anyhow::Result<Tally> {
        let counts = self.count_part().await?;
        self.find(what, ended(&counts));
        Ok(counts)
    }

    /// Ends a part of the test and begins the next: what was counted in between. Only what is wrong
    /// whatever the scenario does is found.
    ///
    /// # Errors
    /// A worker has ended by itself, or did not tell in time.
    pub async fn count_part(&mut self) -> anyhow::Result<Tally> {
        self.flush().await?;
        if self.returning() > 0 {
            // Who has just left has as long to come back as anybody else.
            let part = self.begin_part("awaiting returns");
            let returned = Instant::now() + LEFT_FOR + BACK_WITHIN + OVERDUE;
            self.until(returned, |fleet| fleet.returning() == 0).await?;
            self.begin_part(&part);
            self.flush().await?;
        }
        let counts = self.take_part();
        self.find("Welcome", other_interval(&counts));
        if counts.returned > 0 {
            self.verdict.checked("returns", counts.returned);
        }
        Ok(counts)
    }

    /// Of a test with churn: somebody has to have come back, or nothing is known of returns.
    pub fn find_no_returns(&mut self, what: &str, churn: f64, counts: &Tally) {
        self.find(what, no_returns(churn, counts));
    }

    fn find(&mut self, when: &str, findings: impl IntoIterator<Item = Finding>) {
        self.verdict.add(when, findings);
    }

    /// A test that has compared nothing is not passed.
    pub(crate) fn find_nothing_compared(&mut self) {
        self.verdict.checked("reports taken in", self.total.answered);
        let found = nothing_compared(&self.verdict);
        self.verdict.add("in the whole test", found);
    }
}

fn ended(counts: &Tally) -> Vec<Finding> {
    let own_lag_ms = counts.times.own_lag.longest_ms();
    let ended = counts.ended.clone().into_iter();
    ended.map(|(why, sessions)| Finding::SessionsEnded { sessions, why, own_lag_ms }).collect()
}

fn refused(counts: &Tally) -> Vec<Finding> {
    let refused = counts.refused.clone().into_iter();
    refused.map(|(why, attempts)| Finding::Refused { attempts, why }).collect()
}

fn not_returned(counts: &Tally) -> Option<Finding> {
    let (times, within) = (counts.not_returned, LEFT_FOR + BACK_WITHIN);
    (times > 0).then_some(Finding::NotReturned { times, within })
}

fn no_returns(churn: f64, counts: &Tally) -> Option<Finding> {
    let none = churn > 0.0 && counts.returned == 0;
    none.then_some(Finding::NothingCompared { what: "agent left and came back" })
}

fn late(counts: &Tally, late: Duration) -> Option<Finding> {
    (counts.late > 0).then(|| Finding::ReportsLate {
        reports: counts.late,
        of: counts.times.lag.count(),
        late_ms: u64::try_from(late.as_millis()).unwrap_or(u64::MAX),
        longest_ms: counts.times.answer.longest_ms(),
    })
}

fn too_few_answers(counts: &Tally, least: u64) -> Option<Finding> {
    let answered = counts.answered;
    (answered < least).then_some(Finding::TooFewAnswers { answered, least })
}

fn other_interval(counts: &Tally) -> Option<Finding> {
    let welcomes = counts.other_interval;
    (welcomes > 0).then_some(Finding::OtherInterval { welcomes })
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

    #[test]
    fn a_measured_part_without_an_answer_is_no_verdict() {
        let mut counts = Tally::default();
        counts.taken_in(Duration::ZERO, Duration::ZERO, Duration::ZERO);
        counts.unanswered = 1;
        let found = too_few_answers(&counts, SOME);
        assert_eq!(found, Some(Finding::TooFewAnswers { answered: 0, least: SOME }));
        counts.answered = 99;
        assert_eq!(too_few_answers(&counts, SOME), None);
        assert!(too_few_answers(&counts, FOR_P99).is_some(), "99 of them have no p99");
    }

    #[test]
    fn churn_without_a_return_is_no_verdict() {
        let mut counts = Tally::default();
        assert_eq!(no_returns(0.0, &counts), None);
        assert!(no_returns(1.0, &counts).is_some());
        counts.returned = 1;
        assert_eq!(no_returns(1.0, &counts), None);
    }

    #[test]
    fn a_collector_that_slows_agents_down_is_found() {
        let counts = Tally { other_interval: 3, ..Tally::default() };
        assert_eq!(other_interval(&counts), Some(Finding::OtherInterval { welcomes: 3 }));
        assert_eq!(other_interval(&Tally::default()), None);
    }
}
