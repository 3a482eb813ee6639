//! What scenarios are asked for on the command line.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::help_headings::{BOUNDS, COLLECTORS, FLEET};
use super::value_parsers as parse;
use crate::attackers::FLOODERS;
use crate::fault::Fault;
use crate::results::output::OutputArgs;
use crate::sim_values::{DEFAULT_LABELS, MAX_AGENTS};

/// Reports a second where nothing else is asked for, at most: a small machine has to have room for the rest.
const MAX_DEFAULT_REPORTS_PER_SECOND: u32 = 15_000;
/// Agents that the ledger of deaths is about at most: all their pages are compared one by one.
const MAX_DEATHS_AGENTS: u32 = 10_000;

/// A test of one thing that can happen to a fleet.
#[derive(Debug, Clone, Subcommand)]
pub enum Scenario {
    /// Kill all collectors and start them again: how fast is the fleet back, and is anybody lost?
    Storm(StormArgs),
    /// Agents end in every way there is: how long is each still shown?
    Deaths(DeathsArgs),
    /// Ids used twice: clones must be refused, rebooted hosts let in
    Clones(ClonesArgs),
    /// Ask for pages back to back: what does that do to reports?
    Scrape(ScrapeArgs),
    /// Run for long with churn: does memory grow, do files stay open?
    Soak(SoakArgs),
    /// Attack a collector beside an honest fleet: does the fleet lose anything, is every attack refused?
    Hostile(HostileArgs),
}

impl Scenario {
    /// Whether its settings go together.
    ///
    /// # Errors
    /// What would be right.
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

    /// Where its results go.
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

/// The fleet of a scenario.
#[derive(Debug, Clone, Args)]
pub struct ScenarioFleetArgs {
    /// How many agents
    #[arg(long, value_name = "N", value_parser = parse::agents, help_heading = FLEET)]
    pub agents: u32,
    /// Time between an agent's reports, 1s to 5m [default: 1s, or so long that there are 15000 reports a second]
    #[arg(long, value_name = "DURATION", value_parser = parse::interval, help_heading = FLEET)]
    interval: Option<Duration>,
    /// How long after it was due a report may be taken in, the generator's own lag not counted
    #[arg(long, value_name = "DURATION", default_value = "1s", help_heading = BOUNDS)]
    #[arg(value_parser = parse::duration)]
    pub late: Duration,
    /// How much later than on a quiet machine a page may show a change: for tests on a busy one
    #[arg(long, value_name = "DURATION", default_value = "0s", help_heading = BOUNDS)]
    #[arg(value_parser = parse::duration)]
    pub tolerance: Duration,
    /// How many agents to connect in a second
    #[arg(long, value_name = "N/s", default_value = "2000/s", help_heading = FLEET)]
    #[arg(value_parser = parse::ramp)]
    pub ramp: f64,
    /// How many static labels each agent has, at most 4
    #[arg(long, value_name = "N", default_value_t = DEFAULT_LABELS, help_heading = FLEET)]
    #[arg(value_parser = parse::labels)]
    pub labels: u8,
    /// Another flag for the collectors that are started, such as --collector-flag=--coalesce-milliseconds=1
    #[arg(long, value_name = "FLAG", help_heading = COLLECTORS)]
    pub collector_flag: Vec<String>,
    /// Speak TLS: a certificate for the collectors and one for each agent, of an authority made for the test
    #[arg(long, help_heading = FLEET)]
    pub tls: bool,
    /// Makes the collectors misbehave, to show that it is found
    #[arg(long, value_name = "KIND", hide = true)]
    pub fault: Option<Fault>,
    /// Where results go.
    #[command(flatten)]
    pub output: OutputArgs,
}

impl ScenarioFleetArgs {
    /// What collectors are started with.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
        let mut flags = self.collector_flag.clone();
        flags.extend(self.fault.map(|fault| fault.flag()));
        flags
    }

    /// Time between an agent's reports.
    #[must_use]
    pub fn interval(&self) -> Duration {
        let seconds = self.agents.div_ceil(MAX_DEFAULT_REPORTS_PER_SECOND);
        self.interval.unwrap_or(Duration::from_secs(seconds.into()))
    }
}

