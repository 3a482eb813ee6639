//! Trials: the engine is away, the sender is killed, or both. Counts the samples that are lost.

use std::ops::Range;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep, sleep_until};

use super::account::Count;
use super::rig::{POLL_INTERVAL, Rig};
use crate::reading;

/// Time between SIGKILL and the next start of the sender.
pub(super) const DOWN: Duration = Duration::from_secs(5);
/// Maximum time until a sender has caught up, in addition to the length of the outage.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(120);
/// A sender that has sent nothing new of the trial for this long has no more, unless it pauses
/// before its next attempt.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest pause of a sender before its next attempt: vmagent's. The pauses double from a second,
/// so one that begins in an outage is about as long as the outage at most.
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(60);
/// Time in which the last samples of a report arrive after the first: Prometheus sends what is left
/// of a batch after 5 s.
const FLUSH: Duration = Duration::from_secs(6);

/// A sender is up to date if samples arrive within this time.
const LAG: Duration = Duration::from_secs(2);
/// Maximum time until a sender is up to date.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(45);

/// What happens in a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trial {
    /// The port of the engine is closed for this time.
    Outage(Duration),
    /// The sender is killed, and started again after 5 s.
    Killed,
    /// The sender is killed and started again in the middle of an outage of this length.
    KilledInOutage(Duration),
}

impl Trial {
    /// How long the engine is away.
    fn outage(self) -> Duration {
        match self {
            Self::Outage(length) | Self::KilledInOutage(length) => length,
            Self::Killed => Duration::ZERO,
        }
    }

    /// A sender that has sent nothing new for this long after the trial has no more.
    fn patience(self, interval: Duration) -> Duration {
        (PATIENCE + self.outage().min(MAX_RETRY_PAUSE)).max(interval)
    }
}

/// Outcome of a trial.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// What happened.
    pub trial: Trial,
    /// Begin of the trial, in milliseconds since 1970 UTC.
    pub begin: u64,
    /// Samples from an interval before the trial to an interval after it.
    pub count: Count,
    /// Time from the end of the trial until the engine had all reports up to it, in seconds; `None`
    /// if samples are lost.
    pub caught_up: Option<f64>,
    /// Peak of the resident memory of the sender since its start, in bytes. If it was killed, the
    /// peak before or after, whichever is higher.
    pub peak_bytes: f64,
    /// What should not happen.
    pub problems: Vec<String>,
}

/// Runs a trial.
///
/// # Errors
/// If the sender does not start again.
pub(super) async fn run(rig: &mut Rig<'_>, trial: Trial) -> anyhow::Result<Outcome> {
    let interval = rig.plan.interval;
    let is_settled = settle(rig).await;
    let begin = reading::unix_ms();
    let from = begin.saturating_sub(millis(interval));
    let mut killed_peak = 0;
    match trial {
        Trial::Outage(length) => {
            rig.receiver.pause().await;
            sleep(length).await;
            rig.receiver.resume()?;
        }
        Trial::Killed => killed_peak = kill_and_restart(rig).await?,
        Trial::KilledInOutage(length) => {
            rig.receiver.pause().await;
            let (start, rest) = (Instant::now(), length.saturating_sub(DOWN));
            sleep(rest / 2).await;
            killed_peak = kill_and_restart(rig).await?;
            sleep(length.saturating_sub(start.elapsed())).await;
            rig.receiver.resume()?;
        }
    }
    let (end, backlog) = (Instant::now(), from..reading::unix_ms());
    let caught_up = catch_up(rig, trial, &backlog, end).await;
    sleep_until(end + interval).await;
    let within = from..reading::unix_ms();
    if caught_up.is_some() {
        catch_up(rig, trial, &within, end).await;
    }
    let count = settled_count(rig, &within).await;
    let caught_up = caught_up.filter(|_| count.lost == 0);
    let problems = problems(rig, &count, is_settled);
    let peak_bytes = rig.process.peak()?.max(killed_peak) as f64;
    Ok(Outcome { trial, begin, count, caught_up, peak_bytes, problems })
}

fn problems(rig: &Rig<'_>, count: &Count, is_settled: bool) -> Vec<String> {
    let wrong = [
        (count.wrong, "samples have a wrong value"),
        (count.unknown, "samples were never offered"),
        (count.markers, "stale markers of hosts that are present"),
    ];
    let wrong = wrong.iter().filter(|(count, _)| *count > 0);
    let mut problems: Vec<_> = wrong.map(|(count, what)| format!("{count} {what}")).collect();
    if !is_settled {
        problems.push(format!("samples took more than {} s before the trial", LAG.as_secs()));
    }
    problems.extend(rig.failure());
    problems
}

/// Waits until the sender is up to date: else it has more to lose than usual. Returns whether it
/// is.
async fn settle(rig: &Rig<'_>) -> bool {
    let (start, begin) = (Instant::now(), reading::unix_ms());
    let (account, least) = (rig.account(), LAG * 2);
    while start.elapsed() < SETTLE_TIMEOUT {
        sleep(POLL_INTERVAL).await;
        let within = begin..reading::unix_ms().saturating_sub(millis(LAG));
        if start.elapsed() > least && account.missing_reports(&rig.receiver.ledger(), &within) == 0
        {
            return true;
        }
    }
    false
}

/// Returns the peak of the resident memory before the kill, in bytes.
async fn kill_and_restart(rig: &mut Rig<'_>) -> anyhow::Result<u64> {
    let peak = rig.process.peak()?;
    rig.process.kill().await?;
    sleep(DOWN).await;
    rig.process.restart().await?;
    Ok(peak)
}

/// Waits until the engine has all reports of this time, or gets no more. Returns the seconds since
/// `end` if it has them.
async fn catch_up(rig: &Rig<'_>, trial: Trial, within: &Range<u64>, end: Instant) -> Option<f64> {
    let (account, patience) = (rig.account(), trial.patience(rig.plan.interval));
    let timeout = CATCH_UP_TIMEOUT + trial.outage();
    let (mut fewest, mut progress) = (usize::MAX, Instant::now());
    loop {
        let missing = account.missing_reports(&rig.receiver.ledger(), within);
        if missing == 0 {
            return Some(end.elapsed().as_secs_f64());
        }
        if missing < fewest {
            (fewest, progress) = (missing, Instant::now());
        }
        if progress.elapsed() > patience || end.elapsed() > timeout {
            return None;
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Counts the samples of this time when none is lost, or the last ones have arrived.
async fn settled_count(rig: &Rig<'_>, within: &Range<u64>) -> Count {
    let (account, deadline) = (rig.account(), Instant::now() + FLUSH);
    loop {
        let count = account.count(&rig.receiver.ledger(), within);
        if count.lost == 0 || Instant::now() > deadline {
            return count;
        }
        sleep(FLUSH / 2).await;
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sender_gets_time_for_its_longest_pause_after_an_outage() {
        let seconds = Duration::from_secs;
        let patience = |trial: Trial| trial.patience(seconds(15));
        assert_eq!(patience(Trial::Killed), seconds(20));
        assert_eq!(patience(Trial::KilledInOutage(seconds(20))), seconds(40));
        assert_eq!(patience(Trial::Outage(seconds(600))), seconds(80));
        assert_eq!(Trial::Killed.patience(seconds(30)), seconds(30));
    }
}
