//! Phases that all tests share: connect the fleet, judge pages, disconnect the fleet. At the end of
//! each phase its counts are checked.

use std::num::NonZero;
use std::time::Duration;

use tokio::time::Instant;

use super::Fleet;
use crate::judge::finding::Finding;
use crate::judge::tolerances::{GONE_MASS, SETTLED};
use crate::judge::verdict::Verdict;
use crate::progress::Progress;
use crate::tally::Tally;
use crate::worker_protocol::{Command, MAX_AWAY, PageResult, RETURN_GRACE};

/// The ramp is aborted if no further agent reports for this long.
const PROGRESS_TIMEOUT: Duration = Duration::from_secs(30);
/// Extra wait beyond the judge's tolerances, so that a page must show the last changes.
const MARGIN: Duration = Duration::from_millis(100);
/// Timeout for a worker to disconnect its agents.
const WORKER_TIMEOUT: Duration = Duration::from_secs(20);

/// Minimum answered Pings of a measured phase for a verdict on late reports.
pub(crate) const MIN_ANSWERS: u64 = 1;
/// Minimum answered Pings of a measured phase for a p99.
pub(crate) const MIN_ANSWERS_FOR_P99: u64 = 100;

impl Fleet {
    /// Connects all agents at this rate. Waits until all have reported, or until no further agent
    /// reports. Missing agents and ended sessions are findings.
    ///
    /// # Errors
    /// If a worker has exited.
    pub async fn connect_all(&mut self, agents: u32, per_second: f64) -> anyhow::Result<()> {
        self.record_event("agents connect");
        self.begin_phase("connecting");
        self.progress = Some(Progress::connecting(agents));
        let per_second = per_second / self.worker_count() as f64;
        self.send_all(&Command::Ramp { per_second }).await;
        let mut before = None;
        while self.reporting() < agents && before != Some(self.reporting()) {
            before = Some(self.reporting());
            let all = |fleet: &Self| fleet.reporting() >= agents;
            self.wait_until(Instant::now() + PROGRESS_TIMEOUT, all).await?;
        }
        let missing = agents.saturating_sub(self.reporting());
        if missing > 0 {
            let finding = Finding::NotConnected { agents: missing, of: agents };
            self.verdict.add("after the ramp", [finding]);
        }
        self.ramp = self.end_transition("while agents connect").await?;
        Ok(())
    }

    /// Waits until a page must show the last reports.
    ///
    /// # Errors
    /// If a worker has exited.
    pub async fn settle(&mut self) -> anyhow::Result<()> {
        let before = self.begin_phase("settling");
        self.wait(SETTLED + self.tolerance + MARGIN).await?;
        self.begin_phase(&before);
        Ok(())
    }

    /// Waits for the requested pages, and returns those that arrived, with their workers. A page
    /// that could not be fetched is a finding.
    ///
    /// # Errors
    /// If a worker has exited.
    pub async fn collect_pages(&mut self) -> anyhow::Result<Vec<(usize, PageResult)>> {
        let (timeout, done) = (self.page_timeout, |fleet: &Self| !fleet.has_pending_pages());
        if !self.wait_until(Instant::now() + timeout, done).await? {
            let why = format!("the worker did not answer within {} s", timeout.as_secs());
            self.verdict.add("scraping", [Finding::ScrapeFailed { why }]);
        }
        let mut received = Vec::new();
        for (worker, page) in std::mem::take(&mut self.received_pages) {
            match page.error {
                Some(why) => self.verdict.add("scraping", [Finding::ScrapeFailed { why }]),
                None => received.push((worker, page)),
            }
        }
        Ok(received)
    }

