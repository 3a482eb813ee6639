//! The demo: runs a collector, the agent of this host and a simulated fleet until Ctrl-C.
//!
//! `roster` has the simulated hosts, the `story` what happens to them. The `narrator`
//! breaks and restores connections accordingly; the values of a `sim_host` follow from hour and
//! story. A `clock` lets a day pass in minutes.

mod clock;
mod console;
mod fleet;
mod history;
mod host_agent;
mod narrator;
mod node_template;
mod roster;
mod sim_host;
mod story;
mod welcome;

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
use crate::cli::{DemoArgs, DemoProfile};
use crate::engine::{Engine, Handle};
use crate::host_profile::{HostModel, HostProfile};
use crate::plan::{CollectorEndpoint, ForwardNeeds, LATE, Plan, TargetCollectors};
use crate::preflight;
use crate::worker_protocol::{BackoffPolicy, Command, Event, WorkerConfig};
use clock::Clock;
use console::print;
use fleet::{DemoFleet, Series};
use history::History;
use host_agent::HostAgent;
use node_template::NodeTemplate;
use roster::Roster;

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
    let (clock, roster) = (Clock::start(), Roster { count: args.agents });
    let model = DemoFleet::new(series(args).await, clock, roster, fastrand::u64(..));
    let (fleet, mut events) = simulate(args, model, agents, http)?;
    fleet.send(Command::Ramp { per_second: RAMP });
    tokio::select! {
        shown = async {
            let agent = HostAgent::start(agents, args.classic, &bar)?;
            let welcome = welcome::text(args, http, history.as_ref(), &agent);
            print(&bar, &format!("{notes}{welcome}"));
            let status = show_status(&bar, clock, roster, &mut events);
            let story = narrator::narrate(clock, roster, &fleet, &bar);
            tokio::join!(agent.keep_running(), status, story);
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
    let profile = match args.profile {
        DemoProfile::Basic => HostProfile::Basic,
        DemoProfile::Node => HostProfile::Node,
    };
    let endpoint = CollectorEndpoint { agents: args.listen, http: args.http, pid: None };
    Plan {
        // Twice the agents, because this process has both ends of every connection.
        agents: 2 * args.agents,
        target: TargetCollectors::Running(vec![endpoint]),
        interval: DEMO_INTERVAL,
        backoff: BackoffPolicy::Quick,
        labels: 2,
        hosts: HostModel { profile, ..HostModel::default() },
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

/// Returns the series of the simulated hosts.
async fn series(args: &DemoArgs) -> Series {
    match args.profile {
        DemoProfile::Node => Series::Node(NodeTemplate::read().await),
        DemoProfile::Basic if args.classic => Series::Gauges(MetricSet::Classic),
        DemoProfile::Basic => Series::Gauges(MetricSet::Basic),
    }
}

/// Starts the simulated fleet on its own thread. Its events go to the receiver.
fn simulate(
    args: &DemoArgs,
    model: DemoFleet,
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
    let (sender, events) = mpsc::unbounded_channel();
    let (engine, handle) = Engine::new(config, model, move |event| drop(sender.send(event)))?;
    std::thread::Builder::new().name("fleet".to_owned()).spawn(move || engine.run())?;
    Ok((handle, events))
}

async fn show_status(
    bar: &ProgressBar,
    clock: Clock,
    roster: Roster,
    events: &mut mpsc::UnboundedReceiver<Event>,
) {
    let mut reports = 0;
    while let Some(event) = events.recv().await {
        if let Event::Sample(sample) = event {
            reports += sample.counts.reports;
            bar.set_message(format!(
                "{}  {} of {} simulated agents connected, {reports} reports so far",
                clock.now(),
                sample.present,
                roster.count
            ));
            bar.tick();
        }
    }
}
