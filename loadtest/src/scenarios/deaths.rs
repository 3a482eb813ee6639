//! The ledger of deaths: agents end in every way there is, and every page is compared with what has
//! happened.
//!
//! Agents are spread over processes: one whose agents stay or end by themselves, one that is
//! killed, one that is frozen, and one behind a cable that is cut.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use fleetgauge_page::{Item, ReadResult, Reader};
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use super::args::DeathsArgs;
use super::removals::{Cause, CauseFigures, Grace, Removals, Window};
use super::scene::Scene;
use super::wire::Wire;
use crate::finding::Finding;
use crate::judge::{GONE, GONE_HERD, HERD};
use crate::orders::{Manner, Numbers, Retry, Then, Who};
use crate::parts::SOME;
use crate::progress::Progress;
use crate::results::Results;
use crate::results::timeline::Scraped;
use crate::scrape;
use crate::shown::{Seen, Shown};
use crate::value::NAMES;

/// Agents that end by themselves do so in so many groups, one after the other.
const GROUPS: u32 = 10;
/// Pages between two groups.
const PAGES_BETWEEN: u32 = 2;
/// The page that is compared.
const PATH: &str = "/metrics/agents";
/// How much more than an interval before its death an agent's last report may have been sent. The collector itself is
/// never early.
const EARLY: Duration = Duration::from_millis(250);
/// What it may be late by, beyond three intervals.
const LATE: Duration = Duration::from_secs(1);
/// Pages are compared for so long before the first death and after the last removal.
const AROUND: Duration = Duration::from_secs(1);

/// What was seen of the dead.
#[derive(Debug, Serialize)]
pub struct Deaths {
    /// From the death to the last byte of the first page without the agent, by cause.
    pub time_to_removal: BTreeMap<Cause, CauseFigures>,
    /// Pages compared.
    pub pages: u64,
    /// Between two requests for a page: what the times above are exact to.
    pub resolution_ms: f64,
}

/// Who dies of what, by number; those before stay.
struct Fates(Vec<(Cause, Numbers)>);

impl Fates {
    fn new(args: &DeathsArgs, with_wire: bool) -> Self {
        let causes = Cause::ALL.into_iter();
        let causes = causes.filter(|cause| with_wire || *cause != Cause::DroppedPackets);
        let mut fates: Vec<_> = causes.map(|cause| (cause, args.each)).collect();
        let mut first = args.fleet.agents - args.each * fates.len() as u32;
        let fates = fates.drain(..).map(|(cause, count)| {
            let numbers = Numbers { first, count };
            first += count;
            (cause, numbers)
        });
        Self(fates.collect())
    }

    /// The agents with this fate; `None` if nobody has it.
    fn of(&self, cause: Cause) -> Option<Numbers> {
        self.0.iter().find(|(other, _)| *other == cause).map(|(_, numbers)| *numbers)
    }

    /// The part of the agents with this fate that makes one group.
    fn group(&self, cause: Cause, group: u32) -> Option<Numbers> {
        let all = self.of(cause)?;
        let first = |group: u32| all.first + all.count * group / GROUPS;
        Some(Numbers { first: first(group), count: first(group + 1) - first(group) })
    }
}

/// A test of deaths that is under way.
struct Ward {
    scene: Scene,
    removals: Removals,
    fates: Fates,
    /// Between two pages.
    every: Duration,
    agents: u32,
    /// Static labels of each.
    labels: u8,
    pages: u64,
}

