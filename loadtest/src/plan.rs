//! What a run is to be: how many agents report where, and how they are spread over workers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::bail;
use serde_json::Value;

use crate::child::Collector;
use crate::cli::FleetArgs;
use crate::fault::Fault;
use crate::judge::SETTLED;
use crate::orders::{Numbers, Order, Retry};

/// Up to so many workers turn to every report as soon as it is due.
const FEW_WORKERS: usize = 4;
/// More of them gather due reports for this share of the interval, and so long at most: waking one of many processes
/// costs the machine, and its collector, more than the reports themselves.
const GATHERED_SHARE: u32 = 300;
const LONGEST_GATHERED: Duration = Duration::from_millis(100);

/// Reports a second that are followed by a Ping, if there are as many: a thousand in five seconds,
/// so that 99 of 100 can be told.
const PINGS_PER_SECOND: f64 = 200.0;
/// Of large fleets one report in so many: the collector's CPU is to be spent on reports.
const MAX_REPORTS_PER_PING: u32 = 64;
/// When a report is late, unless something else is asked for: the judge grants a page as much.
pub const LATE: Duration = SETTLED;

/// Where agents report to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// So many collectors of our own.
    Own(usize),
    /// Collectors that are running: their addresses for agents and for HTTP.
    Running(Vec<(SocketAddr, SocketAddr)>),
}

impl Target {
    /// How many collectors.
    #[must_use]
    pub fn collectors(&self) -> usize {
        match self {
            Self::Own(collectors) => *collectors,
            Self::Running(collectors) => collectors.len(),
        }
    }

    /// An address that agents connect to, for what is alike for all.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        match self {
            Self::Running(collectors) if !collectors.is_empty() => collectors[0].0.ip(),
            _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }
}

/// A run as it is meant to be.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How many agents.
    pub agents: u32,
    /// Where they report to.
    pub target: Target,
    /// Time between an agent's reports.
    pub interval: Duration,
    /// How agents come back after a failure.
    pub backoff: Retry,
    /// How many static labels each has.
    pub labels: u8,
    /// What our own collectors are started with.
    pub flags: Vec<String>,
    /// A report is late if it is taken in so long after it was due.
    pub late: Duration,
    /// How much later a page may show a change than the judge grants.
    pub tolerance: Duration,
    /// Agents and collectors prove to each other who they are.
    pub tls: bool,
}

impl Plan {
    /// The plan that was asked for.
    ///
    /// # Errors
    /// Flags that do not go together.
    pub fn new(args: &FleetArgs, backoff: Retry) -> anyhow::Result<Self> {
        if args.collector.len() != args.http.len() {
            bail!(
                "--collector is given {} times and --http {} times: give both for each collector",
                args.collector.len(),
                args.http.len()
            );
        }
        let running = args.collector.iter().copied().zip(args.http.iter().copied());
        let target = match args.collector.len() {
            0 => Target::Own(args.collectors),
            _ => Target::Running(running.collect()),
        };
        if (args.agents as usize) < target.collectors() {
            bail!("--agents {} are fewer than the {} collectors", args.agents, target.collectors());
        }
        let (agents, interval, labels) = (args.agents, args.interval, args.labels);
        let mut flags = args.collector_flag.clone();
        flags.extend(args.fault.map(Fault::flag));
        let (late, tolerance, tls) = (args.late, args.tolerance, args.tls);
        Ok(Self { agents, target, interval, backoff, labels, flags, late, tolerance, tls })
    }

    /// The largest number of agents of one worker, and so of one collector.
    #[must_use]
    pub fn agents_each(&self) -> u32 {
        self.agents.div_ceil(self.workers() as u32)
    }