    /// Disconnects the fleet and has the empty pages judged. One group of workers at a time, as
    /// many as there are cores, because closing connections costs CPU time at both ends.
    ///
    /// # Errors
    /// If a worker has exited.
    pub async fn disconnect_all(&mut self) -> anyhow::Result<()> {
        self.end_phase("before all disconnect").await?;
        self.record_event("agents disconnect");
        self.begin_phase("disconnecting");
        self.progress = Some(Progress::disconnecting(self.present()));
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let working = |worker: &usize| !self.is_killed(*worker);
        let all: Vec<_> = (0..self.worker_count()).filter(working).collect();
        for group in all.chunks(cores) {
            for worker in group {
                self.send(*worker, &Command::Finish).await;
            }
            let left = |fleet: &Self| group.iter().all(|worker| fleet.has_finished(*worker));
            self.wait_until(Instant::now() + WORKER_TIMEOUT, left).await?;
            self.wait(GONE_MASS + self.tolerance + MARGIN).await?;
            for worker in group {
                self.request_page(*worker, "after all have disconnected").await;
            }
            self.collect_pages().await?;
        }
        self.progress = None;
        Ok(())
    }

    /// Ends a phase in which the fleet was stable or under churn. Sessions ended by a collector,
    /// refused attempts, agents that did not return and late reports are findings. Returns the
    /// counts of the phase.
    ///
    /// # Errors
    /// If a worker has exited, or does not send its counts in time.
    pub async fn end_phase(&mut self, what: &str) -> anyhow::Result<Tally> {
        let counts = self.close_phase().await?;
        self.add_findings(what, ended(&counts));
        self.add_findings(what, refused(&counts));
        self.add_findings(what, not_returned(&counts));
        self.add_findings(what, late(&counts, self.late));
        Ok(counts)
    }

    /// Like [`end_phase`](Self::end_phase), for a phase whose figures are a result: at least
    /// `min` Pings must be answered.
    ///
    /// # Errors
    /// If a worker has exited, or does not send its counts in time.
    pub async fn end_measured_phase(&mut self, what: &str, min: u64) -> anyhow::Result<Tally> {
        let counts = self.end_phase(what).await?;
        self.add_findings(what, too_few_answers(&counts, min));
        Ok(counts)
    }

    /// Like [`end_phase`](Self::end_phase), for a phase with reboots: attempts may be refused while
    /// the previous session exists.
    ///
    /// # Errors
    /// If a worker has exited, or does not send its counts in time.
    pub async fn end_reboot_phase(&mut self, what: &str) -> anyhow::Result<()> {
        let counts = self.end_transition(what).await?;
        self.add_findings(what, late(&counts, self.late));
        Ok(())
    }

    /// Ends a phase in which many agents connect or disconnect. They may be refused and late, but a
    /// session that a collector ends is a finding.
    ///
    /// # Errors
    /// If a worker has exited, or does not send its counts in time.
    pub async fn end_transition(&mut self, what: &str) -> anyhow::Result<Tally> {
        let counts = self.close_phase().await?;
        self.add_findings(what, ended(&counts));
        Ok(counts)
    }

    /// Ends a phase and begins the next. Returns the counts of the phase. Adds only findings that
    /// apply to every scenario.
    ///
    /// # Errors
    /// If a worker has exited, or does not send its counts in time.
    pub async fn close_phase(&mut self) -> anyhow::Result<Tally> {
        self.flush().await?;
        if self.returning() > 0 {
            // An agent that has just disconnected gets its full time to return.
            let phase = self.begin_phase("awaiting returns");
            let returned = Instant::now() + MAX_AWAY + RETURN_GRACE + WORKER_TIMEOUT;
            self.wait_until(returned, |fleet| fleet.returning() == 0).await?;
            self.begin_phase(&phase);
            self.flush().await?;
        }
        let counts = self.take_phase_counts();
        self.add_findings("Welcome", other_interval(&counts));
        if counts.returned > 0 {
            self.verdict.checked("returns", counts.returned);
        }
        Ok(counts)
    }

    /// In a test with churn, checks that at least one agent has returned.
    pub fn check_returns(&mut self, what: &str, churn: f64, counts: &Tally) {
        self.add_findings(what, no_returns(churn, counts));
    }

