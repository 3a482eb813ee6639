//! The command line.

pub mod forward_args;
mod help_headings;
pub mod host_args;
pub mod scenario_args;
pub mod value_parsers;
pub mod watch_args;

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use fleetgauge_collector::config::Flags;

use crate::fault::Fault;
use crate::results::output::OutputArgs;
use crate::sim_values::DEFAULT_LABELS;
use help_headings::{BOUNDS, COLLECTORS, FLEET};
use host_args::HostArgs;
use scenario_args::Scenario;
use value_parsers as parse;

/// Default ramp, in agents per second.
const DEFAULT_RAMP_PER_SECOND: f64 = 2_000.0;
/// The default ramp is faster for fleets that would take longer than this to connect.
const MAX_DEFAULT_RAMP_TIME: Duration = Duration::from_secs(60);

const EXAMPLES: &str = "\
Examples:
  fleetgauge-loadtest demo
  fleetgauge-loadtest run --agents 5000 --interval 5s --duration 2m
  fleetgauge-loadtest storm --agents 10000 --html storm.html

Exit codes:
  0    all checks passed
  1    a check failed, or the test could not run
  64   invalid flag
  130  stopped by Ctrl-C";

/// Simulate fleets of agents and check the pages of collectors
#[derive(Debug, Parser)]
#[command(name = "fleetgauge-loadtest", version, after_help = EXAMPLES)]
pub struct Cli {
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands of this program.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Load collectors with simulated agents and check every page
    ///
    /// Every page must show exactly the connected agents, with their latest values.
    ///
    /// Example: fleetgauge-loadtest run --agents 5000 --interval 5s --duration 2m
    Run(RunArgs),
    /// Like run, with agents that continuously disconnect and reconnect
    ///
    /// Half of the disconnects send Bye, half reset the connection. Agents reconnect within 3 s.
    ///
    /// Example: fleetgauge-loadtest churn --agents 5000 --churn 2%/s
    Churn(ChurnArgs),
    /// Scenarios, each with one kind of failure or load.
    #[command(flatten)]
    Scenario(Scenario),
    /// Run a collector, the agent of this host and a simulated fleet until Ctrl-C
    ///
    /// A day of the fleet takes four minutes. Its troubles are printed as they happen.
    ///
    /// Example: fleetgauge-loadtest demo --agents 1000
    Demo(DemoArgs),
    /// Run a collector: print its addresses, stop when standard input ends
    #[command(hide = true)]
    Collector(Box<CollectorArgs>),
    /// Simulate agents: read configuration and commands, print events
    #[command(hide = true)]
    Worker,
    /// Run this host's agent until standard input ends
    #[command(hide = true)]
    Agent(AgentArgs),
    /// Run a Prometheus until standard input ends: print its address
    #[command(hide = true)]
    Prometheus,
}

/// Settings of a run.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Settings of the fleet.
    #[command(flatten)]
    pub fleet: FleetArgs,
}

/// Settings of a run with churn.
#[derive(Debug, Clone, Args)]
pub struct ChurnArgs {
    /// Settings of the fleet.
    #[command(flatten)]
    pub fleet: FleetArgs,
    /// Share of the agents to disconnect per second
    #[arg(long, value_name = "PERCENT/s", default_value = "1%/s", help_heading = FLEET)]
    #[arg(value_parser = parse::churn)]
    pub churn: f64,
}

