//! Scenario `deaths`: agents die in six ways, and every page is compared with the deaths so far.
//!
//! The agents are spread over processes: one whose agents survive or disconnect on their own, one
//! that is killed, one that is frozen, and one behind a link that is cut.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use fleetgauge_page::{Item, ReadResult, Reader};
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use super::death_cause::DeathCause;
use super::netns::NetnsLink;
use super::removals::{RemovalBounds, RemovalStats, RemovalTracker};
use super::scenario_run::ScenarioRun;
use crate::agent_range::AgentRange;
use crate::cli::scenario_args::DeathsArgs;
use crate::fleet::phases::MIN_ANSWERS;
use crate::host_profile::HostModel;
use crate::judge::ScrapeWindow;
use crate::judge::finding::Finding;
use crate::judge::observed_page::{ObservedPage, PageScope, Shown};
use crate::judge::tolerances::{GONE, GONE_MASS, MASS_DEPARTURE};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::results::Results;
use crate::results::timeline::ScrapeRecord;
use crate::scrape::{self, Encoding};
use crate::worker_protocol::{AfterDisconnect, AgentSelector, BackoffPolicy, DisconnectKind};

/// Number of groups of agents that disconnect on their own, one group after the other.
const GROUPS: u32 = 10;
/// Number of pages compared between two groups.
const PAGES_BETWEEN: u32 = 2;
/// Path of the page to compare.
const PATH: &str = "/metrics/agents";
/// How much older than one interval an agent's last report may be at its death. Pages must show a
/// silent agent for two intervals minus this; the collector itself never removes an agent early.
const EARLY_SLACK: Duration = Duration::from_millis(250);
/// Extra time for the removal of a silent agent, beyond three intervals.
const LATE_SLACK: Duration = Duration::from_secs(1);
/// How long pages are compared before the first death and after the last removal.
const MARGIN: Duration = Duration::from_secs(1);

/// Outcome of the scenario.
#[derive(Debug, Serialize)]
pub struct Deaths {
    /// Time from the death to the last byte of the first page without the agent, by cause.
    pub time_to_removal: BTreeMap<DeathCause, RemovalStats>,
    /// Pages compared.
    pub pages: u64,
    /// Interval between two requests, which is the resolution of `time_to_removal`.
    pub resolution_ms: f64,
}

/// Agents of each cause of death. All agents with lower numbers survive.
struct DeathPlan(Vec<(DeathCause, AgentRange)>);

impl DeathPlan {
    fn new(args: &DeathsArgs, with_link: bool) -> Self {
        let causes = DeathCause::ALL.into_iter();
        let causes = causes.filter(|cause| with_link || *cause != DeathCause::DroppedPackets);
        let mut counts: Vec<_> = causes.map(|cause| (cause, args.deaths_per_cause)).collect();
        let mut first = args.fleet.agents - args.deaths_per_cause * counts.len() as u32;
        let plan = counts.drain(..).map(|(cause, count)| {
            let agents = AgentRange { first, count };
            first += count;
            (cause, agents)
        });
        Self(plan.collect())
    }

    /// Agents that die of this cause; `None` if there are none.
    fn agents_with(&self, cause: DeathCause) -> Option<AgentRange> {
        self.0.iter().find(|(other, _)| *other == cause).map(|(_, agents)| *agents)
    }

    /// Agents that die of this cause in one group; `None` if no agent dies of this cause.
    fn group(&self, cause: DeathCause, group: u32) -> Option<AgentRange> {
        let all = self.agents_with(cause)?;
        let first = |group: u32| all.first + all.count * group / GROUPS;
        Some(AgentRange { first: first(group), count: first(group + 1) - first(group) })
    }
}

/// State of a run of the scenario.
struct DeathsRun {
    run: ScenarioRun,
    removals: RemovalTracker,
    plan: DeathPlan,
    /// Interval between two pages that are compared.
    every: Duration,
    agents: u32,
    /// Number of static labels of each agent.
    labels: u8,
    hosts: HostModel,
    pages: u64,
}

