//! Command line of the scenarios.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::help_headings::{BOUNDS, COLLECTORS, FLEET};
use super::value_parsers as parse;
use crate::attackers::FLOODERS;
use crate::fault::Fault;
use crate::results::output::OutputArgs;
use crate::sim_values::{DEFAULT_LABELS, MAX_AGENTS};

/// The default interval keeps the fleet below this rate, so that a small machine is not saturated.
const MAX_DEFAULT_REPORTS_PER_SECOND: u32 = 15_000;
/// Maximum agents of the `deaths` scenario, which compares every page agent by agent.
const MAX_DEATHS_AGENTS: u32 = 10_000;

/// A test of one kind of trouble.
#[derive(Debug, Clone, Subcommand)]
pub enum Scenario {
    /// Kill and restart all collectors; measure how fast the fleet is back
    Storm(StormArgs),
    /// Let agents die in six ways; measure how long each is still shown
    Deaths(DeathsArgs),
    /// Claim ids twice; clones must be rejected, rebooted hosts accepted
    Clones(ClonesArgs),
    /// Scrape back to back; measure what that does to reports
    Scrape(ScrapeArgs),
    /// Run for long with churn; memory must not grow, no file stay open
    Soak(SoakArgs),
    /// Attack a collector; honest agents must not suffer, every attack be rejected
    Hostile(HostileArgs),
}

impl Scenario {
    /// Checks that the settings agree with each other.
    ///
    /// # Errors
    /// Which setting is wrong, and what is allowed.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Deaths(args) => args.check(),
            Self::Hostile(args) => args.check(),
            Self::Clones(args) if args.fleet.agents < 2 => {
                Err("--agents: at least 2, one to clone and one to reboot".into())
            }
            _ => Ok(()),
        }
    }

    /// Where its results are written.
    #[must_use]
    pub const fn output(&self) -> &OutputArgs {
        match self {
            Self::Storm(args) => &args.fleet.output,
            Self::Deaths(args) => &args.fleet.output,
            Self::Clones(args) => &args.fleet.output,
            Self::Scrape(args) => &args.fleet.output,
            Self::Soak(args) => &args.fleet.output,
            Self::Hostile(args) => &args.fleet.output,
        }
    }
}

/// Settings of a scenario's fleet.
#[derive(Debug, Clone, Args)]
pub struct ScenarioFleetArgs {
    /// Simulate N agents
    #[arg(long, value_name = "N", value_parser = parse::agents, help_heading = FLEET)]
    pub agents: u32,
    /// Report interval of each agent, 1s to 5m [default: 1s, longer beyond 15000 agents]
    ///
    /// The default limits the fleet to 15000 reports per second.
    #[arg(long, value_name = "DURATION", value_parser = parse::interval, help_heading = FLEET)]
    interval: Option<Duration>,
    /// Maximum time from when a report was due until the collector has processed it
    ///
    /// The generator's own lag is not counted.
    #[arg(long, value_name = "DURATION", default_value = "1s", help_heading = BOUNDS)]
    #[arg(value_parser = parse::duration)]
    pub late: Duration,
    /// Extra time for a page to show a change, for tests on a busy machine
    #[arg(long, value_name = "DURATION", default_value = "0s", help_heading = BOUNDS)]
    #[arg(value_parser = parse::duration)]
    pub tolerance: Duration,
    /// Connect N agents per second
    #[arg(long, value_name = "N/s", default_value = "2000/s", help_heading = FLEET)]
    #[arg(value_parser = parse::ramp)]
    pub ramp: f64,
    /// Number of static labels of each agent, at most 4
    #[arg(long, value_name = "N", default_value_t = DEFAULT_LABELS, help_heading = FLEET)]
    #[arg(value_parser = parse::labels)]
    pub labels: u8,
    /// Pass FLAG to the collectors that are started (repeatable)
    ///
    /// Example: --collector-flag=--coalesce-delay=1ms
    #[arg(long, value_name = "FLAG", help_heading = COLLECTORS)]
    pub collector_flag: Vec<String>,
    /// Use TLS with certificates on both sides
    ///
    /// A certificate authority made for the test issues one to the collectors and one to each
    /// agent.
    #[arg(long, help_heading = FLEET)]
    pub tls: bool,
    /// Make the collectors misbehave, to show that the test finds it
    #[arg(long, value_name = "KIND", hide = true)]
    pub fault: Option<Fault>,
    /// Where results are written.
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
    /// Wait between the kill and the restart of the collectors
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse::duration)]
    pub outage: Duration,
    /// Disable pacing: collectors accept all handshakes at once, for comparison
    #[arg(long)]
    pub no_pacing: bool,
    /// Interval between scrapes while the fleet returns; the resolution of the measured times
    #[arg(long, value_name = "DURATION", default_value = "250ms", value_parser = parse::duration)]
    pub every: Duration,
    /// Maximum time for the fleet to be back
    #[arg(long, value_name = "DURATION", default_value = "2m", help_heading = BOUNDS)]
    #[arg(value_parser = parse::run_time)]
    pub patience: Duration,
}