    /// One for each collector.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.target.collectors()
    }

    /// Every worker's part, of the collectors that were planned: those of our own that run, or the given ones.
    #[must_use]
    pub fn orders(&self, own: &[Collector]) -> Vec<Order> {
        let collectors: Vec<_> = match &self.target {
            Target::Own(_) => own.iter().map(|own| (own.agents, own.http, own.pid())).collect(),
            Target::Running(running) => {
                running.iter().map(|(agents, http)| (*agents, *http, None)).collect()
            }
        };
        let seed = fastrand::u64(..);
        let order = |(agents, (collector, http, pid)): (Numbers, _)| Order {
            agents,
            known: agents,
            marks_from: agents.first,
            labels: self.labels,
            collector,
            http,
            pid,
            interval_ms: u32::try_from(self.interval.as_millis()).unwrap_or(u32::MAX),
            seed,
            tick_ms: self.tick_ms(),
            reports_per_ping: self.reports_per_ping(),
            late_ms: u32::try_from(self.late.as_millis()).unwrap_or(u32::MAX),
            tolerance_ms: u32::try_from(self.tolerance.as_millis()).unwrap_or(u32::MAX),
            backoff: self.backoff,
            tls: None,
        };
        self.shares().zip(collectors).map(order).collect()
    }

    /// Settings of a scenario, with those that decide the verdict of every one.
    #[must_use]
    pub fn with_settings(&self, mut settings: Value) -> Value {
        settings["late_seconds"] = self.late.as_secs_f64().into();
        settings["tolerance_seconds"] = self.tolerance.as_secs_f64().into();
        settings["labels"] = self.labels.into();
        settings
    }

    /// Of how many reports one is followed by a Ping.
    fn reports_per_ping(&self) -> u32 {
        let reports_per_second = f64::from(self.agents) / self.interval.as_secs_f64();
        ((reports_per_second / PINGS_PER_SECOND) as u32).clamp(1, MAX_REPORTS_PER_PING)
    }

    /// How long workers gather due reports, in milliseconds.
    fn tick_ms(&self) -> u32 {
        if self.workers() <= FEW_WORKERS {
            return 1;
        }
        let gathered = (self.interval / GATHERED_SHARE).min(LONGEST_GATHERED);
        u32::try_from(gathered.as_millis()).unwrap_or(u32::MAX).max(1)
    }

    /// The agents, evenly spread over the workers.
    fn shares(&self) -> impl Iterator<Item = Numbers> {
        let (workers, agents) = (self.workers() as u64, u64::from(self.agents));
        let first = move |worker: u64| (agents * worker / workers) as u32;
        (0..workers).map(move |worker| Numbers {
            first: first(worker),
            count: first(worker + 1) - first(worker),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(agents: u32, collectors: usize) -> Plan {
        let target = Target::Own(collectors);
        let (interval, backoff) = (Duration::from_secs(15), Retry::Quick);
        let (flags, late, tolerance) = (Vec::new(), LATE, Duration::ZERO);
        Plan { agents, target, interval, backoff, labels: 0, flags, late, tolerance, tls: false }
    }

    #[test]
    fn many_workers_gather_reports_for_a_while_that_is_short_beside_the_interval() {
        let tick = |seconds, workers| {
            let interval = Duration::from_secs(seconds);
            Plan { interval, ..plan(1_000, workers) }.tick_ms()
        };
        assert_eq!(
            [tick(30, 4), tick(1, 5), tick(15, 5), tick(30, 56), tick(300, 56)],
            [1, 3, 50, 100, 100]
        );
    }

    #[test]
    fn a_part_of_a_second_has_hundreds_of_pings_or_every_report_has_one() {
        let every = |agents, seconds| {
            let interval = Duration::from_secs(seconds);
            Plan { interval, ..plan(agents, 1) }.reports_per_ping()
        };
        assert_eq!(
            [every(50, 1), every(300, 15), every(5_000, 1), every(15_000, 1), every(1_000_000, 30)],
            [1, 1, 25, 64, 64]
        );
    }

    #[test]
    fn agents_are_spread_evenly_and_none_is_left_out() {
        for (agents, collectors) in [(1_000_000, 56), (7, 3), (3, 3), (19_000, 1)] {
            let plan = plan(agents, collectors);
            let shares: Vec<_> = plan.shares().collect();
            assert_eq!(shares.len(), collectors);
            let mut next = 0;
            for share in &shares {
                assert_eq!(share.first, next);
                assert!(share.count.abs_diff(agents / collectors as u32) <= 1, "{share:?}");
                next += share.count;
            }
            assert_eq!(next, agents);
            assert_eq!(plan.agents_each(), shares.iter().map(|share| share.count).max().unwrap());
        }
    }
}
