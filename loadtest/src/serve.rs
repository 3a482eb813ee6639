//! What the children run: the collector and the agent as their own binaries have them.

use std::io::Write;
use std::time::Duration;

use anyhow::Context;
use fleetgauge_agent::config::{Config as AgentConfig, Endpoint};
use fleetgauge_agent::identity::{Host, IdSource};
use fleetgauge_agent::metrics::MetricSet;
use fleetgauge_agent::run::Agent;
use fleetgauge_collector::{Config, Listeners};
use fleetgauge_proto::AgentId;

use crate::child::told_to_stop;
use crate::cli::{AgentArgs, CollectorArgs};
use crate::fault::{self, Front};
use crate::room;

/// Time between an agent's reports in the demo: short, so that there is something to see.
pub const DEMO_INTERVAL: Duration = Duration::from_secs(2);
/// The id of a host that has no name of its own.
const NAMELESS: &str = "this-host";

/// A collector with these settings; says where it is on standard output, its address for agents first.
///
/// # Errors
/// A setting that cannot be; the system's.
pub async fn collector(args: CollectorArgs) -> anyhow::Result<()> {
    // The collector sizes itself by the limit that it finds.
    room::raise_file_limit()?;
    let mut config = Config::try_new(args.flags)?;
    let asked = Front { agents: config.listen[0], http: config.http };
    if let Some(fault) = args.fault {
        config.http.set_port(0);
        if fault.concerns_agents() {
            config.listen[0].set_port(0);
        }
    }
    let listeners = Listeners::bind(&config)?;
    let agents = *listeners.agent_addresses()?.first().context("no address for agents")?;
    let mut front = Front { agents, http: listeners.http.local_addr()? };
    if let Some(fault) = args.fault {
        front = fault::start(fault, front, asked).await?;
    }
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{} {}", front.agents, front.http)?;
    stdout.flush()?;
    Ok(fleetgauge_collector::run(config, listeners, told_to_stop()).await?)
}

/// This host's agent.
///
/// # Errors
/// It has no usable settings.
pub async fn agent(args: &AgentArgs) -> anyhow::Result<()> {
    let endpoint = Endpoint::parse(&args.collector.to_string()).map_err(anyhow::Error::msg)?;
    let metrics = if args.classic { MetricSet::Classic } else { MetricSet::Basic };
    let config = AgentConfig {
        collector: endpoint,
        id: IdSource::Given(host_id()?),
        interval: DEMO_INTERVAL,
        metrics,
        ..AgentConfig::default()
    };
    fleetgauge_agent::run::run(Agent::new(&config, &Host::read())?, told_to_stop()).await;
    Ok(())
}

/// What this host is called in the demo.
///
/// # Errors
/// None: a host whose own name will not do is given one.
pub fn host_id() -> anyhow::Result<AgentId> {
    Ok(Host::read().id(&IdSource::HostName).or_else(|_| AgentId::try_new(NAMELESS))?)
}