/// Settings of `deaths`.
#[derive(Debug, Clone, Args)]
pub struct DeathsArgs {
    /// Settings of the fleet.
    #[command(flatten)]
    pub fleet: ScenarioFleetArgs,
    /// Number of agents that die of each of the six causes
    #[arg(long, value_name = "N", default_value = "10")]
    pub each: u32,
    /// Interval between scrapes; the resolution of the measured times
    #[arg(long, value_name = "DURATION", default_value = "100ms", value_parser = parse::duration)]
    pub every: Duration,
}

impl DeathsArgs {
    fn check(&self) -> Result<(), String> {
        let (agents, dying) = (self.fleet.agents, self.each.saturating_mul(6));
        if agents > MAX_DEATHS_AGENTS {
            return Err(format!("--agents {agents}: at most {MAX_DEATHS_AGENTS} in this scenario"));
        }
        if self.each == 0 || dying >= agents {
            return Err(format!(
                "--each {}: six causes take {dying} agents, but some of {agents} must stay",
                self.each
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
    /// Share of the ids that a clone claims; at least one id
    #[arg(long, value_name = "PERCENT", default_value = "1%", value_parser = parse::percent)]
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
    /// Length of each of the three phases: without scrapes, plain, gzip
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = parse::run_time)]
    pub duration: Duration,
    /// Maximum p99 of answers without scrapes
    #[arg(long, value_name = "DURATION", default_value = "250ms", help_heading = BOUNDS)]
    #[arg(value_parser = parse::duration)]
    pub baseline: Duration,
    /// Maximum increase of the p99 of answers during scrapes
    #[arg(long, value_name = "DURATION", default_value = "50ms", help_heading = BOUNDS)]
    #[arg(value_parser = parse::duration)]
    pub slower: Duration,
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
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse::run_time)]
    pub duration: Duration,
    /// Disconnect this share of the agents per second
    ///
    /// Half of them disconnect by Bye and half by RST; each reconnects within 3 s.
    #[arg(long, value_name = "PERCENT/s", default_value = "1%/s", help_heading = FLEET)]
    #[arg(value_parser = parse::churn)]
    pub churn: f64,
}

/// Shortest attack in which every kind occurs, also the rarest.
const MIN_ATTACK: Duration = Duration::from_secs(5);

/// Settings of `hostile`.
#[derive(Debug, Clone, Args)]
pub struct HostileArgs {
    /// Settings of the fleet.
    #[command(flatten)]
    pub fleet: ScenarioFleetArgs,
    /// Length of each of the two phases: without and with attackers
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse::run_time)]
    pub duration: Duration,
    /// Open N hostile connections per second, half of them a flood from one address
    #[arg(long, value_name = "N/s", default_value = "700/s", value_parser = parse::ramp)]
    pub rate: f64,
    /// Maximum p99 of answers without attackers
    #[arg(long, value_name = "DURATION", default_value = "250ms", help_heading = BOUNDS)]
    #[arg(value_parser = parse::duration)]
    pub baseline: Duration,
    /// Limit the p99 of answers with attackers to this many times that without, plus 50 ms
    #[arg(long, value_name = "TIMES", default_value = "2", value_parser = parse::times)]
    #[arg(help_heading = BOUNDS)]
    pub slower: f64,
}

impl HostileArgs {
    fn check(&self) -> Result<(), String> {
        if self.duration < MIN_ATTACK {
            let shortest = MIN_ATTACK.as_secs();
            return Err(format!(
                "--duration: at least {shortest}s, so that every kind of attack occurs"
            ));
        }
        if self.fleet.agents > MAX_AGENTS - FLOODERS {
            return Err(format!(
                "--agents: at most {}, because attackers use the remaining numbers",
                MAX_AGENTS - FLOODERS
            ));
        }
        Ok(())
    }
}
