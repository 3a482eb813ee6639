//! Child processes that run the collector or the agent, like their own programs.

use std::io::{Read, Write};
use std::time::Duration;

use anyhow::Context;
use fleetgauge_agent::config::{Config as AgentConfig, Endpoint};
use fleetgauge_agent::identity::{Host, IdSource};
use fleetgauge_agent::metrics::{MetricSet, Selection};
use fleetgauge_agent::run::Agent;
use fleetgauge_collector::{Config, Listeners};
use fleetgauge_common::file_limit;
use fleetgauge_proto::AgentId;

use crate::cli::{AgentArgs, CollectorArgs};
use crate::fault::{self, Endpoints};

/// Report interval of the demo: short, so that values visibly change.
pub const DEMO_INTERVAL: Duration = Duration::from_secs(2);
/// Agent id if the host name is not a valid agent id.
const FALLBACK_ID: &str = "this-host";

/// Runs a collector. Prints its addresses to standard output, the one for agents first.
///
/// # Errors
/// If a setting is invalid or a system call fails.
pub async fn collector(args: CollectorArgs) -> anyhow::Result<()> {
    // First: the collector sizes itself by the limit that it finds.
    file_limit::raise()?;
    let mut config = Config::try_new(args.flags)?;
    let requested = Endpoints { agents: config.listen[0], http: config.http };
    if let Some(fault) = args.fault {
        config.http.set_port(0);
        if fault.affects_agents() {
            config.listen[0].set_port(0);
        }
    }
    let listeners = Listeners::bind(&config)?;
    let agents = *listeners
        .agent_addresses()?
        .first()
        .context("the collector has no listener for agents")?;
    let mut endpoints = Endpoints { agents, http: listeners.http.local_addr()? };
    if let Some(fault) = args.fault {
        endpoints = fault::start(fault, endpoints, requested).await?;
    }
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{} {}", endpoints.agents, endpoints.http)?;
    stdout.flush()?;
    Ok(fleetgauge_collector::run(config, listeners, stop_requested()).await?)
}

/// Runs this host's agent.
///
/// # Errors
/// If a setting is invalid.
pub async fn agent(args: &AgentArgs) -> anyhow::Result<()> {
    let endpoint = Endpoint::parse(&args.collector.to_string()).map_err(anyhow::Error::msg)?;
    let metrics =
        if args.classic { Selection::of(MetricSet::Classic) } else { Selection::default() };
    let config = AgentConfig {
        collector: endpoint.into(),
        id: IdSource::Given(host_id()?),
        interval: DEMO_INTERVAL,
        metrics,
        ..AgentConfig::default()
    };
    fleetgauge_agent::run::run(Agent::new(&config, &Host::read())?, stop_requested()).await;
    Ok(())
}

/// Agent id of this host in the demo.
///
/// # Errors
/// Only if the fallback id is invalid.
pub fn host_id() -> anyhow::Result<AgentId> {
    Ok(Host::read().id(&IdSource::HostName).or_else(|_| AgentId::try_new(FALLBACK_ID))?)
}

/// Completes at SIGTERM, or when standard input ends because the parent has exited.
pub(crate) async fn stop_requested() {
    let (sender, stdin_ended) = tokio::sync::oneshot::channel();
    // A thread, because a blocking task would keep the runtime from shutting down.
    std::thread::spawn(move || {
        let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
        let _ = sender.send(());
    });
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = stdin_ended => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = stdin_ended.await;
}
