//! The plan of a test: the agents, their collectors, and how the agents are spread over workers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;

use crate::agent_range::AgentRange;
use crate::cli::FleetArgs;
use crate::cli::scenario_args::ScenarioFleetArgs;
use crate::fault::Fault;
use crate::host_profile::HostModel;
use crate::judge::tolerances::SETTLED;
use crate::scrape;
use crate::worker_protocol::{BackoffPolicy, WorkerConfig};

/// Maximum number of workers that send each report as soon as it is due. In larger fleets all
/// workers batch due reports.
const UNBATCHED_WORKERS: usize = 4;
/// Larger fleets batch reports for their interval divided by this, at most [`MAX_BATCH`]. Batching
/// saves CPU time: waking one of many processes costs more than its reports do.
const BATCH_FRACTION: u32 = 300;
/// Maximum time for which reports are batched.
const MAX_BATCH: Duration = Duration::from_millis(100);

/// Pings per second of a fleet that sends at least as many reports per second. In five seconds they
/// give 1,000 measurements, enough for a p99.
const PINGS_PER_SECOND: f64 = 200.0;
/// Maximum number of reports per Ping, reached by large fleets. More reports per Ping reduce the
/// share of the collector's CPU time that Pings cost.
const MAX_REPORTS_PER_PING: u32 = 64;
/// Collector flag that limits the memory for agents.
const MAX_MEMORY: &str = "--max-memory";
/// Default of [`MAX_MEMORY`], in bytes.
const DEFAULT_MAX_MEMORY: u64 = 1 << 30;
/// Ratio of a collector's memory limit to the memory that its agents need.
const MEMORY_MARGIN: u64 = 2;
/// Default of `--max-lag`: the time after which a page must show a report.
pub const LATE: Duration = SETTLED;

/// Addresses and process id of a collector, for workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollectorEndpoint {
    /// Address of the listener for agents.
    pub agents: SocketAddr,
    /// Address of the HTTP listener.
    pub http: SocketAddr,
    /// Process id, if the load test started the collector.
    pub pid: Option<u32>,
}

/// The collectors that agents report to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetCollectors {
    /// The test starts this many collectors.
    Started(usize),
    /// The test uses these collectors, which are already running.
    Running(Vec<CollectorEndpoint>),
}

impl TargetCollectors {
    /// Number of collectors.
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::Started(count) => *count,
            Self::Running(collectors) => collectors.len(),
        }
    }

    /// IP address of the first collector, taken as that of all collectors.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        match self {
            Self::Running(collectors) if !collectors.is_empty() => collectors[0].agents.ip(),
            _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }
}

/// The agents, collectors and settings of a test.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Number of agents.
    pub agents: u32,
    /// The collectors that agents report to.
    pub target: TargetCollectors,
    /// Report interval.
    pub interval: Duration,
    /// How agents reconnect after a failure.
    pub backoff: BackoffPolicy,
    /// Number of static labels of each agent.
    pub labels: u8,
    /// The hosts of the agents.
    pub hosts: HostModel,
    /// Percentage of a host's rows that is replaced, added or removed per second.
    pub row_churn: f64,
    /// Flags of the collectors that the test starts; see [`Plan::collector_flags`].
    pub flags: Vec<String>,
    /// Maximum time from the due time of a report until the collector has processed it, not
    /// counting delays of the load test itself. Slower reports are late.
    pub late: Duration,
    /// Extra time for pages to show a change, in addition to the judge's tolerances.
    pub tolerance: Duration,
    /// Whether to use TLS with server and client certificates.
    pub tls: bool,
    /// Whether agents keep logs of their reports.
    pub keeps_log: bool,
    /// What only the scenario `forward` needs.
    pub forward: ForwardNeeds,
}

/// What only the scenario `forward` needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ForwardNeeds {
    /// How far the clocks of all collectors but the first are ahead.
    pub clock_offset: Duration,
    /// Number of reports that each agent has in its log at the start.
    pub backlog_reports: u32,
    /// Memory of the engine, in bytes.
    pub engine_bytes: u64,
}

