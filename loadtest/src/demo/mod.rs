//! The demo: runs a collector, the agent of this host and a simulated fleet until Ctrl-C.

mod console;
mod history;
mod host_agent;
mod random_walk;

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use fleetgauge_agent::metrics::MetricSet;
use fleetgauge_collector::{Config, Listeners};
use fleetgauge_common::file_limit;
use indicatif::ProgressBar;
use tokio::sync::{mpsc, oneshot};

use crate::agent_range::AgentRange;
use crate::child_main::DEMO_INTERVAL;
use crate::cli::DemoArgs;
use crate::engine::{Engine, Handle};
use crate::host_profile::HostModel;
use crate::plan::{CollectorEndpoint, ForwardNeeds, LATE, Plan, TargetCollectors};
use crate::preflight;
use crate::worker_protocol::{BackoffPolicy, Command, Event, WorkerConfig};
use console::print;
use history::History;
use host_agent::{HostAgent, RESTART_DELAY};
use random_walk::RandomWalkFleet;

/// Share of the fleet that disconnects per second. Each agent returns within three seconds.
const CHURN: f64 = 0.005;
/// Agents to connect per second: slow enough to watch.
const RAMP: f64 = 200.0;

/// Runs the demo until Ctrl-C.
///
/// # Errors
/// If the machine is too small, no port is free, or the engine is not installed.
pub async fn demo(args: &DemoArgs) -> anyhow::Result<()> {
    file_limit::raise().context("cannot raise the limit on open files")?;
    preflight::check(&plan(args))?;
    let history = match args.engine {
        Some(engine) => Some(History::start(engine).await?),
        None => None,
    };
    let remote_write = history.as_ref().map_or(Ok(Vec::new()), History::destination)?;
    let config = Config {
        listen: vec![args.listen],
        http: args.http,
        classic: args.classic,
        remote_write,
        ..Config::default()
    };
    let mut notes = String::new();
    let (config, listeners) = listen(config, &mut notes)?;
    let agents = *listeners
        .agent_addresses()?
        .first()
        .context("the collector has no listener for agents")?;
    let http = listeners.http.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let collector = tokio::spawn(fleetgauge_collector::run(config, listeners, async {
        let _ = stopped.await;
    }));
    let bar = ProgressBar::new_spinner();
    let (fleet, mut events) = simulate(args, agents, http)?;
    fleet.send(Command::Ramp { per_second: RAMP });
    fleet.send(Command::Churn { share_per_second: CHURN });
    tokio::select! {
        shown = async {
            let agent = HostAgent::start(agents, args.classic, &bar)?;
            print(&bar, &format!("{notes}{}", welcome(args, http, history.as_ref(), &agent)));
            tokio::join!(agent.keep_running(), show_status(&bar, &mut events));
            anyhow::Ok(())
        } => shown?,
        pressed = tokio::signal::ctrl_c() => pressed?,
    }
    bar.finish_with_message("stopping");
    fleet.send(Command::Finish);
    while events.recv().await.is_some_and(|event| !matches!(event, Event::Finished { .. })) {}
    fleet.stop();
    let _ = stop.send(());
    collector.await??;
    if let Some(history) = history {
        history.stop().await;
    }
    Ok(())
}

fn plan(args: &DemoArgs) -> Plan {
    let endpoint = CollectorEndpoint { agents: args.listen, http: args.http, pid: None };
    Plan {
        // Twice the agents, because this process has both ends of every connection.
        agents: 2 * args.agents,
        target: TargetCollectors::Running(vec![endpoint]),
        interval: DEMO_INTERVAL,
        backoff: BackoffPolicy::Quick,
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

/// Binds the configured addresses. Replaces each port that it cannot bind with a free one.
fn listen(mut config: Config, notes: &mut String) -> anyhow::Result<(Config, Listeners)> {
    for (address, what) in [(&mut config.listen[0], "agents"), (&mut config.http, "HTTP")] {
        if let Err(error) = std::net::TcpListener::bind(*address) {
            writeln!(notes, "cannot listen on {address}: {error}; using a free port for {what}")?;
            address.set_port(0);
        }
    }
    let listeners = Listeners::bind(&config)?;
    Ok((config, listeners))
}

fn welcome(
    args: &DemoArgs,
    http: SocketAddr,
    history: Option<&History>,
    agent: &HostAgent<'_>,
) -> String {
    let page = format!("http://{http}/metrics");
    let cpu = if args.classic { "cpu" } else { "host_cpu_usage_ratio" };
    let (host, count) = (&agent.id, args.agents);
    let pid = agent.pid().map_or_else(|| "?".to_owned(), |pid| pid.to_string());
    let delay = RESTART_DELAY.as_secs();
    let node = match args.classic {
        true => String::new(),
        false => {
            format!("         {page}/agents/{host}     what node_exporter shows of this host\n")
        }
    };
    let history = history.map_or_else(String::new, |history| {
        format!("         {}     history\n", history.graph(cpu))
    });
    format!(
        "
  This host ({host}) and {count} simulated hosts report to a collector.

  open   {page}          all series
         {page}/agents   series of the agents
         {page}/self     the collector's own metrics
{node}{history}  try    curl -s {page} | grep '^{cpu}{{'
  kill   kill -9 {pid}
         curl -s {page} | grep -c '\"{host}\"'      gone at the next scrape; back after {delay} s
  stop   Ctrl-C
"
    )
}

/// Starts the simulated fleet on its own thread. Its events go to the receiver.
fn simulate(
    args: &DemoArgs,
    collector: SocketAddr,
    http: SocketAddr,
) -> anyhow::Result<(Handle, mpsc::UnboundedReceiver<Event>)> {
    let agents = AgentRange { first: 0, count: args.agents };
    let config = WorkerConfig {
        agents,
        visible: agents,
        first_encoded_agent: 0,
        labels: 0,
        hosts: HostModel::default(),
        collector,
        http,
        collector_pid: None,
        interval_ms: u32::try_from(DEMO_INTERVAL.as_millis())?,
        seed: fastrand::u64(..),
        batch_ms: 1,
        // No Pings: the demo judges no reports.
        reports_per_ping: u32::MAX,
        late_ms: u32::MAX,
        tolerance_ms: 0,
        tls: None,
        keeps_log: false,
        backlog_reports: 0,
        backoff: BackoffPolicy::Quick,
    };
    let set = if args.classic { MetricSet::Classic } else { MetricSet::Basic };
    let (sender, events) = mpsc::unbounded_channel();
    let fleet = RandomWalkFleet::new(set, &config)?;
    let (engine, handle) = Engine::new(config, fleet, move |event| drop(sender.send(event)))?;
    std::thread::Builder::new().name("fleet".to_owned()).spawn(move || engine.run())?;
    Ok((handle, events))
}

async fn show_status(bar: &ProgressBar, events: &mut mpsc::UnboundedReceiver<Event>) {
    let mut reports = 0;
    while let Some(event) = events.recv().await {
        if let Event::Sample(sample) = event {
            reports += sample.counts.reports;
            let present = sample.present;
            bar.set_message(format!(
                "{present} simulated agents connected, {reports} reports so far"
            ));
            bar.tick();
        }
    }
}
