//! The hosts of a run, whoever begins, and what is seen of them while their reports are measured.

use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::fleet::{Fleet, Outcome, Schedule};
use crate::peer::Peer;
use crate::reading::{self, Reading};
use crate::server::Server;
use crate::targets::Targets;
use crate::usage::Usage;

/// At which rate hosts come, a second.
const COMING_RATE: f64 = 2_500.0;
/// How long they may take to come.
const COMING_TIME: Duration = Duration::from_secs(30);
/// How much longer than its plan a window may take.
const WINDOW_GRACE: Duration = Duration::from_secs(1);
/// How long it may take until a server begins to pull, beside its interval.
const PULL_TIMEOUT: Duration = Duration::from_secs(15);
/// How long it may take until a page shows what was reported.
const SHOWN_TIMEOUT: Duration = Duration::from_secs(45);
/// How often the page is looked at for that.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How a fleet is run.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Plan {
    /// Hosts.
    pub hosts: usize,
    /// Host reports a second, over the whole fleet.
    pub rate: f64,
    /// Length of the window, in seconds.
    pub seconds: f64,
}

impl Plan {
    /// Time between the reports of a host.
    #[must_use]
    pub fn interval(self) -> Duration {
        Duration::from_secs_f64(self.hosts as f64 / self.rate)
    }

    /// The window's reports: whole rounds.
    fn schedule(self) -> Schedule {
        let rounds = (self.rate * self.seconds / self.hosts as f64).round().max(1.0) as u32;
        let within = self.interval() * rounds + WINDOW_GRACE;
        Schedule { rate: self.rate, rounds: rounds.into(), within }
    }
}

/// The hosts, by who begins.
pub enum Crowd {
    /// They report.
    Reporting(Fleet),
    /// They are asked.
    Pulled(Targets),
}

/// What was seen of the window.
pub struct Window {
    /// What came of the reports.
    pub outcome: Outcome,
    /// Bytes written by the hosts.
    pub written: u64,
    /// CPU time of the server until it was at rest,
    pub cpu: Duration,
    /// and how long that took.
    pub time: Duration,
    /// The server's resident bytes then.
    pub resident: u64,
    /// How long it took until all had reported.
    pub reporting: Duration,
}

impl Window {
    /// What did not go as planned.
    #[must_use]
    pub fn flaws(&self, plan: Plan) -> Vec<String> {
        let mut flaws = Vec::new();
        if let Some(failure) = &self.outcome.failure {
            flaws.push(format!("{} reports failed, the first: {failure}", self.outcome.failed));
        }
        let reached = self.outcome.reports as f64 / self.reporting.as_secs_f64();
        if reached < 0.95 * plan.rate {
            flaws.push(format!("{reached:.0} reports/s of {:.0}", plan.rate));
        }
        flaws
    }
}

impl Crowd {
    /// Hosts that have not reported yet: those who serve pages, else a fleet that reports to the server.
    #[must_use]
    pub fn new(targets: Option<Targets>, peer: &dyn Peer, server: &Server, plan: Plan) -> Self {
        match targets {
            Some(targets) => Self::Pulled(targets),
            None => Self::Reporting(Fleet::new(peer.link(), &server.place, 0..plan.hosts)),
        }
    }

    /// All hosts report for the first time, as far as the server can take them.
    ///
    /// # Errors
    /// The server has ended.
    pub async fn come(&mut self, server: &Server, plan: Plan) -> anyhow::Result<()> {
        match self {
            Self::Reporting(fleet) => {
                fleet.drive(Schedule { rate: COMING_RATE, rounds: 1, within: COMING_TIME }).await;
                server.rest().await?;
            }
            Self::Pulled(targets) => {
                let until = Instant::now() + 2 * plan.interval() + PULL_TIMEOUT;
                while targets.newest().count() < plan.hosts && Instant::now() < until {
                    sleep(LOOK_EVERY).await;
                }
            }
        }
        Ok(())
    }

    /// Reports are measured, until the server is at rest again; one that pulls never is.
    ///
    /// # Errors
    /// The server has ended.
    pub async fn window(&mut self, server: &Server, plan: Plan) -> anyhow::Result<Window> {
        let (before, since) = (server.usage()?, Instant::now());
        let (outcome, written, reporting, after) = match self {
            Self::Reporting(fleet) => {
                let written = fleet.written();
                let outcome = fleet.drive(plan.schedule()).await;
                let reporting = since.elapsed();
                (outcome, fleet.written() - written, reporting, server.rest().await?)
            }
            Self::Pulled(targets) => {
                let earlier = targets.served();
                sleep(Duration::from_secs_f64(plan.seconds)).await;
                let served = targets.served() - earlier;
                let outcome = Outcome {
                    reports: served.pages,
                    payload: served.payload,
                    ..Outcome::default()
                };
                (outcome, served.written, since.elapsed(), server.usage()?)
            }
        };
        let Usage { cpu, resident } = after;
        let (cpu, time) = (cpu - before.cpu, since.elapsed());
        Ok(Window { outcome, written, cpu, resident, time, reporting })
    }

    /// The newest readings that were reported.
    #[must_use]
    pub fn newest(&self) -> Vec<Reading> {
        match self {
            Self::Reporting(fleet) => fleet.newest().collect(),
            Self::Pulled(targets) => targets.newest().collect(),
        }
    }

    /// What the page still lacks of what was reported once it has had its time; those who are pulled stand still from
    /// now on.
    ///
    /// # Errors
    /// The server does not show a page.
    pub async fn shown(
        &self,
        server: &Server,
        telling: &str,
        plan: Plan,
    ) -> anyhow::Result<Option<String>> {
        if let Self::Pulled(targets) = self {
            targets.freeze();
        }
        let until = Instant::now() + SHOWN_TIMEOUT;
        loop {
            let page = server.page(false).await?.text();
            let unshown = unshown(&page, telling, plan.hosts, &self.newest());
            if unshown.is_none() || Instant::now() >= until {
                return Ok(unshown);
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

/// What a page lacks of what so many hosts have reported; `None` if it shows exactly that.
fn unshown(page: &str, telling: &str, hosts: usize, newest: &[Reading]) -> Option<String> {
    let (shown, sum) = reading::sum(page, telling);
    let expected: f64 = newest.iter().map(|reading| reading.used_bytes()).sum();
    let reported = newest.len();
    ((shown, reported, sum) != (hosts, hosts, expected)).then(|| {
        let off = sum - expected;
        format!("of {hosts} hosts {reported} have reported and {shown} are shown, with {off:+} in the sum of {telling}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_lacks_a_host_or_shows_an_older_report_is_a_flaw() {
        let reading = |host, sequence| Reading { host, sequence };
        let shows = |readings: &[Reading]| -> String {
            let line = |reading: &Reading| {
                format!("used{{agent=\"{}\"}} {}\n", reading.host, reading.used_bytes())
            };
            readings.iter().map(line).collect()
        };
        let newest = [reading(0, 2), reading(1, 2)];
        assert_eq!(unshown(&shows(&newest), "used", 2, &newest), None);
        for lacking in [&newest[..1], &[reading(0, 2), reading(1, 1)]] {
            assert!(unshown(&shows(lacking), "used", 2, &newest).is_some());
        }
        let alone = &newest[..1];
        assert!(unshown(&shows(alone), "used", 2, alone).is_some(), "one has not reported");
    }
}
