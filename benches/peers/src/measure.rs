//! Runs a fleet through one program and reads what that cost it.
//!
//! ```text
//! start ─ all hosts report once ─ rest ─ the window ─ rest ─ is all shown? ─ pages ─ stop
//!                                        CPU, bytes   memory                CPU, bytes
//! ```

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::fleet::{Fleet, Outcome, Schedule};
use crate::peer::{Dialect, Peer};
use crate::reading::{self, Reading};
use crate::server::{Audience, Server};
use crate::targets::{Served, Targets};
use crate::usage::Usage;

/// At which rate hosts come, a second.
const COMING_RATE: f64 = 2_500.0;
/// How long they may take to come.
const COMING_TIME: Duration = Duration::from_secs(30);
/// How much longer than its plan a window may take.
const WINDOW_GRACE: Duration = Duration::from_secs(1);
/// What hosts promise as the time between reports, so that they are not taken for dead while they stand still: the
/// longest that a collector grants.
const PROMISED: Duration = Duration::from_secs(300);
/// How long it may take until a server begins to pull, beside its interval.
const PULL_TIMEOUT: Duration = Duration::from_secs(15);
/// How long it may take until a page shows what was reported.
const SHOWN_TIMEOUT: Duration = Duration::from_secs(45);
/// How often the page is looked at for that.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Pages are asked for until they have cost this much CPU time,
const PAGES_CPU: Duration = Duration::from_millis(300);
/// or for this long.
const PAGES_TIME: Duration = Duration::from_secs(3);

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

/// What a program uses without hosts.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Idle {
    /// CPU time, in milliseconds a second.
    pub cpu_ms: f64,
    /// Resident bytes.
    pub resident: u64,
}

/// What running a fleet through a program cost it. A report is one host's.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// Reports taken in the window.
    pub reports: u64,
    /// Reports a second in the window.
    pub rate: f64,
    /// CPU time a report, in microseconds, that of idling taken off.
    pub cpu_us: f64,
    /// Bytes of a report.
    pub payload_bytes: f64,
    /// Bytes of a report and of the protocol around it, above TCP.
    pub sent_bytes: f64,
    /// Resident bytes a host, those of the program without hosts taken off.
    pub memory_bytes: f64,
    /// The page with all hosts' newest values, where it was measured.
    pub page: Option<PageFigures>,
    /// What did not go as it should.
    pub flaws: Vec<String>,
}

/// What a page cost.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PageFigures {
    /// Uncompressed.
    pub plain: PageCost,
    /// Compressed, where the program does that.
    pub gzip: Option<PageCost>,
    /// Lines that are neither blank nor comments.
    pub samples: usize,
}

/// What a page cost in one form.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PageCost {
    /// CPU time of the server, in milliseconds.
    pub cpu_ms: f64,
    /// Its size.
    pub bytes: usize,
}

/// The hosts, by who begins.
enum Crowd {
    Reporting(Fleet),
    Pulled(Targets),
}

/// Runs a fleet through the program that was found there.
///
/// # Errors
/// The program does not start, or ends early.
pub async fn measure(
    peer: &dyn Peer,
    program: &Path,
    plan: Plan,
    idle: Idle,
) -> anyhow::Result<Figures> {
    let pulled = matches!(peer.link().dialect, Dialect::Pulled);
    let targets = if pulled { Some(Targets::serve(plan.hosts)?) } else { None };
    let interval = if pulled { plan.interval() } else { PROMISED };
    let port = targets.as_ref().map_or(0, |targets| targets.port);
    let audience = Audience { hosts: plan.hosts, interval, targets: port };
    let server = Server::start(peer, program, audience).await?;
    let mut crowd = match targets {
        Some(targets) => Crowd::Pulled(targets),
        None => Crowd::Reporting(Fleet::new(peer.link(), &server.place, 0..plan.hosts)),
    };
    crowd.come(plan).await;
    server.rest().await?;
    let window = crowd.window(&server, plan).await?;
    let mut flaws = window.flaws(plan);
    let came = crowd.newest().len();
    flaws.extend(crowd.shown(&server, peer.product().telling, plan).await?);
    let page = if peer.is_scraped() { Some(page(&server, idle).await?) } else { None };
    server.stop().await?;

    let each = |amount: u64| amount as f64 / window.outcome.reports.max(1) as f64;
    Ok(Figures {
        reports: window.outcome.reports,
        rate: window.outcome.reports as f64 / window.reporting.as_secs_f64(),
        cpu_us: each(idle.taken_off(window.cpu, window.time).as_micros() as u64),
        payload_bytes: each(window.outcome.payload),
        sent_bytes: each(window.written),
        memory_bytes: (window.resident as f64 - idle.resident as f64) / came.max(1) as f64,
        page,
        flaws,
    })
}

