//! The demo: a collector, this host's agent, and a simulated fleet to look at, until Ctrl-C.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use fleetgauge_agent::metrics::MetricSet;
use fleetgauge_agent::profile::EncodedSchema;
use fleetgauge_collector::{Config, Listeners};
use fleetgauge_proto::AgentId;
use indicatif::ProgressBar;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use crate::child;
use crate::cli::{AgentArgs, DemoArgs};
use crate::engine::{Engine, Handle, Hosts};
use crate::orders::{Command, Event, Numbers, Order, Retry};
use crate::plan::{LATE, Plan, Target};
use crate::room;
use crate::serve::{DEMO_INTERVAL, host_id};
use crate::value::NAMES;
use crate::walk::Walk;

/// The share of the fleet that leaves in a second, to be back within three.
const CHURN: f64 = 0.005;
/// Agents started in a second: slow enough to be seen coming.
const RAMP: f64 = 200.0;
/// How long this host's agent stays away when it was killed: long enough for somebody to look.
const AGENT_PAUSE: Duration = Duration::from_secs(15);
/// What the simulated hosts are called.
const ROLES: [&str; 5] = ["web", "db", "cache", "queue", "build"];

/// Shows the demo until Ctrl-C.
///
/// # Errors
/// No room, or no free ports.
pub async fn demo(args: &DemoArgs) -> anyhow::Result<()> {
    room::raise_file_limit().context("raising the limit on open files")?;
    let target = Target::Running(vec![(args.listen, args.http)]);
    let (interval, backoff) = (DEMO_INTERVAL, Retry::Quick);
    // Both ends are in this process.
    let (agents, flags) = (2 * args.agents, Vec::new());
    let labels = 0;
    room::check(&Plan {
        agents,
        target,
        interval,
        backoff,
        labels,
        flags,
        late: LATE,
        tolerance: Duration::ZERO,
        tls: false,
    })?;
    let config = Config {
        listen: vec![args.listen],
        http: args.http,
        classic: args.classic,
        ..Config::default()
    };
    let mut notes = String::new();
    let (config, listeners) = listen(config, &mut notes)?;
    let agents = *listeners.agent_addresses()?.first().context("no address for agents")?;
    let http = listeners.http.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let collector = tokio::spawn(fleetgauge_collector::run(config, listeners, async {
        let _ = stopped.await;
    }));
    let bar = ProgressBar::new_spinner();
    let host = AgentArgs { collector: agents, classic: args.classic };
    let (fleet, mut said) = simulate(args, agents, http)?;
    fleet.tell(Command::Ramp { per_second: RAMP });
    fleet.tell(Command::Churn { share_per_second: CHURN });
    tokio::select! {
        shown = async {
            let real = HostAgent::start(host, &bar)?;
            say(&bar, &format!("{notes}{}", welcome(args, http, &real)));
            tokio::join!(real.keep(), show_status(&bar, &mut said));
            anyhow::Ok(())
        } => shown?,
        pressed = tokio::signal::ctrl_c() => pressed?,
    }
    bar.finish_with_message("stopping");
    fleet.tell(Command::Finish);
    while said.recv().await.is_some_and(|event| !matches!(event, Event::Left { .. })) {}
    fleet.end();
    let _ = stop.send(());
    Ok(collector.await??)
}

/// Binds the usual addresses, or free ones in place of those that are taken.
fn listen(mut config: Config, notes: &mut String) -> anyhow::Result<(Config, Listeners)> {
    for (address, what) in [(&mut config.listen[0], "agents"), (&mut config.http, "HTTP")] {
        if std::net::TcpListener::bind(*address).is_err() {
            writeln!(
                notes,
                "{address} is taken by another program: {what} on a free port instead"
            )?;
            address.set_port(0);
        }
    }
    let listeners = Listeners::bind(&config)?;
    Ok((config, listeners))
}

fn welcome(args: &DemoArgs, http: SocketAddr, real: &HostAgent<'_>) -> String {
    let page = format!("http://{http}/metrics");
    let cpu = if args.classic { "cpu" } else { "host_cpu_usage_ratio" };
    let (host, count) = (&real.id, args.agents);
    let pid = real.process.id().map_or_else(|| "?".to_owned(), |pid| pid.to_string());
    format!(
        "
  This host ({host}) and {count} simulated ones report to a collector.

  open   {page}          all series
         {page}/agents   those of the agents
         {page}/self     the collector's own
  try    curl -s {page} | grep '^{cpu}{{'
  kill   kill -9 {pid}
         curl -s {page} | grep -c '\"{host}\"'      gone at the next scrape; back after {} s
  stop   Ctrl-C
",
        AGENT_PAUSE.as_secs()
    )
}