/// Does it all.
///
/// # Errors
/// What keeps it from being done: no room, no collector, a worker that ended.
pub async fn deaths(args: &DeathsArgs) -> anyhow::Result<Results> {
    let wire = Wire::lay().await;
    let near = wire.as_ref().map_or(Ipv4Addr::LOCALHOST, Wire::near);
    let mut flags = args.fleet.flags();
    flags.extend(["--listen".to_owned(), format!("{near}:0"), "--insecure".to_owned()]);
    let scene = Scene::without_workers("deaths", args.fleet.plan(1, Retry::Agent, flags)).await?;
    let fates = Fates::new(args, wire.is_ok());
    let interval = args.fleet.interval();
    // The last report was up to an interval ago when silence begins.
    let tolerance = args.fleet.tolerance;
    let early = (2 * interval).saturating_sub(EARLY + tolerance);
    let silent = early..3 * interval + LATE + tolerance;
    let gone = if args.each as usize > HERD { GONE_HERD } else { GONE } + tolerance;
    let mut ward = Ward {
        scene,
        removals: Removals::new(args.fleet.agents as usize, Grace { gone, silent }),
        fates,
        every: args.every,
        agents: args.fleet.agents,
        labels: args.fleet.labels,
        pages: 0,
    };
    if let Err(error) = &wire {
        let skipped = &mut ward.scene.fleet.verdict.skipped;
        skipped.push(format!("dropped packets: no network of its own ({error:#})"));
    }
    let wire = wire.ok();
    ward.bring_up(args, wire.as_ref()).await?;
    ward.compare_for(AROUND).await?;
    ward.leave_in_groups().await?;
    ward.end_processes(wire.as_ref(), 3 * interval + 2 * LATE + tolerance).await?;
    ward.compare_for(AROUND).await?;
    ward.finish(args).await
}

/// The workers, in the order in which they are started.
const OWN: usize = 0;
const KILLED: usize = 1;
const FROZEN: usize = 2;
const WIRED: usize = 3;

impl Ward {
    async fn bring_up(&mut self, args: &DeathsArgs, wire: Option<&Wire>) -> anyhow::Result<()> {
        let order = self.scene.orders()?;
        let of = |cause| self.fates.of(cause).unwrap_or(Numbers { first: 0, count: 0 });
        let own = Numbers { first: 0, count: of(Cause::KilledProcess).first };
        let prefix = wire.map(Wire::prefix).unwrap_or_default();
        for (agents, prefix) in [
            (own, &[][..]),
            (of(Cause::KilledProcess), &[]),
            (of(Cause::FrozenProcess), &[]),
            (of(Cause::DroppedPackets), &prefix),
        ] {
            if agents.count > 0 {
                self.scene.fleet.hire(&order(agents), prefix).await?;
            }
        }
        self.scene.bring_up(&args.fleet).await?;
        self.judge("before").await
    }

    /// Has a page judged by the ledger of each worker that can fetch one: the collector's pages are
    /// not on the cable.
    async fn judge(&mut self, what: &str) -> anyhow::Result<()> {
        let mut workers = self.scene.fleet.judged();
        workers.retain(|worker| *worker != WIRED);
        self.scene.judge(&workers, what).await.map(drop)
    }

