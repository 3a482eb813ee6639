//! Command line of the scenarios.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::check_agents;
use super::forward_args::ForwardArgs;
use super::help_headings::{BOUNDS, COLLECTORS, FLEET, SCENARIO};
use super::host_args::HostArgs;
use super::value_parsers as parse;
use super::watch_args::WatchArgs;
use crate::attackers::FLOODERS;
use crate::fault::Fault;
use crate::results::output::OutputArgs;
use crate::sim_values::{DEFAULT_LABELS, MAX_AGENTS};

/// The default interval limits the fleet to this rate, so that a small machine is not saturated.
const MAX_DEFAULT_REPORTS_PER_SECOND: u32 = 15_000;
/// Maximum agents of the `deaths` scenario, which compares every page agent by agent.
const MAX_DEATHS_AGENTS: u32 = 10_000;

/// A test that injects one kind of trouble.
#[derive(Debug, Clone, Subcommand)]
pub enum Scenario {
    /// Kill and restart all collectors; measure how fast the fleet returns
    ///
    /// Every agent must be on the pages again within --recovery-timeout.
    ///
    /// Example: fleetgauge-loadtest storm --agents 10000 --outage 5s
    Storm(StormArgs),
    /// Let agents die in six ways; measure how long the pages still show them
    ///
    /// Agents send Bye, close the connection, reset it, are killed, are frozen, or lose their
    /// network.
    /// Every dead agent must disappear in time, and no live agent may disappear.
    ///
    /// Example: fleetgauge-loadtest deaths --agents 1000
    Deaths(DeathsArgs),
    /// Claim ids that are in use; clones must be rejected, rebooted hosts accepted
    ///
    /// Example: fleetgauge-loadtest clones --agents 5000 --share 2%
    Clones(ClonesArgs),
    /// Scrape back to back; measure how much that delays reports
    ///
    /// Example: fleetgauge-loadtest scrape --agents 10000 --duration 30s
    Scrape(ScrapeArgs),
    /// Run for a long time with churn; memory and open files must not grow
    ///
    /// Example: fleetgauge-loadtest soak --agents 5000 --duration 1h
    Soak(SoakArgs),
    /// Attack a collector; every attack must be rejected, and honest agents must not suffer
    ///
    /// Example: fleetgauge-loadtest hostile --agents 5000 --rate 1000/s
    Hostile(HostileArgs),
    /// Keep pages for people open; measure what that costs the collector
    ///
    /// Example: fleetgauge-loadtest watch --agents 19000 --interval 15s --browsers 10
    Watch(WatchArgs),
    /// Forward to an engine while things fail; no sample may be lost
    ///
    /// The engine is part of the test and compares every sample with what the agents reported.
    ///
    /// Example: fleetgauge-loadtest forward --agents 200 --faults engine-away,collector-killed
    Forward(ForwardArgs),
}

impl Scenario {
    /// Returns the name of the command, which is that of the scenario in its results.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Storm(_) => "storm",
            Self::Deaths(_) => "deaths",
            Self::Clones(_) => "clones",
            Self::Scrape(_) => "scrape",
            Self::Soak(_) => "soak",
            Self::Hostile(_) => "hostile",
            Self::Forward(_) => "forward",
            Self::Watch(_) => "watch",
        }
    }

    /// Checks settings that depend on each other.
    ///
    /// # Errors
    /// Names the invalid flag and the allowed values.
    pub fn check(&self) -> Result<(), String> {
        let fleet = self.fleet();
        check_agents(fleet.agents, self.collectors())?;
        fleet.hosts.check(fleet.interval())?;
        match self {
            Self::Deaths(args) => args.check(),
            Self::Hostile(args) => args.check(),
            Self::Forward(args) => args.check(),
            Self::Clones(args) if args.fleet.agents < 2 => {
                Err("--agents must be at least 2: one to clone and one to reboot".into())
            }
            _ => Ok(()),
        }
    }

    /// Number of collectors to start.
    const fn collectors(&self) -> usize {
        match self {
            Self::Storm(args) => args.collectors,
            Self::Scrape(args) => args.collectors,
            Self::Soak(args) => args.collectors,
            Self::Forward(args) => args.collectors,
            Self::Deaths(_) | Self::Clones(_) | Self::Hostile(_) | Self::Watch(_) => 1,
        }
    }

    /// Output files of the results.
    #[must_use]
    pub const fn output(&self) -> &OutputArgs {
        &self.fleet().output
    }

    /// Settings that all scenarios share.
    const fn fleet(&self) -> &ScenarioFleetArgs {
        match self {
            Self::Storm(args) => &args.fleet,
            Self::Deaths(args) => &args.fleet,
            Self::Clones(args) => &args.fleet,
            Self::Scrape(args) => &args.fleet,
            Self::Soak(args) => &args.fleet,
            Self::Hostile(args) => &args.fleet,
            Self::Forward(args) => &args.fleet,
            Self::Watch(args) => &args.fleet,
        }
    }
}

