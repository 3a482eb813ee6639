//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::quantity;
use crate::value::MAX_AGENTS;

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
    /// Load a collector with simulated agents and judge its pages: exit 0 only if every check held
    Run(RunArgs),
    /// A collector, this host's agent and simulated ones, until Ctrl-C
    Demo(DemoArgs),
    /// The collector of a run: addresses to standard output, until standard input ends
    #[command(hide = true)]
    Collector,
    /// This host's agent in a demo, until standard input ends
    #[command(hide = true)]
    Agent(AgentArgs),
}

/// Settings of a run.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// How many agents
    #[arg(long, value_name = "N", value_parser = agents)]
    pub agents: usize,
    /// Time between an agent's reports, 1s to 5m
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = quantity::interval)]
    pub interval: Duration,
    /// How long to go on once all agents are connected
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = quantity::run_time)]
    pub duration: Duration,
    /// How many agents to connect in a second
    #[arg(long, value_name = "N/s", default_value = "2000/s", value_parser = quantity::ramp)]
    pub ramp: f64,
    /// Percent of the agents that leave in a second, half by Bye, half by RST, and come back within 3 s
    #[arg(long, value_name = "PERCENT/s", default_value = "0%/s", value_parser = quantity::churn)]
    pub churn: f64,
    /// A running collector's address for agents, on loopback; it must have no other agents
    #[arg(long, value_name = "ADDR", requires = "http", value_parser = quantity::loopback)]
    pub collector: Option<SocketAddr>,
    /// The same collector's address for HTTP
    #[arg(long, value_name = "ADDR", requires = "collector", value_parser = quantity::loopback)]
    pub http: Option<SocketAddr>,
    /// Where results go.
    #[command(flatten)]
    pub output: Output,
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

/// Settings of the demo.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// How many simulated agents
    #[arg(long, value_name = "N", default_value = "100", value_parser = agents)]
    pub agents: usize,
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

fn agents(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=MAX_AGENTS).contains(number));
    number.ok_or_else(|| format!("{text:?} is not a number of agents from 1 to {MAX_AGENTS}"))
}
