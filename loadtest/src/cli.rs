//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use fleetgauge_collector::config::Flags;

use crate::fault::Fault;
use crate::quantity;
use crate::scenarios::args::Scenario;
use crate::value::{DEFAULT_LABELS, LABELS, MAX_AGENTS};

/// Agents connected in a second where nothing else is asked for, at least,
const SLOW_RAMP: f64 = 2_000.0;
/// and the time in which all are.
const LONG_RAMP: Duration = Duration::from_secs(60);
/// Most collectors of a run: each takes two processes.
const MAX_COLLECTORS: usize = 1_000;

/// Simulates fleets of agents and judges what the collector shows.
#[derive(Debug, Parser)]
#[command(name = "fleetgauge-loadtest", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Load collectors with simulated agents and judge their pages: exit 0 only if every check held
    Run(RunArgs),
    /// The same while agents leave, half by Bye, half by RST, and come back within 3 s
    Churn(ChurnArgs),
    /// A test of one thing that can happen to a fleet.
    #[command(flatten)]
    Scenario(Scenario),
    /// A collector, this host's agent and simulated ones, until Ctrl-C
    Demo(DemoArgs),
    /// The collector of a run: addresses to standard output, until standard input ends
    #[command(hide = true)]
    Collector(Box<CollectorArgs>),
    /// A part of a run's agents: an order and commands from standard input, events to standard output
    #[command(hide = true)]
    Worker,
    /// This host's agent in a demo, until standard input ends
    #[command(hide = true)]
    Agent(AgentArgs),
}

/// Settings of a run.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The fleet.
    #[command(flatten)]
    pub fleet: FleetArgs,
}

/// Settings of a run with churn.
#[derive(Debug, Clone, Args)]
pub struct ChurnArgs {
    /// The fleet.
    #[command(flatten)]
    pub fleet: FleetArgs,
    /// Percent of the agents that leave in a second
    #[arg(long, value_name = "PERCENT/s", default_value = "1%/s", value_parser = quantity::churn)]
    pub churn: f64,
}

/// Settings of a fleet and of what it reports to.
#[derive(Debug, Clone, Args)]
pub struct FleetArgs {
    /// How many agents
    #[arg(long, value_name = "N", value_parser = agents)]
    pub agents: u32,
    /// Time between an agent's reports, 1s to 5m
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = quantity::interval)]
    pub interval: Duration,
    /// How long to go on once all agents are connected
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = quantity::run_time)]
    pub duration: Duration,
    /// How long after it was due a report may be taken in, the generator's own lag not counted
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = quantity::duration)]
    pub late: Duration,
    /// How much later than on a quiet machine a page may show a change: for tests on a busy one
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = quantity::duration)]
    pub tolerance: Duration,
    /// How many agents to connect in a second [default: 2000/s, or as many as take a minute]
    #[arg(long, value_name = "N/s", value_parser = quantity::ramp)]
    pub ramp: Option<f64>,
    /// How many collectors to start, over which the agents are spread
    #[arg(long, value_name = "N", default_value = "1", value_parser = collectors, conflicts_with = "collector")]
    pub collectors: usize,
    /// A running collector's address for agents, on loopback; it must have no other agents. May be given several
    /// times, with --http in the same order
    #[arg(long, value_name = "ADDR", requires = "http", value_parser = quantity::loopback)]
    pub collector: Vec<SocketAddr>,
    /// The same collector's address for HTTP
    #[arg(long, value_name = "ADDR", requires = "collector", value_parser = quantity::loopback)]
    pub http: Vec<SocketAddr>,
    /// How many static labels each agent has, at most 4
    #[arg(long, value_name = "N", default_value_t = DEFAULT_LABELS, value_parser = labels)]
    pub labels: u8,
    /// Another flag for the collectors that are started, such as --collector-flag=--coalesce-milliseconds=1
    #[arg(long, value_name = "FLAG", conflicts_with = "collector")]
    pub collector_flag: Vec<String>,
    /// Speak TLS: a certificate for the collectors and one for each agent, of an authority made for the test
    #[arg(long, conflicts_with = "collector")]
    pub tls: bool,
    /// Makes the collectors misbehave, to show that it is found
    #[arg(long, value_name = "KIND", hide = true, conflicts_with = "collector")]
    pub fault: Option<Fault>,
    /// Where results go.
    #[command(flatten)]
    pub output: Output,
}

impl FleetArgs {
    /// How many agents to connect in a second.
    #[must_use]
    pub fn ramp(&self) -> f64 {
        self.ramp.unwrap_or_else(|| SLOW_RAMP.max(f64::from(self.agents) / LONG_RAMP.as_secs_f64()))
    }
}

/// Where results go, besides standard output.
#[derive(Debug, Clone, Args)]
pub struct Output {
    /// Write the results to this file as JSON
    #[arg(long, value_name = "FILE.json")]
    pub report: Option<PathBuf>,
    /// Write the results to this file as one page with plots
    #[arg(long, value_name = "FILE.html")]
    pub html: Option<PathBuf>,
}

/// A collector of a test's own.
#[derive(Debug, Args)]
pub struct CollectorArgs {
    /// What every collector can be asked for.
    #[command(flatten)]
    pub flags: Flags,
    /// How it misbehaves
    #[arg(long)]
    pub fault: Option<Fault>,
}

/// Settings of the demo.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// How many simulated agents
    #[arg(long, value_name = "N", default_value = "100", value_parser = agents)]
    pub agents: u32,
    /// The old program's metric names, and its label client_no
    #[arg(long)]
    pub classic: bool,
    /// The collector's address for agents; a free port if this one is taken
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:45678", value_parser = quantity::own_loopback)]
    pub listen: SocketAddr,
    /// The collector's address for HTTP; a free port if this one is taken
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:1234", value_parser = quantity::own_loopback)]
    pub http: SocketAddr,
}

/// Settings of a demo's real agent.
#[derive(Debug, Clone, Args)]
pub struct AgentArgs {
    /// Where to report to
    #[arg(long)]
    pub collector: SocketAddr,
    /// The old program's metric names
    #[arg(long)]
    pub classic: bool,
}

pub(crate) fn agents(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (1..=MAX_AGENTS).contains(number));
    number.ok_or_else(|| format!("{text:?} is not a number of agents from 1 to {MAX_AGENTS}"))
}

pub(crate) fn labels(text: &str) -> Result<u8, String> {
    let most = LABELS.len();
    let number = text.parse().ok().filter(|number| usize::from(*number) <= most);
    number.ok_or_else(|| format!("{text:?} is not a number of labels from 0 to {most}"))
}

pub(crate) fn collectors(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=MAX_COLLECTORS).contains(number));
    number
        .ok_or_else(|| format!("{text:?} is not a number of collectors from 1 to {MAX_COLLECTORS}"))
}