/// Settings of a fleet and of its collectors.
#[derive(Debug, Clone, Args)]
pub struct FleetArgs {
    /// Simulate N agents
    #[arg(long, value_name = "N", value_parser = parse::agents, help_heading = FLEET)]
    pub agents: u32,
    /// Report interval of each agent, 1s to 5m
    #[arg(long, value_name = "DURATION", default_value = "15s", help_heading = FLEET)]
    #[arg(value_parser = parse::interval)]
    pub interval: Duration,
    /// Length of the steady phase, after all agents have connected
    #[arg(long, value_name = "DURATION", default_value = "60s", help_heading = FLEET)]
    #[arg(value_parser = parse::run_time)]
    pub duration: Duration,
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
    /// Connect N agents per second [default: 2000/s, or faster to connect all in 60s]
    #[arg(long, value_name = "N/s", value_parser = parse::ramp, help_heading = FLEET)]
    pub ramp: Option<f64>,
    /// Start N collectors and spread the agents over them
    #[arg(long, value_name = "N", default_value = "1", help_heading = COLLECTORS)]
    #[arg(value_parser = parse::collectors, conflicts_with = "collector")]
    pub collectors: usize,
    /// Connect agents to a running collector on loopback (repeatable)
    ///
    /// The collector must have no other agents. Give --http for each one, in the same order.
    #[arg(long, value_name = "ADDR", requires = "http", help_heading = COLLECTORS)]
    #[arg(value_parser = parse::loopback)]
    pub collector: Vec<SocketAddr>,
    /// Scrape the running collector on ADDR (repeatable)
    #[arg(long, value_name = "ADDR", requires = "collector", help_heading = COLLECTORS)]
    #[arg(value_parser = parse::loopback)]
    pub http: Vec<SocketAddr>,
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
    #[arg(long, value_name = "FLAG", conflicts_with = "collector", help_heading = COLLECTORS)]
    pub collector_flag: Vec<String>,
    /// Use TLS with server and client certificates
    ///
    /// The test creates a certificate authority, a certificate for the collectors and one per
    /// agent.
    #[arg(long, conflicts_with = "collector", help_heading = FLEET)]
    pub tls: bool,
    /// Inject a fault into the collectors that the test must find
    #[arg(long, value_name = "KIND", hide = true, conflicts_with = "collector")]
    pub fault: Option<Fault>,
    /// Output files.
    #[command(flatten)]
    pub output: OutputArgs,
}

impl FleetArgs {
    /// Checks settings that depend on each other.
    ///
    /// # Errors
    /// Names the invalid flag and the allowed values.
    pub fn check(&self) -> Result<(), String> {
        let (running, pages) = (self.collector.len(), self.http.len());
        if running != pages {
            return Err(format!(
                "--collector was given {running} times and --http {pages} times; give both for \
                 each collector"
            ));
        }
        check_agents(self.agents, if running > 0 { running } else { self.collectors })?;
        self.hosts.check(self.interval)
    }

    /// Agents to connect per second.
    #[must_use]
    pub fn ramp(&self) -> f64 {
        let default = || f64::from(self.agents) / MAX_DEFAULT_RAMP_TIME.as_secs_f64();
        self.ramp.unwrap_or_else(|| DEFAULT_RAMP_PER_SECOND.max(default()))
    }
}

/// Checks that every collector has an agent.
///
/// # Errors
/// Names the invalid flag and the allowed values.
fn check_agents(agents: u32, collectors: usize) -> Result<(), String> {
    if (agents as usize) < collectors {
        return Err(format!("--agents {agents}: must be at least {collectors}, one per collector"));
    }
    Ok(())
}

/// Settings of a collector that a test starts.
#[derive(Debug, Args)]
pub struct CollectorArgs {
    /// Flags of the collector.
    #[command(flatten)]
    pub flags: Flags,
    /// Inject a fault
    #[arg(long)]
    pub fault: Option<Fault>,
}

/// Settings of the demo.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Simulate N agents
    #[arg(long, value_name = "N", default_value = "100", value_parser = parse::agents)]
    pub agents: u32,
    /// Series of each simulated host
    #[arg(long, value_name = "PROFILE", value_enum, default_value_t, conflicts_with = "classic")]
    pub profile: DemoProfile,
    /// Use the metric names and the client_no label of the Python server that fleetgauge replaces
    #[arg(long)]
    pub classic: bool,
    /// Listen for agents on ADDR, or on a free port if it is in use
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:45678")]
    #[arg(value_parser = parse::own_loopback)]
    pub listen: SocketAddr,
    /// Listen for HTTP on ADDR, or on a free port if it is in use
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:1234")]
    #[arg(value_parser = parse::own_loopback)]
    pub http: SocketAddr,
    /// Also run ENGINE, which must be installed, and forward all samples to it
    #[arg(long, value_name = "ENGINE", value_enum)]
    pub engine: Option<DemoEngine>,
}

/// The series of a simulated host of the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum DemoProfile {
    /// Six gauges
    #[default]
    Basic,
    /// Those of this host, on Linux hundreds, with other values
    Node,
}

/// Engines that the demo can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DemoEngine {
    /// Prometheus, as the program `prometheus`
    Prometheus,
}

/// Settings of the real agent in the demo.
#[derive(Debug, Clone, Args)]
pub struct AgentArgs {
    /// Report to the collector at this address
    #[arg(long)]
    pub collector: SocketAddr,
    /// Use the metric names of the Python server that fleetgauge replaces
    #[arg(long)]
    pub classic: bool,
}