impl Plan {
    /// Creates the plan of a run from its flags.
    #[must_use]
    pub fn new(args: &FleetArgs, backoff: BackoffPolicy) -> Self {
        let addresses = args.collector.iter().zip(&args.http);
        let running = addresses.map(|(agents, http)| CollectorEndpoint {
            agents: *agents,
            http: *http,
            pid: None,
        });
        let target = match args.collector.len() {
            0 => TargetCollectors::Started(args.collectors),
            _ => TargetCollectors::Running(running.collect()),
        };
        let (agents, interval, labels) = (args.agents, args.interval, args.labels);
        let mut flags = args.collector_flag.clone();
        flags.extend(args.fault.map(Fault::flag));
        let (late, tolerance, tls) = (args.max_lag, args.tolerance, args.tls);
        let (hosts, row_churn) = (args.hosts.model(interval), args.hosts.row_churn);
        Self {
            agents,
            target,
            interval,
            backoff,
            labels,
            hosts,
            row_churn,
            flags,
            late,
            tolerance,
            tls,
            keeps_log: false,
            forward: ForwardNeeds::default(),
        }
    }

    /// Creates the plan of a scenario that starts this many collectors with these flags.
    #[must_use]
    pub fn for_scenario(
        args: &ScenarioFleetArgs,
        collectors: usize,
        backoff: BackoffPolicy,
        flags: Vec<String>,
    ) -> Self {
        let target = TargetCollectors::Started(collectors);
        let (agents, interval, tls) = (args.agents, args.interval(), args.tls);
        let (labels, late, tolerance) = (args.labels, args.max_lag, args.tolerance);
        let (hosts, row_churn) = (args.hosts.model(interval), args.hosts.row_churn);
        Self {
            agents,
            target,
            interval,
            backoff,
            labels,
            hosts,
            row_churn,
            flags,
            late,
            tolerance,
            tls,
            keeps_log: false,
            forward: ForwardNeeds::default(),
        }
    }

    /// Maximum number of agents per worker, and so per collector.
    #[must_use]
    pub fn max_agents_per_worker(&self) -> u32 {
        self.agents.div_ceil(self.workers() as u32)
    }

    /// Timeout of a page that a worker judges.
    #[must_use]
    pub fn scrape_timeout(&self) -> Duration {
        let agents = u64::from(self.max_agents_per_worker());
        scrape::judged_timeout(agents * self.hosts.profile.series() as u64)
    }