/// Watches the program without hosts for this long.
///
/// # Errors
/// It does not start, or ends.
pub async fn idle(peer: &dyn Peer, program: &Path, time: Duration) -> anyhow::Result<Idle> {
    let nobody = Audience { hosts: 0, interval: PROMISED, targets: 0 };
    let server = Server::start(peer, program, nobody).await?;
    let (before, since) = (server.rest().await?, Instant::now());
    sleep(time).await;
    let after = server.usage()?;
    let cpu_ms = (after.cpu - before.cpu).as_secs_f64() * 1e3 / since.elapsed().as_secs_f64();
    server.stop().await?;
    Ok(Idle { cpu_ms, resident: after.resident })
}

impl Idle {
    /// CPU time that was used in this time, without that of idling.
    fn taken_off(self, cpu: Duration, time: Duration) -> Duration {
        cpu.saturating_sub(time.mul_f64(self.cpu_ms / 1e3))
    }
}

impl Plan {
    /// Time between the reports of a host.
    fn interval(self) -> Duration {
        Duration::from_secs_f64(self.hosts as f64 / self.rate)
    }

    /// The window's reports: whole rounds.
    fn schedule(self) -> Schedule {
        let rounds = (self.rate * self.seconds / self.hosts as f64).round().max(1.0) as u32;
        let within = self.interval() * rounds + WINDOW_GRACE;
        Schedule { rate: self.rate, rounds: rounds.into(), within }
    }
}

/// What was seen of the window.
struct Window {
    outcome: Outcome,
    written: u64,
    /// The server's, until it was at rest.
    cpu: Duration,
    resident: u64,
    /// Until the server was at rest.
    time: Duration,
    /// Until all had reported.
    reporting: Duration,
}

impl Window {
    fn flaws(&self, plan: Plan) -> Vec<String> {
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
    /// All hosts report for the first time.
    async fn come(&mut self, plan: Plan) {
        match self {
            Self::Reporting(fleet) => {
                fleet.drive(Schedule { rate: COMING_RATE, rounds: 1, within: COMING_TIME }).await;
            }
            Self::Pulled(targets) => {
                let until = Instant::now() + 2 * plan.interval() + PULL_TIMEOUT;
                while targets.newest().count() < plan.hosts && Instant::now() < until {
                    sleep(LOOK_EVERY).await;
                }
            }
        }
    }

    async fn window(&mut self, server: &Server, plan: Plan) -> anyhow::Result<Window> {
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
                let Served { pages, payload, written } = targets.served();
                let reports = pages - earlier.pages;
                let payload = payload - earlier.payload;
                let outcome = Outcome { reports, payload, ..Outcome::default() };
                (outcome, written - earlier.written, since.elapsed(), server.usage()?)
            }
        };
        let Usage { cpu, resident } = after;
        let (cpu, time) = (cpu - before.cpu, since.elapsed());
        Ok(Window { outcome, written, cpu, resident, time, reporting })
    }

    fn newest(&self) -> Vec<Reading> {
        match self {
            Self::Reporting(fleet) => fleet.newest().collect(),
            Self::Pulled(targets) => targets.newest().collect(),
        }
    }

    /// What the page still lacks of what was reported once it has had its time.
    async fn shown(
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

/// What the page costs, plain and compressed, beside what idling takes.
async fn page(server: &Server, idle: Idle) -> anyhow::Result<PageFigures> {
    let page = server.page(false).await?.text();
    let samples = page.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
    let plain = page_cost(server, idle, false).await?;
    let compressed = server.page(true).await?.compressed;
    let gzip = if compressed { Some(page_cost(server, idle, true).await?) } else { None };
    Ok(PageFigures { plain, gzip, samples })
}

async fn page_cost(server: &Server, idle: Idle, gzip: bool) -> anyhow::Result<PageCost> {
    let (before, since) = (server.rest().await?, Instant::now());
    let (mut pages, mut bytes, mut used) = (0, 0, Duration::ZERO);
    while pages == 0 || (used < PAGES_CPU && since.elapsed() < PAGES_TIME) {
        bytes = server.page(gzip).await?.body.len();
        pages += 1;
        used = server.usage()?.cpu - before.cpu;
    }
    let used = idle.taken_off(used, since.elapsed());
    Ok(PageCost { cpu_ms: used.as_secs_f64() * 1e3 / f64::from(pages), bytes })
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
