//! A run: connect a fleet, let it report, judge pages meanwhile, send it home, judge once more.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use fleetgauge_agent::identity::Nonces;
use fleetgauge_agent::profile::{EncodedSchema, Profile};
use fleetgauge_proto::{AgentId, StaticLabels};
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};

use crate::child::Collector;
use crate::cli::RunArgs;
use crate::finding::Finding;
use crate::fleet::Fleet;
use crate::inspection::Inspector;
use crate::judge::{GONE_HERD, SETTLED};
use crate::member::{Marked, Source};
use crate::progress::Progress;
use crate::results::timeline::Timeline;
use crate::results::{Began, Results};
use crate::room;
use crate::summary::Summary;
use crate::tally::get;
use crate::usage::{self, Usage};
use crate::value::{agent_name, schema};

/// Where a collector of our own is.
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// How long agents may take to connect and report after the last one was started.
const PATIENCE: Duration = Duration::from_secs(30);
/// On top of what the judge grants, so that the first page is judged to the full.
const MARGIN: Duration = Duration::from_millis(100);
/// Between two checkpoints; in a short run a quarter of it, and never less than a second.
const CHECKPOINT_PERIOD: Duration = Duration::from_secs(5);

/// What was measured between the beginning and the end of a part of the run.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) at: Duration,
    pub(crate) reports: u64,
    pub(crate) usage: Option<Usage>,
}

/// A run that is under way, and what it has measured.
pub(crate) struct Run<'a> {
    pub(crate) args: &'a RunArgs,
    pub(crate) fleet: Fleet,
    pub(crate) inspector: Inspector,
    pid: Option<u32>,
    /// Before the first agent.
    pub(crate) before: Mark,
    /// When every agent that would had reported.
    pub(crate) connected: Mark,
    /// The steady part.
    pub(crate) steady: (Mark, Mark),
    /// Pages judged while the fleet was reporting.
    pub(crate) checkpoints: usize,
}

/// Does it all.
///
/// # Errors
/// What keeps a run from being made: no room, no collector. What is wrong with a run that was made is in the
/// results' verdict.
pub async fn run(args: &RunArgs) -> anyhow::Result<Results> {
    let began = Began::now("run");
    room::raise_file_limit().context("raising the limit on open files")?;
    let collector = args.collector.map_or(LOCALHOST, |address| address.ip());
    room::check(args.agents, collector, args.collector.is_none())?;
    let (own, agents, http) = match (args.collector, args.http) {
        (Some(agents), Some(http)) => (None, agents, http),
        _ => {
            let own = Collector::start().await.context("starting a collector")?;
            let (agents, http) = (own.agents, own.http);
            (Some(own), agents, http)
        }
    };
    let mut run = Run::new(args, agents, http, own.as_ref().and_then(Collector::pid));
    run.connect().await?;
    run.report().await;
    run.leave().await;
    if let Some(Err(how)) = stop(own).await {
        run.inspector.verdict.add("at the end", [Finding::CollectorFailed { how }]);
    }
    let figures = Summary::of(&run);
    let verdict = run.inspector.verdict;
    began.results(settings(args), verdict, figures, Timeline::default())
}

fn settings(args: &RunArgs) -> serde_json::Value {
    json!({
        "agents": args.agents,
        "interval_seconds": args.interval.as_secs_f64(),
        "duration_seconds": args.duration.as_secs_f64(),
        "ramp_per_second": args.ramp,
        "churn_percent_per_second": args.churn,
    })
}

async fn stop(own: Option<Collector>) -> Option<Result<(), String>> {
    Some(own?.stop().await)
}

impl<'a> Run<'a> {
    fn new(args: &'a RunArgs, agents: SocketAddr, http: SocketAddr, pid: Option<u32>) -> Self {
        let fleet = Fleet::new(args.agents, agents, args.churn / 100.0);
        let inspector = Inspector::new(http, fleet.shared().clone(), pid);
        let mut run = Self {
            args,
            fleet,
            inspector,
            pid,
            before: Mark::default(),
            connected: Mark::default(),
            steady: Default::default(),
            checkpoints: 0,
        };
        run.before = run.mark();
        run
    }