    /// Number of workers: one per collector.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.target.count()
    }

    /// Configuration of every worker. `started` are the collectors that the test started; it is
    /// ignored if the plan uses running ones.
    #[must_use]
    pub fn worker_configs(&self, started: &[CollectorEndpoint]) -> Vec<WorkerConfig> {
        let collectors = match &self.target {
            TargetCollectors::Started(_) => started,
            TargetCollectors::Running(running) => running,
        };
        let seed = fastrand::u64(..);
        let config = |(agents, collector): (AgentRange, &CollectorEndpoint)| WorkerConfig {
            agents,
            visible: agents,
            first_encoded_agent: agents.first,
            labels: self.labels,
            hosts: self.hosts,
            collector: collector.agents,
            http: collector.http,
            collector_pid: collector.pid,
            interval_ms: u32::try_from(self.interval.as_millis()).unwrap_or(u32::MAX),
            seed,
            batch_ms: self.batch_ms(),
            reports_per_ping: self.reports_per_ping(),
            late_ms: u32::try_from(self.late.as_millis()).unwrap_or(u32::MAX),
            tolerance_ms: u32::try_from(self.tolerance.as_millis()).unwrap_or(u32::MAX),
            backoff: self.backoff,
            tls: None,
            keeps_log: self.keeps_log,
            backlog_reports: self.forward.backlog_reports,
        };
        self.agents_of_workers().zip(collectors).map(config).collect()
    }

    /// Adds to `settings` those that affect the verdict of every test.
    #[must_use]
    pub fn with_settings(&self, mut settings: Value) -> Value {
        settings["max_lag_seconds"] = self.late.as_secs_f64().into();
        settings["tolerance_seconds"] = self.tolerance.as_secs_f64().into();
        settings["labels"] = self.labels.into();
        settings["series_per_agent"] = self.hosts.profile.series().into();
        settings["row_churn_percent_per_second"] = self.row_churn.into();
        settings
    }

    /// Flags of the collectors that the test starts: those of the plan, and the memory that wide
    /// hosts need. The defaults of all other limits are high enough for every profile.
    #[must_use]
    pub fn collector_flags(&self) -> Vec<String> {
        let mut flags = self.flags.clone();
        let agents = u64::from(self.max_agents_per_worker());
        let memory = MEMORY_MARGIN * agents * self.hosts.profile.collector_bytes();
        let is_given = flags.iter().any(|flag| flag.starts_with(MAX_MEMORY));
        if memory > DEFAULT_MAX_MEMORY && !is_given {
            flags.push(format!("{MAX_MEMORY}={memory}B"));
        }
        flags
    }

    /// Number of reports per Ping.
    fn reports_per_ping(&self) -> u32 {
        let reports_per_second = f64::from(self.agents) / self.interval.as_secs_f64();
        ((reports_per_second / PINGS_PER_SECOND) as u32).clamp(1, MAX_REPORTS_PER_PING)
    }

    /// Time for which workers batch due reports, in milliseconds.
    fn batch_ms(&self) -> u32 {
        if self.workers() <= UNBATCHED_WORKERS {
            return 1;
        }
        let batch = (self.interval / BATCH_FRACTION).min(MAX_BATCH);
        u32::try_from(batch.as_millis()).unwrap_or(u32::MAX).max(1)
    }

    /// Returns the range of agents of each worker. The ranges are of nearly equal size.
    fn agents_of_workers(&self) -> impl Iterator<Item = AgentRange> {
        let (workers, agents) = (self.workers() as u64, u64::from(self.agents));
        let first = move |worker: u64| (agents * worker / workers) as u32;
        (0..workers).map(move |worker| AgentRange {
            first: first(worker),
            count: first(worker + 1) - first(worker),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host_profile::HostProfile;

    fn plan(agents: u32, collectors: usize) -> Plan {
        let target = TargetCollectors::Started(collectors);
        let (interval, backoff) = (Duration::from_secs(15), BackoffPolicy::Quick);
        Plan {
            agents,
            target,
            interval,
            backoff,
            labels: 0,
            hosts: HostModel::default(),
            row_churn: 0.0,
            flags: Vec::new(),
            late: LATE,
            tolerance: Duration::ZERO,
            tls: false,
            keeps_log: false,
            forward: ForwardNeeds::default(),
        }
    }

    #[test]
    fn collectors_of_many_wide_hosts_get_more_memory() {
        let wide = |agents, flags: &[&str]| {
            let profile = HostProfile::NodeLarge;
            let hosts = HostModel { profile, ..HostModel::default() };
            let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
            Plan { hosts, flags, ..plan(agents, 2) }.collector_flags()
        };
        assert_eq!(plan(1_000_000, 2).collector_flags(), [] as [&str; 0]);
        assert_eq!(wide(1_000, &[]), [] as [&str; 0]);
        let [flag] = &wide(100_000, &[])[..] else { panic!("one flag") };
        let bytes = flag.strip_prefix("--max-memory=").and_then(|size| size.strip_suffix('B'));
        assert!(bytes.unwrap().parse::<u64>().unwrap() > 3 << 30, "{flag}");
        assert_eq!(wide(100_000, &["--max-memory=1GiB"]), ["--max-memory=1GiB"]);
    }

    #[test]
    fn many_workers_batch_reports_for_a_fraction_of_the_interval() {
        let batch = |seconds, workers| {
            let interval = Duration::from_secs(seconds);
            Plan { interval, ..plan(1_000, workers) }.batch_ms()
        };
        assert_eq!(
            [batch(30, 4), batch(1, 5), batch(15, 5), batch(30, 56), batch(300, 56)],
            [1, 3, 50, 100, 100]
        );
    }

    #[test]
    fn small_fleets_ping_every_report_and_large_ones_hundreds_a_second() {
        let per_ping = |agents, seconds| {
            let interval = Duration::from_secs(seconds);
            Plan { interval, ..plan(agents, 1) }.reports_per_ping()
        };
        assert_eq!(
            [
                per_ping(50, 1),
                per_ping(300, 15),
                per_ping(5_000, 1),
                per_ping(15_000, 1),
                per_ping(1_000_000, 30)
            ],
            [1, 1, 25, 64, 64]
        );
    }

    #[test]
    fn agents_are_spread_evenly_over_workers() {
        for (agents, collectors) in [(1_000_000, 56), (7, 3), (3, 3), (19_000, 1)] {
            let plan = plan(agents, collectors);
            let shares: Vec<_> = plan.agents_of_workers().collect();
            assert_eq!(shares.len(), collectors);
            let mut next = 0;
            for share in &shares {
                assert_eq!(share.first, next);
                assert!(share.count.abs_diff(agents / collectors as u32) <= 1, "{share:?}");
                next += share.count;
            }
            assert_eq!(next, agents);
            assert_eq!(
                plan.max_agents_per_worker(),
                shares.iter().map(|share| share.count).max().unwrap()
            );
        }
    }
}
