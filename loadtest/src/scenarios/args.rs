//! What scenarios are asked for on the command line.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::cli::{Output, agents, collectors, labels};
use crate::fault::Fault;
use crate::hostile::FLOODERS;
use crate::orders::Retry;
use crate::plan::{Plan, Target};
use crate::quantity;
use crate::value::{DEFAULT_LABELS, MAX_AGENTS};

/// Reports a second where nothing else is asked for, at most: a small machine has to have room for the rest.
const REPORTS_A_SECOND: u32 = 15_000;
/// Agents that the ledger of deaths is about at most: all their pages are compared one by one.
const MAX_DEATHS: u32 = 10_000;

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
                Err("--agents: two at least, one to be cloned and one to be started again".into())
            }
            _ => Ok(()),
        }
    }

    /// Where its results go.
    #[must_use]
    pub const fn output(&self) -> &Output {
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
pub struct SceneArgs {
    /// How many agents
    #[arg(long, value_name = "N", value_parser = agents)]
    pub agents: u32,
    /// Time between an agent's reports, 1s to 5m [default: 1s, or so long that there are 15000 reports a second]
    #[arg(long, value_name = "DURATION", value_parser = quantity::interval)]
    interval: Option<Duration>,
    /// How long after it was due a report may be taken in, the generator's own lag not counted
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = quantity::duration)]
    pub late: Duration,
    /// How much later than on a quiet machine a page may show a change: for tests on a busy one
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = quantity::duration)]
    pub tolerance: Duration,
    /// How many agents to connect in a second
    #[arg(long, value_name = "N/s", default_value = "2000/s", value_parser = quantity::ramp)]
    pub ramp: f64,
    /// How many static labels each agent has, at most 4
    #[arg(long, value_name = "N", default_value_t = DEFAULT_LABELS, value_parser = labels)]
    pub labels: u8,
    /// Another flag for the collectors that are started, such as --collector-flag=--coalesce-milliseconds=1
    #[arg(long, value_name = "FLAG")]
    pub collector_flag: Vec<String>,
    /// Speak TLS: a certificate for the collectors and one for each agent, of an authority made for the test
    #[arg(long)]
    pub tls: bool,
    /// Makes the collectors misbehave, to show that it is found
    #[arg(long, value_name = "KIND", hide = true)]
    pub fault: Option<Fault>,
    /// Where results go.
    #[command(flatten)]
    pub output: Output,
}

/// Over how many collectors a fleet is spread.
#[derive(Debug, Clone, Args)]
pub struct Spread {
    /// How many collectors to start, over which the agents are spread
    #[arg(long, value_name = "N", default_value = "1", value_parser = collectors)]
    pub collectors: usize,
}

impl SceneArgs {
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
        let seconds = self.agents.div_ceil(REPORTS_A_SECOND);
        self.interval.unwrap_or(Duration::from_secs(seconds.into()))
    }

    /// The plan for a fleet on so many collectors that are started with these flags.
    #[must_use]
    pub fn plan(&self, collectors: usize, backoff: Retry, flags: Vec<String>) -> Plan {
        let target = Target::Own(collectors);
        let (agents, interval, tls) = (self.agents, self.interval(), self.tls);
        let (labels, late, tolerance) = (self.labels, self.late, self.tolerance);
        Plan { agents, target, interval, backoff, labels, flags, late, tolerance, tls }
    }
}

/// Settings of a storm.
#[derive(Debug, Clone, Args)]
pub struct StormArgs {
    /// The fleet.
    #[command(flatten)]
    pub fleet: SceneArgs,
    /// Its collectors.
    #[command(flatten)]
    pub spread: Spread,
    /// Between the end of the collectors and their new beginning
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = quantity::duration)]
    pub outage: Duration,
    /// The control: collectors that never tell anybody to wait for its turn
    #[arg(long)]
    pub no_pacing: bool,
    /// Between two rounds of pages while the fleet comes back: what times are exact to
    #[arg(long, value_name = "DURATION", default_value = "250ms", value_parser = quantity::duration)]
    pub every: Duration,
    /// How long the fleet may take to be back
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = quantity::run_time)]
    pub patience: Duration,
}