    /// Compares a page with the ledger.
    async fn compare(&mut self) -> anyhow::Result<()> {
        let http = self.scene.fleet.collectors[0].http;
        // All agents are the parent's here: values carry the agent's number, not the worker's.
        let all = Numbers { first: 0, count: self.agents };
        let mut shown = Shown::new(all, all, all.first, self.labels);
        let (mut reader, mut found) = (Reader::default(), Vec::new());
        let mut see = |read: ReadResult<'_>| match read {
            Ok(Item::Sample(sample)) => found.extend(shown.place(sample).err()),
            Ok(Item::Family(_)) => {}
            Err(unreadable) => found.push(Finding::Unreadable(unreadable)),
        };
        let requested = self.scene.fleet.now();
        let fetched = scrape::fetch_into(http, PATH, |piece| reader.push(piece, &mut see)).await;
        reader.finish(&mut see);
        let ended = self.scene.fleet.now();
        let when = format!("page at {:.1} s", requested.as_secs_f64());
        match fetched {
            Err(error) => {
                let finding = Finding::ScrapeFailed { why: error.to_string() };
                self.scene.fleet.verdict.add(&when, [finding]);
            }
            Ok(bytes) => {
                self.pages += 1;
                let seen: Vec<_> = shown.of_agents().collect();
                let is_part = |seen: &Seen| (1..NAMES.len()).contains(&seen.count());
                let parts = seen.iter().filter(|(_, seen)| !seen.is_wrong() && is_part(seen));
                found.extend(parts.map(|(agent, seen)| Finding::Incomplete {
                    agent: *agent,
                    shown: seen.count(),
                }));
                self.scene.fleet.verdict.add(&when, found);
                let window = Window { requested, ended };
                let is_shown = |agent: usize| seen[agent].1.count() > 0;
                let failures = self.removals.compare(window, is_shown);
                self.scene.found(&when, failures);
                self.scene.fleet.scraped(Scraped {
                    at_seconds: requested.as_secs_f64(),
                    took_ms: (ended - requested).as_secs_f64() * 1e3,
                    bytes,
                    samples: Some(shown.samples as usize),
                });
            }
        }
        let next = Instant::now() + self.every.saturating_sub(self.scene.fleet.now() - requested);
        self.scene.fleet.until(next, |_| false).await.map(drop)
    }

    async fn compare_for(&mut self, time: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.compare().await?;
        }
        Ok(())
    }

    /// Those who end by themselves do so.
    async fn leave_in_groups(&mut self) -> anyhow::Result<()> {
        self.scene.fleet.note("bye, fin, rst");
        let manners =
            [(Cause::Bye, Manner::Bye), (Cause::Fin, Manner::Fin), (Cause::Rst, Manner::Reset)];
        for group in 0..GROUPS {
            for (cause, manner) in manners {
                let Some(agents) = self.fates.group(cause, group) else { continue };
                let who = Who::Numbers(agents);
                let ordered = self.scene.fleet.now();
                self.scene.fleet.leave(OWN, who, manner, Then::StayAway).await?;
                self.died(agents, cause, ordered);
                for _ in 0..PAGES_BETWEEN {
                    self.compare().await?;
                }
            }
            if group % 3 == 2 {
                self.judge("while agents leave").await?;
            }
        }
        Ok(())
    }

    fn died(&mut self, agents: Numbers, cause: Cause, ordered: Duration) {
        let numbers = agents.range();
        let done = self.scene.fleet.now();
        self.removals.died(numbers.start as usize..numbers.end as usize, cause, ordered..done);
    }

    /// One process is killed, then another frozen and the cable of the third cut; pages are compared
    /// until nobody of them is shown, for so long at most.
    async fn end_processes(
        &mut self,
        wire: Option<&Wire>,
        longest: Duration,
    ) -> anyhow::Result<()> {
        self.scene.fleet.end_measured_part("before processes end", SOME).await?;
        self.scene.fleet.note("killed");
        let ordered = self.scene.fleet.now();
        self.scene.fleet.dismiss(KILLED).await?;
        self.end(Cause::KilledProcess, ordered);
        self.compare_for(AROUND).await?;
        self.judge("with a process killed").await?;
        self.scene.fleet.end_part("with a process killed").await?;
        self.scene.fleet.note("frozen, cut");
        let ordered = self.scene.fleet.now();
        self.scene.fleet.freeze(FROZEN)?;
        self.end(Cause::FrozenProcess, ordered);
        if let Some(wire) = wire {
            let ordered = self.scene.fleet.now();
            wire.cut().await?;
            self.scene.fleet.spare(WIRED);
            self.end(Cause::DroppedPackets, ordered);
        }
        let until = Instant::now() + longest;
        self.scene.fleet.progress = Some(Progress::of_time("waiting for the silent", longest));
        while self.removals.remaining() > 0 && Instant::now() < until {
            self.compare().await?;
        }
        self.scene.fleet.note("all removed");
        Ok(())
    }

    fn end(&mut self, cause: Cause, ordered: Duration) {
        if let Some(agents) = self.fates.of(cause) {
            self.died(agents, cause, ordered);
        }
    }

    async fn finish(mut self, args: &DeathsArgs) -> anyhow::Result<Results> {
        self.judge("with the dead gone").await?;
        self.scene.fleet.end_part("with the dead gone").await?;
        self.scene.fleet.dismiss(FROZEN).await?;
        if self.fates.of(Cause::DroppedPackets).is_some() {
            self.scene.fleet.dismiss(WIRED).await?;
        }
        let dead = u64::from(args.each) * self.fates.0.len() as u64;
        self.scene.fleet.verdict.checked("deaths", dead);
        self.scene.fleet.verdict.checked("pages compared", self.pages);
        let deaths = Deaths {
            time_to_removal: self.removals.figures(),
            pages: self.pages,
            resolution_ms: self.every.as_secs_f64() * 1e3,
        };
        let settings = json!({
            "agents": args.fleet.agents,
            "interval_seconds": args.fleet.interval().as_secs_f64(),
            "deaths_of_each_cause": args.each,
            "page_every_ms": args.every.as_secs_f64() * 1e3,
        });
        self.scene.finish(settings, deaths).await
    }
}