    fn add_findings(&mut self, when: &str, findings: impl IntoIterator<Item = Finding>) {
        self.verdict.add(when, findings);
    }

    /// Adds a finding if the test has not made a required check.
    pub(crate) fn check_required(&mut self) {
        self.verdict.checked("reports processed", self.total.answered);
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
    let (times, within) = (counts.not_returned, MAX_AWAY + RETURN_GRACE);
    (times > 0).then_some(Finding::NotReturned { times, within })
}

fn no_returns(churn: f64, counts: &Tally) -> Option<Finding> {
    let none = churn > 0.0 && counts.returned == 0;
    none.then_some(Finding::NothingCompared { what: "agent disconnected and returned" })
}

fn late(counts: &Tally, late: Duration) -> Option<Finding> {
    (counts.late > 0).then(|| Finding::ReportsLate {
        reports: counts.late,
        of: counts.times.lag.count(),
        late_ms: u64::try_from(late.as_millis()).unwrap_or(u64::MAX),
        longest_ms: counts.times.answer.longest_ms(),
    })
}

fn too_few_answers(counts: &Tally, min: u64) -> Option<Finding> {
    let answered = counts.answered;
    (answered < min).then_some(Finding::TooFewAnswers { answered, min })
}

fn other_interval(counts: &Tally) -> Option<Finding> {
    let welcomes = counts.other_interval;
    (welcomes > 0).then_some(Finding::OtherInterval { welcomes })
}

/// Required checks of every test, and the finding if there was none.
const REQUIRED_CHECKS: [(&str, &str); 2] =
    [("pages", "page was judged"), ("reports processed", "report was answered by a Pong")];

/// Findings for required checks that were not made.
fn nothing_compared(verdict: &Verdict) -> Vec<Finding> {
    let lacks = |check: &str| verdict.checks.get(check).is_none_or(|times| *times == 0);
    let lacking = REQUIRED_CHECKS.into_iter().filter(|(check, _)| lacks(check));
    lacking.map(|(_, what)| Finding::NothingCompared { what }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_without_pages_or_answers_fails() {
        let mut verdict = Verdict::new();
        assert_eq!(nothing_compared(&verdict).len(), REQUIRED_CHECKS.len());
        verdict.checked("pages", 1);
        let lacking = nothing_compared(&verdict);
        assert!(lacking[0].to_string().contains("no report was answered"), "{lacking:?}");
        verdict.checked("reports processed", 0);
        assert_eq!(nothing_compared(&verdict), lacking);
        verdict.checked("reports processed", 1);
        assert_eq!(nothing_compared(&verdict), []);
    }

    #[test]
    fn a_measured_phase_needs_answered_pings() {
        let mut counts = Tally::default();
        counts.record_processed(Duration::ZERO, Duration::ZERO, Duration::ZERO);
        counts.unanswered = 1;
        let found = too_few_answers(&counts, MIN_ANSWERS);
        assert_eq!(found, Some(Finding::TooFewAnswers { answered: 0, min: MIN_ANSWERS }));
        counts.answered = 99;
        assert_eq!(too_few_answers(&counts, MIN_ANSWERS), None);
        assert!(too_few_answers(&counts, MIN_ANSWERS_FOR_P99).is_some(), "99 of them have no p99");
    }

    #[test]
    fn churn_without_a_return_fails() {
        let mut counts = Tally::default();
        assert_eq!(no_returns(0.0, &counts), None);
        assert!(no_returns(1.0, &counts).is_some());
        counts.returned = 1;
        assert_eq!(no_returns(1.0, &counts), None);
    }

    #[test]
    fn a_changed_report_interval_is_found() {
        let counts = Tally { other_interval: 3, ..Tally::default() };
        assert_eq!(other_interval(&counts), Some(Finding::OtherInterval { welcomes: 3 }));
        assert_eq!(other_interval(&Tally::default()), None);
    }
}