/// Settings that all scenarios share: fleet, bounds, collectors and output files.
#[derive(Debug, Clone, Args)]
pub struct ScenarioFleetArgs {
    /// Simulate N agents
    #[arg(long, value_name = "N", value_parser = parse::agents, help_heading = FLEET)]
    pub agents: u32,
    /// Report interval of each agent, 1s to 5m [default: 1s, longer for more than 15000 agents]
    ///
    /// The default limits the fleet to 15000 reports per second.
    #[arg(long, value_name = "DURATION", value_parser = parse::interval, help_heading = FLEET)]
    interval: Option<Duration>,
    /// Maximum answer time of a report
    ///
    /// Answer time: from when a report is due until the collector has processed it, without the
    /// delays of the load test itself.
    #[arg(long, value_name = "DURATION", default_value = "1s", help_heading = BOUNDS)]
    #[arg(value_parser = parse::duration)]
    pub max_lag: Duration,
    /// Extra time for pages to show a change; raise it on a busy machine
    #[arg(long, value_name = "DURATION", default_value = "0s", help_heading = BOUNDS)]
    #[arg(value_parser = parse::duration)]
    pub tolerance: Duration,
    /// Connect N agents per second
    #[arg(long, value_name = "N/s", default_value = "2000/s", help_heading = FLEET)]
    #[arg(value_parser = parse::ramp)]
    pub ramp: f64,
    /// Number of static labels per agent, 0 to 4
    #[arg(long, value_name = "N", default_value_t = DEFAULT_LABELS, help_heading = FLEET)]
    #[arg(value_parser = parse::labels)]
    pub labels: u8,
    /// Series of each host.
    #[command(flatten)]
    pub hosts: HostArgs,
    /// Pass FLAG to each started collector (repeatable)
    ///
    /// Example: --collector-flag=--coalesce-delay=1ms
    #[arg(long, value_name = "FLAG", help_heading = COLLECTORS)]
    pub collector_flag: Vec<String>,
    /// Use TLS with server and client certificates
    ///
    /// The test creates a certificate authority, a certificate for the collectors and one per
    /// agent.
    #[arg(long, help_heading = FLEET)]
    pub tls: bool,
    /// Inject a fault into the collectors that the test must find
    #[arg(long, value_name = "KIND", hide = true)]
    pub fault: Option<Fault>,
    /// Output files.
    #[command(flatten)]
    pub output: OutputArgs,
}

impl ScenarioFleetArgs {
    /// Flags of the collectors.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
        let mut flags = self.collector_flag.clone();
        flags.extend(self.fault.map(|fault| fault.flag()));
        flags
    }

    /// Report interval.
    #[must_use]
    pub fn interval(&self) -> Duration {
        let seconds = self.agents.div_ceil(MAX_DEFAULT_REPORTS_PER_SECOND);
        self.interval.unwrap_or(Duration::from_secs(seconds.into()))
    }
}

/// Settings of `storm`.
#[derive(Debug, Clone, Args)]
pub struct StormArgs {
    /// Settings of the fleet.
    #[command(flatten)]
    pub fleet: ScenarioFleetArgs,
    /// Start N collectors and spread the agents over them
    #[arg(long, value_name = "N", default_value = "1", help_heading = COLLECTORS)]
    #[arg(value_parser = parse::collectors)]
    pub collectors: usize,
    /// Time between killing and restarting the collectors
    #[arg(long, value_name = "DURATION", default_value = "0s", help_heading = SCENARIO)]
    #[arg(value_parser = parse::duration)]
    pub outage: Duration,
    /// Let collectors accept all handshakes at once, for comparison
    #[arg(long, help_heading = SCENARIO)]
    pub no_pacing: bool,
    /// Interval between two polls while the fleet returns; resolution of the measured times
    #[arg(long, value_name = "DURATION", default_value = "250ms", help_heading = SCENARIO)]
    #[arg(value_parser = parse::duration)]
    pub scrape_interval: Duration,
    /// Maximum time from the restart until the pages show all agents
    #[arg(long, value_name = "DURATION", default_value = "2m", help_heading = BOUNDS)]
    #[arg(value_parser = parse::run_time)]
    pub recovery_timeout: Duration,
}

/// Settings of `deaths`.
#[derive(Debug, Clone, Args)]
pub struct DeathsArgs {
    /// Settings of the fleet.
    #[command(flatten)]
    pub fleet: ScenarioFleetArgs,
    /// Number of agents that die in each of the six ways
    #[arg(long, value_name = "N", default_value = "10", help_heading = SCENARIO)]
    pub deaths_per_cause: u32,
    /// Interval between scrapes; resolution of the measured times
    #[arg(long, value_name = "DURATION", default_value = "100ms", help_heading = SCENARIO)]
    #[arg(value_parser = parse::duration)]
    pub scrape_interval: Duration,
}