/// Settings of a test of deaths.
#[derive(Debug, Clone, Args)]
pub struct DeathsArgs {
    /// The fleet.
    #[command(flatten)]
    pub fleet: SceneArgs,
    /// How many agents die of each of the six causes
    #[arg(long, value_name = "N", default_value = "10")]
    pub each: u32,
    /// Between two pages: what times to removal are exact to
    #[arg(long, value_name = "DURATION", default_value = "100ms", value_parser = quantity::duration)]
    pub every: Duration,
}

impl DeathsArgs {
    fn check(&self) -> Result<(), String> {
        let (agents, dying) = (self.fleet.agents, self.each.saturating_mul(6));
        if agents > MAX_DEATHS {
            return Err(format!("--agents {agents}: at most {MAX_DEATHS} here"));
        }
        if self.each == 0 || dying >= agents {
            return Err(format!(
                "--each {}: six causes take {dying} agents, and of {agents} some must stay",
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
    pub fleet: SceneArgs,
    /// Percent of the ids that are used twice; at least one is
    #[arg(long, value_name = "PERCENT", default_value = "1%", value_parser = quantity::percent)]
    pub share: f64,
}

/// Settings of a test of hard scraping.
#[derive(Debug, Clone, Args)]
pub struct ScrapeArgs {
    /// The fleet.
    #[command(flatten)]
    pub fleet: SceneArgs,
    /// Its collectors.
    #[command(flatten)]
    pub spread: Spread,
    /// How long each of the three parts lasts: without scrapes, with plain ones, with compressed ones
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = quantity::run_time)]
    pub duration: Duration,
    /// What 99 of 100 reports may take in the part without scrapes, to be compared with
    #[arg(long, value_name = "DURATION", default_value = "250ms", value_parser = quantity::duration)]
    pub baseline: Duration,
    /// What 99 of 100 reports may take longer at most while pages are asked for
    #[arg(long, value_name = "DURATION", default_value = "50ms", value_parser = quantity::duration)]
    pub slower: Duration,
}

/// Settings of a soak.
#[derive(Debug, Clone, Args)]
pub struct SoakArgs {
    /// The fleet.
    #[command(flatten)]
    pub fleet: SceneArgs,
    /// Its collectors.
    #[command(flatten)]
    pub spread: Spread,
    /// How long it goes on
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = quantity::run_time)]
    pub duration: Duration,
    /// Percent of the agents that leave in a second, half by Bye, half by RST, and come back within 3 s
    #[arg(long, value_name = "PERCENT/s", default_value = "1%/s", value_parser = quantity::churn)]
    pub churn: f64,
}

/// The shortest attack: every kind has to come, also the rarest.
const SHORTEST_ATTACK: Duration = Duration::from_secs(5);

/// Settings of an attack.
#[derive(Debug, Clone, Args)]
pub struct HostileArgs {
    /// The fleet.
    #[command(flatten)]
    pub fleet: SceneArgs,
    /// How long each of the two parts lasts: without attackers, and with them
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = quantity::run_time)]
    pub duration: Duration,
    /// How many hostile connections come in a second, of all kinds together; half of them are a flood from one address
    #[arg(long, value_name = "N/s", default_value = "700/s", value_parser = quantity::ramp)]
    pub rate: f64,
    /// What 99 of 100 reports may take in the part without attackers, to be compared with
    #[arg(long, value_name = "DURATION", default_value = "250ms", value_parser = quantity::duration)]
    pub baseline: Duration,
    /// Bound on the p99 of answers while there are attackers: this many times the p99 without them,
    /// plus 50 ms
    #[arg(long, value_name = "TIMES", default_value = "2", value_parser = quantity::times)]
    pub slower: f64,
}

impl HostileArgs {
    fn check(&self) -> Result<(), String> {
        if self.duration < SHORTEST_ATTACK {
            let shortest = SHORTEST_ATTACK.as_secs();
            return Err(format!(
                "--duration: at least {shortest}s, for all kinds of attacks to come"
            ));
        }
        if self.fleet.agents > MAX_AGENTS - FLOODERS {
            return Err(format!(
                "--agents: at most {}, for some numbers are the attackers'",
                MAX_AGENTS - FLOODERS
            ));
        }
        Ok(())
    }
}