/// Settings of a storm.
#[derive(Debug, Clone, Args)]
pub struct StormArgs {
    /// The fleet.
    #[command(flatten)]
    pub fleet: ScenarioFleetArgs,
    /// Start N collectors and spread the agents over them
    #[arg(long, value_name = "N", default_value = "1", help_heading = COLLECTORS)]
    #[arg(value_parser = parse::collectors)]
    pub collectors: usize,
    /// Between the end of the collectors and their new beginning
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse::duration)]
    pub outage: Duration,
    /// The control: collectors that never tell anybody to wait for its turn
    #[arg(long)]
    pub no_pacing: bool,
    /// Between two rounds of pages while the fleet comes back: what times are exact to
    #[arg(long, value_name = "DURATION", default_value = "250ms", value_parser = parse::duration)]
    pub every: Duration,
    /// How long the fleet may take to be back
    #[arg(long, value_name = "DURATION", default_value = "2m", help_heading = BOUNDS)]
    #[arg(value_parser = parse::run_time)]
    pub patience: Duration,
}

/// Settings of a test of deaths.
#[derive(Debug, Clone, Args)]
pub struct DeathsArgs {
    /// The fleet.
    #[command(flatten)]
    pub fleet: ScenarioFleetArgs,
    /// How many agents die of each of the six causes
    #[arg(long, value_name = "N", default_value = "10")]
    pub each: u32,
    /// Between two pages: what times to removal are exact to
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

/// Settings of a test of clones.
#[derive(Debug, Clone, Args)]
pub struct ClonesArgs {
    /// The fleet.
    #[command(flatten)]
    pub fleet: ScenarioFleetArgs,
    /// Percent of the ids that are used twice; at least one is
    #[arg(long, value_name = "PERCENT", default_value = "1%", value_parser = parse::percent)]
    pub share: f64,
}

/// Settings of a test of hard scraping.
#[derive(Debug, Clone, Args)]
pub struct ScrapeArgs {
    /// The fleet.
    #[command(flatten)]
    pub fleet: ScenarioFleetArgs,
    /// Start N collectors and spread the agents over them
    #[arg(long, value_name = "N", default_value = "1", help_heading = COLLECTORS)]
    #[arg(value_parser = parse::collectors)]
    pub collectors: usize,
    /// How long each of the three parts lasts: without scrapes, with plain ones, with compressed ones
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = parse::run_time)]
    pub duration: Duration,
    /// What 99 of 100 reports may take in the part without scrapes, to be compared with
    #[arg(long, value_name = "DURATION", default_value = "250ms", help_heading = BOUNDS)]
    #[arg(value_parser = parse::duration)]
    pub baseline: Duration,
    /// What 99 of 100 reports may take longer at most while pages are asked for
    #[arg(long, value_name = "DURATION", default_value = "50ms", help_heading = BOUNDS)]
    #[arg(value_parser = parse::duration)]
    pub slower: Duration,
}

/// Settings of a soak.
#[derive(Debug, Clone, Args)]
pub struct SoakArgs {
    /// The fleet.
    #[command(flatten)]
    pub fleet: ScenarioFleetArgs,
    /// Start N collectors and spread the agents over them
    #[arg(long, value_name = "N", default_value = "1", help_heading = COLLECTORS)]
    #[arg(value_parser = parse::collectors)]
    pub collectors: usize,
    /// How long it goes on
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse::run_time)]
    pub duration: Duration,
    /// Percent of the agents that leave in a second, half by Bye, half by RST, and come back within 3 s
    #[arg(long, value_name = "PERCENT/s", default_value = "1%/s", help_heading = FLEET)]
    #[arg(value_parser = parse::churn)]
    pub churn: f64,
}

/// The shortest attack: every kind has to come, also the rarest.
const MIN_ATTACK: Duration = Duration::from_secs(5);

/// Settings of an attack.
#[derive(Debug, Clone, Args)]
pub struct HostileArgs {
    /// The fleet.
    #[command(flatten)]
    pub fleet: ScenarioFleetArgs,
    /// How long each of the two parts lasts: without attackers, and with them
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse::run_time)]
    pub duration: Duration,
    /// How many hostile connections come in a second, of all kinds together; half of them are a flood from one address
    #[arg(long, value_name = "N/s", default_value = "700/s", value_parser = parse::ramp)]
    pub rate: f64,
    /// What 99 of 100 reports may take in the part without attackers, to be compared with
    #[arg(long, value_name = "DURATION", default_value = "250ms", help_heading = BOUNDS)]
    #[arg(value_parser = parse::duration)]
    pub baseline: Duration,
    /// How many times as late 99 of 100 reports may be while there are attackers, at most
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