/// Starts the simulated fleet on a thread of its own; what it says comes out of the receiver.
fn simulate(
    args: &DemoArgs,
    collector: SocketAddr,
    http: SocketAddr,
) -> anyhow::Result<(Handle, mpsc::UnboundedReceiver<Event>)> {
    let agents = Numbers { first: 0, count: args.agents };
    let order = Order {
        agents,
        known: agents,
        marks_from: 0,
        labels: 0,
        collector,
        http,
        pid: None,
        interval_ms: u32::try_from(DEMO_INTERVAL.as_millis())?,
        seed: fastrand::u64(..),
        tick_ms: 1,
        // Nobody judges a demo.
        reports_per_ping: u32::MAX,
        late_ms: u32::MAX,
        tolerance_ms: 0,
        tls: None,
        backoff: Retry::Quick,
    };
    let set = if args.classic { MetricSet::Classic } else { MetricSet::Basic };
    let (tell, said) = mpsc::unbounded_channel();
    let hosts = Walking::new(set, &order)?;
    let (engine, handle) = Engine::new(order, hosts, move |event| drop(tell.send(event)))?;
    std::thread::Builder::new().name("fleet".to_owned()).spawn(move || engine.run())?;
    Ok((handle, said))
}

/// Hosts for people to look at.
struct Walking {
    walks: Vec<Walk>,
    schema: Arc<EncodedSchema>,
}

impl Walking {
    fn new(set: MetricSet, order: &Order) -> anyhow::Result<Self> {
        let walk = |agent| Walk::new(set, order.seed ^ u64::from(agent));
        Ok(Self {
            walks: order.agents.range().map(walk).collect(),
            schema: Arc::new(EncodedSchema::of(set)?),
        })
    }
}

impl Hosts for Walking {
    fn id(&self, agent: u32) -> AgentId {
        let (agent, roles) = (agent as usize, ROLES.len());
        let id =
            AgentId::try_new(&format!("{}-{:02}.demo", ROLES[agent % roles], agent / roles + 1));
        id.unwrap_or_else(|bad| unreachable!("roles and numbers are legal: {bad}"))
    }

    fn schema(&self) -> Arc<EncodedSchema> {
        self.schema.clone()
    }

    fn values(&mut self, agent: u32, _sequence: u64) -> [f64; NAMES.len()] {
        self.walks[agent as usize].values()
    }
}

async fn show_status(bar: &ProgressBar, said: &mut mpsc::UnboundedReceiver<Event>) {
    let mut reports = 0;
    while let Some(event) = said.recv().await {
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

/// This host's agent, in a process that somebody may kill.
struct HostAgent<'a> {
    args: AgentArgs,
    id: AgentId,
    process: tokio::process::Child,
    bar: &'a ProgressBar,
}

impl<'a> HostAgent<'a> {
    fn start(args: AgentArgs, bar: &'a ProgressBar) -> anyhow::Result<Self> {
        let id = host_id()?;
        Ok(Self { process: child::start_agent(&args)?, args, id, bar })
    }

    /// Starts it again whenever it has ended.
    async fn keep(mut self) {
        loop {
            // Waiting would close it, and the agent lives as long as it is open.
            let _open = self.process.stdin.take();
            let ended = self.process.wait().await;
            let how = match ended {
                Ok(status) => format!("has ended ({status})"),
                Err(error) => format!("is lost ({error})"),
            };
            let pause = AGENT_PAUSE.as_secs();
            self.say(&format!("{how}: its series are off the page. It is back in {pause} s"));
            sleep(AGENT_PAUSE).await;
            match child::start_agent(&self.args) {
                Ok(process) => self.process = process,
                Err(error) => {
                    self.say(&format!("cannot be started again: {error}"));
                    continue;
                }
            }
            let pid = self.process.id().unwrap_or_default();
            self.say(&format!("is back: kill -9 {pid}"));
        }
    }

    fn say(&self, what: &str) {
        say(self.bar, &format!("  The agent of {} {what}.", self.id));
    }
}

/// Above the status line, or plainly where there is no terminal.
fn say(bar: &ProgressBar, text: &str) {
    let mut stdout = std::io::stdout();
    // A closed terminal does not end the demo.
    let _ = bar.suspend(|| std::io::Write::write_all(&mut stdout, format!("{text}\n").as_bytes()));
}