/// Runs the scenario.
///
/// # Errors
/// If the machine is too small, or a process does not start or exits.
pub async fn deaths(args: &DeathsArgs) -> anyhow::Result<Results> {
    let link = NetnsLink::create().await;
    let host_address = link.as_ref().map_or(Ipv4Addr::LOCALHOST, NetnsLink::host_address);
    let mut flags = args.fleet.flags();
    flags.extend(["--listen".to_owned(), format!("{host_address}:0"), "--insecure".to_owned()]);
    // All agents of one worker share a source address. Without this the collector's limits per
    // address would delay them.
    flags.push(format!("--exempt-addresses=127.0.0.0/8,{host_address}/30"));
    let run = ScenarioRun::without_workers(
        "deaths",
        Plan::for_scenario(&args.fleet, 1, BackoffPolicy::Agent, flags),
    )
    .await?;
    let plan = DeathPlan::new(args, link.is_ok());
    let interval = args.fleet.interval();
    // The last report may be up to one interval old at the time of death.
    let tolerance = args.fleet.tolerance;
    let early = (2 * interval).saturating_sub(EARLY_SLACK + tolerance);
    let silent = early..3 * interval + LATE_SLACK + tolerance;
    let gone =
        if args.deaths_per_cause as usize > MASS_DEPARTURE { GONE_MASS } else { GONE } + tolerance;
    let mut test = DeathsRun {
        run,
        removals: RemovalTracker::new(args.fleet.agents as usize, RemovalBounds { gone, silent }),
        plan,
        every: args.scrape_interval,
        agents: args.fleet.agents,
        labels: args.fleet.labels,
        hosts: args.fleet.hosts.model(interval),
        pages: 0,
    };
    if let Err(error) = &link {
        let skipped = &mut test.run.fleet.verdict.skipped;
        skipped.push(format!("dropped packets: no network namespace ({error:#})"));
    }
    let link = link.ok();
    test.connect_all(args, link.as_ref()).await?;
    test.compare_for(MARGIN).await?;
    test.disconnect_in_groups().await?;
    test.end_processes(link.as_ref(), 3 * interval + 2 * LATE_SLACK + tolerance).await?;
    test.compare_for(MARGIN).await?;
    test.finish(args).await
}

/// Indices of the workers, in the order in which they are started.
const SURVIVORS: usize = 0;
const KILLED: usize = 1;
const FROZEN: usize = 2;
const CUT_OFF: usize = 3;

impl DeathsRun {
    async fn connect_all(
        &mut self,
        args: &DeathsArgs,
        link: Option<&NetnsLink>,
    ) -> anyhow::Result<()> {
        let config = self.run.worker_config()?;
        let none = AgentRange { first: 0, count: 0 };
        let agents_with = |cause| self.plan.agents_with(cause).unwrap_or(none);
        let survivors =
            AgentRange { first: 0, count: agents_with(DeathCause::KilledProcess).first };
        let prefix = link.map(NetnsLink::exec_prefix).unwrap_or_default();
        for (agents, prefix) in [
            (survivors, &[][..]),
            (agents_with(DeathCause::KilledProcess), &[]),
            (agents_with(DeathCause::FrozenProcess), &[]),
            (agents_with(DeathCause::DroppedPackets), &prefix),
        ] {
            if agents.count > 0 {
                self.run.fleet.start_worker(&config(agents), prefix).await?;
            }
        }
        self.run.connect_all(&args.fleet).await?;
        self.judge("before").await
    }

    /// Has each worker judge a page, except for the one in the namespace, which cannot reach HTTP.
    async fn judge(&mut self, what: &str) -> anyhow::Result<()> {
        let mut workers = self.run.fleet.judged_workers();
        workers.retain(|worker| *worker != CUT_OFF);
        self.run.judge_workers(&workers, what).await.map(drop)
    }

