//! The hosts of a run, pushing or pulled, and the measurement of their reports.

use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::fleet::{Fleet, Outcome, Schedule};
use crate::fleet_kind::FleetKind;
use crate::peer::Peer;
use crate::reading::{self, Reading};
use crate::server::Server;
use crate::targets::Targets;
use crate::usage::Usage;

/// Hosts that connect per second.
const CONNECT_RATE: f64 = 2_500.0;
/// Maximum time until all hosts have connected, without [`CONNECT_TIME_PER_SERIES`].
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Addition to [`CONNECT_TIMEOUT`] for each series of the fleet.
const CONNECT_TIME_PER_SERIES: Duration = Duration::from_micros(100);
/// Allowed excess of a window over its planned length.
const WINDOW_GRACE: Duration = Duration::from_secs(1);
/// Maximum time until a server starts to pull, in addition to two intervals.
const PULL_TIMEOUT: Duration = Duration::from_secs(15);
/// Maximum time until a page shows the reported values, in addition to an interval.
const PAGE_TIMEOUT: Duration = Duration::from_secs(45);
/// Polling interval.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Settings of a run.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Plan {
    /// What the hosts report.
    pub kind: FleetKind,
    /// Number of hosts.
    pub hosts: usize,
    /// Reports per second in total.
    pub rate: f64,
    /// Length of the measurement window, in seconds.
    pub seconds: f64,
}

impl Plan {
    /// Report interval of a host.
    #[must_use]
    pub fn interval(self) -> Duration {
        Duration::from_secs_f64(self.hosts as f64 / self.rate)
    }

    /// Number of series of all hosts.
    #[must_use]
    pub fn series(self) -> usize {
        self.hosts * self.kind.series()
    }

    /// Maximum time until all hosts have connected.
    fn connect_timeout(self) -> Duration {
        CONNECT_TIMEOUT + CONNECT_TIME_PER_SERIES * self.series() as u32
    }

    /// Schedule of the window, rounded to whole rounds of all hosts.
    fn schedule(self) -> Schedule {
        let rounds = (self.rate * self.seconds / self.hosts as f64).round().max(1.0) as u32;
        let within = self.interval() * rounds + WINDOW_GRACE;
        Schedule { rate: self.rate, rounds: rounds.into(), within }
    }
}

/// The hosts of a run.
pub enum Hosts {
    /// They push their reports to the server.
    Push(Fleet),
    /// The server pulls their pages.
    Pull(Targets),
}

/// Figures of a measurement window.
pub struct Window {
    /// Outcome of the reports.
    pub outcome: Outcome,
    /// Bytes that the hosts and the relay have written.
    pub written: u64,
    /// CPU time of the server until it was idle again.
    pub cpu: Duration,
    /// Elapsed time until the server was idle again.
    pub time: Duration,
    /// Resident memory of the server at the end, in bytes.
    pub resident: u64,
    /// Time until all hosts had reported.
    pub reporting: Duration,
}

impl Window {
    /// Returns the deviations of the window from the plan.
    #[must_use]
    pub fn problems(&self, plan: Plan) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(failure) = &self.outcome.failure {
            problems.push(format!("{} reports failed, the first: {failure}", self.outcome.failed));
        }
        let reached = self.outcome.reports as f64 / self.reporting.as_secs_f64();
        if reached < 0.95 * plan.rate {
            problems.push(format!("{reached:.0} reports/s of {:.0}", plan.rate));
        }
        problems
    }
}

impl Hosts {
    /// Creates the hosts: the targets if the server pulls, else a pushing fleet. None has reported
    /// yet.
    #[must_use]
    pub fn new(targets: Option<Targets>, peer: &dyn Peer, server: &Server, plan: Plan) -> Self {
        match targets {
            Some(targets) => Self::Pull(targets),
            None => Self::Push(Fleet::new(peer.report_mode(), &server.options, 0..plan.hosts)),
        }
    }

    /// Has every host report once. [`check_page`](Self::check_page) detects hosts that fail.
    ///
    /// # Errors
    /// If the server has exited.
    pub async fn connect(&mut self, server: &Server, plan: Plan) -> anyhow::Result<()> {
        match self {
            Self::Push(fleet) => {
                let within = plan.connect_timeout();
                fleet.drive(Schedule { rate: CONNECT_RATE, rounds: 1, within }).await;
                server.wait_until_idle().await?;
            }
            Self::Pull(targets) => {
                let deadline = Instant::now() + 2 * plan.interval() + PULL_TIMEOUT;
                while targets.newest().count() < plan.hosts && Instant::now() < deadline {
                    sleep(POLL_INTERVAL).await;
                }
            }
        }
        Ok(())
    }