impl DeathsArgs {
    fn check(&self) -> Result<(), String> {
        let (agents, dying) = (self.fleet.agents, self.deaths_per_cause.saturating_mul(6));
        if agents > MAX_DEATHS_AGENTS {
            return Err(format!(
                "--agents {agents}: must be at most {MAX_DEATHS_AGENTS} in this scenario"
            ));
        }
        if self.deaths_per_cause == 0 || dying >= agents {
            return Err(format!(
                "--deaths-per-cause {}: must be at least 1, and at most {} with {agents} agents: \
                 there are six causes, and some agents must survive",
                self.deaths_per_cause,
                agents.saturating_sub(1) / 6
            ));
        }
        Ok(())
    }
}

/// Settings of `clones`.
#[derive(Debug, Clone, Args)]
pub struct ClonesArgs {
    /// Settings of the fleet.
    #[command(flatten)]
    pub fleet: ScenarioFleetArgs,
    /// Percentage of the fleet's ids that clones claim, at least one id
    #[arg(long, value_name = "PERCENT", default_value = "1%", help_heading = SCENARIO)]
    #[arg(value_parser = parse::percent)]
    pub share: f64,
}

/// Settings of `scrape`.
#[derive(Debug, Clone, Args)]
pub struct ScrapeArgs {
    /// Settings of the fleet.
    #[command(flatten)]
    pub fleet: ScenarioFleetArgs,
    /// Start N collectors and spread the agents over them
    #[arg(long, value_name = "N", default_value = "1", help_heading = COLLECTORS)]
    #[arg(value_parser = parse::collectors)]
    pub collectors: usize,
    /// Length of each of the three phases: without scrapes, with plain and with gzip scrapes
    #[arg(long, value_name = "DURATION", default_value = "20s", help_heading = SCENARIO)]
    #[arg(value_parser = parse::run_time)]
    pub duration: Duration,
    /// Maximum p99 answer time in the phase without scrapes
    ///
    /// Answer time: see --max-lag.
    #[arg(long, value_name = "DURATION", default_value = "250ms", help_heading = BOUNDS)]
    #[arg(value_parser = parse::duration)]
    pub max_p99: Duration,
    /// Maximum increase of the p99 answer time with scrapes
    #[arg(long, value_name = "DURATION", default_value = "50ms", help_heading = BOUNDS)]
    #[arg(value_parser = parse::duration)]
    pub max_p99_increase: Duration,
}

/// Settings of `soak`.
#[derive(Debug, Clone, Args)]
pub struct SoakArgs {
    /// Settings of the fleet.
    #[command(flatten)]
    pub fleet: ScenarioFleetArgs,
    /// Start N collectors and spread the agents over them
    #[arg(long, value_name = "N", default_value = "1", help_heading = COLLECTORS)]
    #[arg(value_parser = parse::collectors)]
    pub collectors: usize,
    /// Length of the test
    #[arg(long, value_name = "DURATION", default_value = "10m", help_heading = SCENARIO)]
    #[arg(value_parser = parse::run_time)]
    pub duration: Duration,
    /// Share of the agents to disconnect per second
    ///
    /// Half of them disconnect by Bye and half by RST. Each reconnects within 3 s.
    #[arg(long, value_name = "PERCENT/s", default_value = "1%/s", help_heading = FLEET)]
    #[arg(value_parser = parse::churn)]
    pub churn: f64,
}

/// Minimum length of an attack in which even the rarest kind occurs.
const MIN_ATTACK_TIME: Duration = Duration::from_secs(5);

/// Settings of `hostile`.
#[derive(Debug, Clone, Args)]
pub struct HostileArgs {
    /// Settings of the fleet.
    #[command(flatten)]
    pub fleet: ScenarioFleetArgs,
    /// Length of each of the two phases: without and with attackers
    #[arg(long, value_name = "DURATION", default_value = "60s", help_heading = SCENARIO)]
    #[arg(value_parser = parse::run_time)]
    pub duration: Duration,
    /// Open N hostile connections per second, half of them from one address
    #[arg(long, value_name = "N/s", default_value = "700/s", help_heading = SCENARIO)]
    #[arg(value_parser = parse::ramp)]
    pub rate: f64,
    /// Maximum p99 answer time in the phase without attackers
    ///
    /// Answer time: see --max-lag.
    #[arg(long, value_name = "DURATION", default_value = "250ms", help_heading = BOUNDS)]
    #[arg(value_parser = parse::duration)]
    pub max_p99: Duration,
    /// Maximum increase of the p99 answer time with attackers
    #[arg(long, value_name = "DURATION", default_value = "50ms", help_heading = BOUNDS)]
    #[arg(value_parser = parse::duration)]
    pub max_p99_increase: Duration,
}

impl HostileArgs {
    fn check(&self) -> Result<(), String> {
        if self.duration < MIN_ATTACK_TIME {
            let min = MIN_ATTACK_TIME.as_secs();
            return Err(format!(
                "--duration must be at least {min}s, so that every kind of attack occurs"
            ));
        }
        if self.fleet.agents > MAX_AGENTS - FLOODERS {
            return Err(format!(
                "--agents must be at most {}: attackers use {FLOODERS} more agent ids",
                MAX_AGENTS - FLOODERS
            ));
        }
        Ok(())
    }
}