    /// Compares a page with the deaths so far.
    async fn compare_page(&mut self) -> anyhow::Result<()> {
        let http = self.run.fleet.collectors[0].http;
        // The parent judges all agents: a value encodes the agent's own number.
        let all = AgentRange { first: 0, count: self.agents };
        let mut observed_page = ObservedPage::new(PageScope {
            agents: all,
            visible: all,
            first_encoded_agent: all.first,
            labels: self.labels,
            hosts: self.hosts,
        });
        let (mut reader, mut findings) = (Reader::default(), Vec::new());
        let mut see = |read: ReadResult<'_>| match read {
            Ok(Item::Sample(sample)) => findings.extend(observed_page.add(sample).err()),
            Ok(Item::Family(_)) => {}
            Err(invalid) => findings.push(Finding::Unreadable(invalid)),
        };
        let requested = self.run.fleet.now();
        let series = self.agents as usize * self.hosts.profile.series();
        let timeout = scrape::judged_timeout(series as u64);
        let push = |piece: &[u8]| reader.push(piece, &mut see);
        let fetched = scrape::fetch_as(http, PATH, Encoding::Plain, timeout, push).await;
        reader.finish(&mut see);
        let ended = self.run.fleet.now();
        let when = format!("page at {:.1} s", requested.as_secs_f64());
        match fetched {
            Err(error) => {
                let finding = Finding::ScrapeFailed { why: error.to_string() };
                self.run.fleet.verdict.add(&when, [finding]);
            }
            Ok(bytes) => {
                self.pages += 1;
                let mut is_shown = Vec::with_capacity(all.count as usize);
                for (_, shown) in observed_page.own_agents() {
                    is_shown.push(shown != Shown::Nothing);
                    if let Shown::Invalid(finding) = shown {
                        findings.push(finding);
                    }
                }
                self.run.fleet.verdict.add(&when, findings);
                let window = ScrapeWindow { requested, ended };
                let agents = is_shown.iter().filter(|shown| **shown).count() as u64;
                let is_shown = |agent: usize| is_shown[agent];
                let failures = self.removals.compare_page(window, is_shown);
                self.run.add_findings(&when, failures);
                let page = ScrapeRecord {
                    at_seconds: requested.as_secs_f64(),
                    took_ms: (ended - requested).as_secs_f64() * 1e3,
                    bytes,
                    samples: Some(observed_page.samples as usize),
                };
                self.run.fleet.record_scrape(page, agents);
            }
        }
        let next = Instant::now() + self.every.saturating_sub(self.run.fleet.now() - requested);
        self.run.fleet.wait_until(next, |_| false).await.map(drop)
    }

    async fn compare_for(&mut self, time: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.compare_page().await?;
        }
        Ok(())
    }

    /// Disconnects agents in groups, one after the other: by Bye, FIN and RST.
    async fn disconnect_in_groups(&mut self) -> anyhow::Result<()> {
        self.run.fleet.record_event("bye, fin, rst");
        self.run.fleet.begin_phase("bye, fin, rst");
        let kinds = [
            (DeathCause::Bye, DisconnectKind::Bye),
            (DeathCause::Fin, DisconnectKind::Fin),
            (DeathCause::Rst, DisconnectKind::Reset),
        ];
        for group in 0..GROUPS {
            for (cause, kind) in kinds {
                let Some(agents) = self.plan.group(cause, group) else { continue };
                let selector = AgentSelector::Range(agents);
                let ordered = self.run.fleet.now();
                self.run
                    .fleet
                    .disconnect(SURVIVORS, selector, kind, AfterDisconnect::StayAway)
                    .await?;
                self.record_deaths(agents, cause, ordered);
                for _ in 0..PAGES_BETWEEN {
                    self.compare_page().await?;
                }
            }
            if group % 3 == 2 {
                self.judge("while agents disconnect").await?;
            }
        }
        Ok(())
    }

    fn record_deaths(&mut self, agents: AgentRange, cause: DeathCause, ordered: Duration) {
        let numbers = agents.range();
        let done = self.run.fleet.now();
        self.removals.record_deaths(
            numbers.start as usize..numbers.end as usize,
            cause,
            ordered..done,
        );
    }

    /// Kills one process, then freezes another and cuts the link of the third. Compares pages until
    /// all of their agents are removed, at most for `longest`.
    async fn end_processes(
        &mut self,
        link: Option<&NetnsLink>,
        longest: Duration,
    ) -> anyhow::Result<()> {
        self.run.fleet.end_measured_phase("before processes end", MIN_ANSWERS).await?;
        self.run.fleet.record_event("killed");
        self.run.fleet.begin_phase("killed");
        let ordered = self.run.fleet.now();
        self.run.fleet.kill_worker(KILLED).await?;
        self.end(DeathCause::KilledProcess, ordered);
        self.compare_for(MARGIN).await?;
        self.judge("with a process killed").await?;
        self.run.fleet.end_phase("with a process killed").await?;
        self.run.fleet.record_event("frozen, cut");
        self.run.fleet.begin_phase("frozen, cut");
        let ordered = self.run.fleet.now();
        self.run.fleet.freeze(FROZEN)?;
        self.end(DeathCause::FrozenProcess, ordered);
        if let Some(link) = link {
            let ordered = self.run.fleet.now();
            link.cut().await?;
            self.run.fleet.exclude(CUT_OFF);
            self.end(DeathCause::DroppedPackets, ordered);
        }
        let until = Instant::now() + longest;
        self.run.fleet.progress = Some(Progress::running("waiting for removals", longest));
        while self.removals.remaining() > 0 && Instant::now() < until {
            self.compare_page().await?;
        }
        self.run.fleet.record_event("all removed");
        Ok(())
    }

    fn end(&mut self, cause: DeathCause, ordered: Duration) {
        if let Some(agents) = self.plan.agents_with(cause) {
            self.record_deaths(agents, cause, ordered);
        }
    }

    async fn finish(mut self, args: &DeathsArgs) -> anyhow::Result<Results> {
        self.judge("after all deaths").await?;
        self.run.fleet.end_phase("after all deaths").await?;
        self.run.fleet.kill_worker(FROZEN).await?;
        if self.plan.agents_with(DeathCause::DroppedPackets).is_some() {
            self.run.fleet.kill_worker(CUT_OFF).await?;
        }
        let dead = u64::from(args.deaths_per_cause) * self.plan.0.len() as u64;
        self.run.fleet.verdict.checked("deaths", dead);
        self.run.fleet.verdict.checked("pages compared", self.pages);
        let deaths = Deaths {
            time_to_removal: self.removals.figures(),
            pages: self.pages,
            resolution_ms: self.every.as_secs_f64() * 1e3,
        };
        let settings = json!({
            "agents": args.fleet.agents,
            "interval_seconds": args.fleet.interval().as_secs_f64(),
            "deaths_per_cause": args.deaths_per_cause,
            "scrape_interval_ms": args.scrape_interval.as_secs_f64() * 1e3,
        });
        self.run.finish(settings, deaths).await
    }
}