    /// Measures reports until the server is idle again. A server that pulls is never idle, so its
    /// window ends after the planned time.
    ///
    /// # Errors
    /// If the server has exited.
    pub async fn measure_window(&mut self, server: &Server, plan: Plan) -> anyhow::Result<Window> {
        let (before, since) = (server.usage()?, Instant::now());
        let (outcome, written, reporting, after) = match self {
            Self::Push(fleet) => {
                let written = fleet.written();
                let outcome = fleet.drive(plan.schedule()).await;
                let reporting = since.elapsed();
                (outcome, fleet.written() - written, reporting, server.wait_until_idle().await?)
            }
            Self::Pull(targets) => {
                let (earlier, relayed) = (targets.served(), server.relayed().await?);
                sleep(Duration::from_secs_f64(plan.seconds)).await;
                let served = targets.served() - earlier;
                let relayed = server.relayed().await? - relayed;
                let outcome = Outcome {
                    reports: served.pages,
                    payload: served.payload,
                    ..Outcome::default()
                };
                (outcome, served.written + relayed, since.elapsed(), server.usage()?)
            }
        };
        let Usage { cpu, resident } = after;
        let (cpu, time) = (cpu - before.cpu, since.elapsed());
        Ok(Window { outcome, written, cpu, resident, time, reporting })
    }

    /// The latest reported reading of each host.
    #[must_use]
    pub fn newest(&self) -> Vec<Reading> {
        match self {
            Self::Push(fleet) => fleet.newest().collect(),
            Self::Pull(targets) => targets.newest().collect(),
        }
    }

    /// Waits until the page shows the latest reading of each host. Returns the difference if it
    /// does not in time. Freezes the values of pulled hosts.
    ///
    /// # Errors
    /// If the server does not return its page.
    pub async fn check_page(&self, server: &Server, plan: Plan) -> anyhow::Result<Option<String>> {
        if let Self::Pull(targets) = self {
            targets.freeze();
        }
        let deadline = Instant::now() + PAGE_TIMEOUT + plan.interval();
        loop {
            let page = server.page(false).await?.text();
            let mismatch = page_mismatch(&page, server.renamed_gauge(), plan, &self.newest());
            if mismatch.is_none() || Instant::now() >= deadline {
                return Ok(mismatch);
            }
            sleep(POLL_INTERVAL).await;
        }
    }
}

/// Difference between a page and the latest readings of all hosts; `None` if it shows exactly them.
/// `renamed_gauge` is the name of the sequence gauge if the page has other names than the hosts.
fn page_mismatch(
    page: &str,
    renamed_gauge: Option<&str>,
    plan: Plan,
    newest: &[Reading],
) -> Option<String> {
    let (kind, hosts) = (plan.kind, plan.hosts);
    let sequence_gauge = renamed_gauge.unwrap_or(kind.sequence_gauge());
    let (shown, sum) = reading::sum(page, sequence_gauge);
    let expected: f64 = newest.iter().map(|reading| reading.sequence_value()).sum();
    let reported = newest.len();
    if (shown, reported, sum) != (hosts, hosts, expected) {
        let difference = sum - expected;
        return Some(format!(
            "{reported} of {hosts} hosts have reported and the page shows {shown}; the sum of \
             {sequence_gauge} differs by {difference:+}"
        ));
    }
    let series = page.lines().filter(|line| line.starts_with(kind.prefix())).count();
    (renamed_gauge.is_none() && series != plan.series())
        .then(|| format!("the page shows {series} of {} series", plan.series()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: FleetKind = FleetKind::Basic;

    fn page(readings: &[Reading]) -> String {
        let mut page = String::new();
        for reading in readings {
            reading.samples(|name, _, value| {
                page += &format!("{name}{{agent=\"{}\"}} {value}\n", reading.host);
            });
        }
        page
    }

    #[test]
    fn missing_hosts_old_reports_and_lost_series_are_page_mismatches() {
        let reading = |host, sequence| Reading { kind: KIND, host, sequence };
        let plan = Plan { kind: KIND, hosts: 2, rate: 1.0, seconds: 1.0 };
        let mismatch = |page: &str, newest: &[Reading]| page_mismatch(page, None, plan, newest);
        let newest = [reading(0, 2), reading(1, 2)];
        assert_eq!(mismatch(&page(&newest), &newest), None);
        for shown in [&newest[..1], &[reading(0, 2), reading(1, 1)]] {
            assert!(mismatch(&page(shown), &newest).is_some());
        }
        let first = &newest[..1];
        assert!(mismatch(&page(first), first).is_some(), "one has not reported");
        let whole = page(&newest);
        let (_, without_first_line) = whole.split_once('\n').unwrap();
        assert!(mismatch(without_first_line, &newest).is_some(), "a series is missing");
    }
}