    fn mark(&self) -> Mark {
        let shared = self.fleet.shared();
        Mark {
            at: shared.ledger.now(),
            reports: get(&shared.tally.reports),
            usage: self.pid.and_then(usage::of),
        }
    }

    async fn connect(&mut self) -> anyhow::Result<()> {
        let progress = Progress::of_ramp(self.fleet.shared(), self.args.agents);
        let schema = Arc::new(schema()?);
        let (interval, seed) = (self.args.interval, fastrand::u64(..));
        let mut names = Vec::with_capacity(self.args.agents);
        for agent in 0..self.args.agents {
            names.push(AgentId::try_new(&agent_name(agent))?);
        }
        let make = |agent: usize| {
            let source: Box<dyn Source> = Box::new(Marked { agent });
            (profile(names[agent].clone(), seed, interval, schema.clone()), source)
        };
        self.fleet.ramp_up(self.args.ramp, make).await;
        self.fleet.all_reporting(PATIENCE).await;
        drop(progress);
        self.connected = self.mark();
        let reporting = *self.fleet.shared().tally.reporting.borrow();
        if reporting < self.args.agents {
            let (agents, of) = (self.args.agents - reporting, self.args.agents);
            let finding = Finding::NotConnected { agents, of };
            self.inspector.verdict.add("after the ramp", [finding]);
        }
        sleep(SETTLED + MARGIN).await;
        // What the last handshakes left behind has been put away by now.
        self.connected.usage = self.mark().usage;
        Ok(())
    }

    async fn report(&mut self) {
        let _progress = Progress::of_steady(self.fleet.shared(), self.args.duration);
        self.fleet.settle();
        self.steady.0 = self.mark();
        let (began, duration) = (Instant::now(), self.args.duration);
        let period = CHECKPOINT_PERIOD.min(duration / 4).max(Duration::from_secs(1));
        let mut next = Duration::ZERO;
        while next < duration {
            next = (next + period).min(duration);
            sleep_until(began + next).await;
            let scraped = self.inspector.scraped.len();
            self.inspector.inspect(&format!("checkpoint {}", self.checkpoints + 1)).await;
            self.checkpoints += self.inspector.scraped.len() - scraped;
        }
        self.steady.1 = self.mark();
        if self.checkpoints == 0 {
            self.inspector.verdict.add("at the end", [Finding::NoCheckpoint]);
        }
    }

    async fn leave(&mut self) {
        let tally = &self.fleet.shared().tally;
        let own_lag_ms = tally.times().own_lag.longest_ms();
        let ended = tally.ended.counts().into_iter();
        let ended: Vec<_> = ended
            .map(|(why, sessions)| Finding::SessionsEnded { sessions, why, own_lag_ms })
            .collect();
        self.inspector.verdict.add("during the run", ended);
        let stuck = self.fleet.leave().await;
        if stuck > 0 {
            self.inspector.verdict.add("at the end", [Finding::NotLeft { agents: stuck }]);
        }
        sleep(GONE_HERD + MARGIN).await;
        self.inspector.inspect("after all have left").await;
    }
}

/// Who a simulated agent is. Each is a host of its own.
pub(crate) fn profile(
    id: AgentId,
    seed: u64,
    interval: Duration,
    schema: Arc<EncodedSchema>,
) -> Arc<Profile> {
    let nonce = (u128::from(seed) << 64 | u128::from(id.fnv1a())).to_be_bytes();
    Arc::new(Profile {
        id,
        nonces: Nonces { host: nonce, process: nonce },
        labels: StaticLabels::default(),
        interval,
        agent_version: env!("CARGO_PKG_VERSION"),
        schema,
    })
}
