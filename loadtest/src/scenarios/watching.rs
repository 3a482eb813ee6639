//! Scenario `watch`: pages for people are fetched, then kept open. Measures what that costs the
//! collector, and how much it delays reports.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::failure::Failure;
use super::scenario_run::ScenarioRun;
use super::scraping::{LatencyStats, judge_increase};
use crate::browser::{self, StreamCounts};
use crate::cli::watch_args::WatchArgs;
use crate::fleet::phases::MIN_ANSWERS_FOR_P99;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::results::Results;
use crate::scrape::ScrapeError;
use crate::tally::Times;
use crate::usage::{self, Usage};
use crate::worker_protocol::BackoffPolicy;

/// Pages that are fetched and kept open: of the fleet, of lists and of a host.
const PAGES: [(&str, &str); 4] = [
    ("overview", "/"),
    ("agents", "/agents"),
    ("agents_by_cpu", "/agents?sort=cpu"),
    ("host", "/agents/sim-000000"),
];
/// Times that each page is fetched, with a pause, so that not all of them are from the same copy of
/// the fleet.
const FETCHES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(300);
/// Time for a stream to bring all lines of a page, and for a closed one to end.
const SETTLING: Duration = Duration::from_secs(3);

/// Outcome of the scenario.
#[derive(Debug, Serialize)]
pub struct Watching {
    /// Time until the first byte and size, by page.
    pub pages: BTreeMap<&'static str, FetchedPages>,
    /// Time from the due time of a report until the collector had processed it.
    pub lag: PerPhase<LatencyStats>,
    /// `lag` without the delays of the load test itself.
    pub answered: PerPhase<LatencyStats>,
    /// CPU of the collector.
    pub collector: PerPhase<CollectorUsage>,
    /// What the open pages cost.
    pub open_pages: OpenPages,
}

/// A value for each phase.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct PerPhase<T> {
    pub before: T,
    pub open: T,
    pub after: T,
}

/// Pages of one path, fetched one after the other.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names and their units say it")]
pub struct FetchedPages {
    pub count: u64,
    pub first_byte_p50_ms: f64,
    pub first_byte_max_ms: f64,
    pub largest_bytes: u64,
}

/// CPU and memory of the collector in a phase.
#[derive(Debug, Clone, Copy, Serialize)]
#[expect(missing_docs, reason = "the names and their units say it")]
pub struct CollectorUsage {
    pub cpu_cores: f64,
    pub resident_bytes: u64,
}

/// What open pages cost, and what they were sent.
#[derive(Debug, Serialize)]
pub struct OpenPages {
    /// Number of streams.
    pub streams: u32,
    /// CPU of all of them together, in percent of a core.
    pub cpu_percent: f64,
    /// Events of all streams.
    pub events: u64,
    /// Bytes of a stream in a second.
    pub bytes_per_second: f64,
}

/// Figures of a phase.
struct PhaseStats {
    lag: Times,
    answered: Times,
    collector: CollectorUsage,
}

/// Runs the scenario.
///
/// # Errors
/// If the machine is too small, or a process does not start or exits.
pub async fn watch(args: &WatchArgs) -> anyhow::Result<Results> {
    let plan = Plan::for_scenario(&args.fleet, 1, BackoffPolicy::Quick, args.fleet.flags());
    let mut run = ScenarioRun::start("watch", plan).await?;
    run.connect_all(&args.fleet).await?;
    run.judge_all("before").await?;
    let http = run.fleet.endpoints().first().context("no collector")?.http;
    let before = run_phase(&mut run, "before", args.duration).await?;
    let pages = fetch_pages(&mut run, args, http).await?;
    let browsers = Browsers::open(http, args.browsers);
    run.fleet.wait(SETTLING).await?;
    let first = browsers.counts();
    let open = run_phase(&mut run, "open", args.duration).await?;
    let last = browsers.counts();
    run.add_findings("streams", browsers.close().await);
    run.fleet.wait(SETTLING).await?;
    let after = run_phase(&mut run, "after", args.duration).await?;

    let seconds = args.duration.as_secs_f64() * f64::from(args.browsers);
    let open_pages = OpenPages {
        streams: args.browsers,
        cpu_percent: 100.0 * (open.collector.cpu_cores - before.collector.cpu_cores),
        events: last.events - first.events,
        bytes_per_second: (last.bytes - first.bytes) as f64 / seconds,
    };
    run.add_findings("streams", judge_cost(args, &open_pages));
    let (bound, what) = (args.max_p99_increase, "open pages");
    run.add_findings("answers", judge_increase(what, bound, &before.answered, &open.answered));
    run.judge_all("after").await?;
    let per_phase = |of: fn(&PhaseStats) -> &Times| {
        let [before, open, after] =
            [&before, &open, &after].map(|phase| LatencyStats::from(of(phase)));
        PerPhase { before, open, after }
    };
    let (lag, answered) = (per_phase(|phase| &phase.lag), per_phase(|phase| &phase.answered));
    let collector =
        PerPhase { before: before.collector, open: open.collector, after: after.collector };
    let settings = json!({
        "agents": args.fleet.agents,
        "interval_seconds": args.fleet.interval().as_secs_f64(),
        "browsers": args.browsers,
        "phase_seconds": args.duration.as_secs_f64(),
        "max_first_byte_ms": args.max_first_byte.as_secs_f64() * 1e3,
        "max_page_bytes": args.max_page_bytes,
        "max_cost_percent": args.max_cost,
        "max_p99_increase_ms": args.max_p99_increase.as_secs_f64() * 1e3,
    });
    run.finish(settings, Watching { pages, lag, answered, collector, open_pages }).await
}

/// Runs one phase. Its counts exclude everything before and after it.
async fn run_phase(
    run: &mut ScenarioRun,
    what: &str,
    duration: Duration,
) -> anyhow::Result<PhaseStats> {
    run.fleet.end_phase(&format!("before the phase {what}")).await?;
    run.fleet.record_event(what);
    run.fleet.begin_phase(what);
    run.fleet.progress = Some(Progress::running(what, duration));
    let used = |run: &ScenarioRun| usage::sum(run.collector_pids().into_iter());
    let (begun, first) = (tokio::time::Instant::now(), used(run));
    run.fleet.wait(duration).await?;
    let (took, last) = (begun.elapsed(), used(run));
    let times = run.fleet.end_measured_phase(what, MIN_ANSWERS_FOR_P99).await?.times;
    let (first, last): (Usage, Usage) = first.zip(last).unwrap_or_default();
    let cpu_cores = last.cpu.saturating_sub(first.cpu).as_secs_f64() / took.as_secs_f64();
    let collector = CollectorUsage { cpu_cores, resident_bytes: last.resident };
    Ok(PhaseStats { lag: times.lag, answered: times.answer, collector })
}

/// Fetches each page several times, and judges its size and the time of its first byte.
async fn fetch_pages(
    run: &mut ScenarioRun,
    args: &WatchArgs,
    http: SocketAddr,
) -> anyhow::Result<BTreeMap<&'static str, FetchedPages>> {
    run.fleet.begin_phase("fetching");
    let mut pages = BTreeMap::new();
    for (name, path) in PAGES {
        let (mut first_bytes, mut largest_bytes) = (Times::default(), 0);
        for _ in 0..FETCHES {
            match browser::fetch_page(http, path).await {
                Ok(page) => {
                    first_bytes.add(page.first_byte);
                    largest_bytes = largest_bytes.max(page.bytes);
                }
                Err(error) => {
                    let why = format!("{path}: {error}");
                    run.add_findings("pages", [Failure::StreamEnded { path, why }]);
                }
            }
            run.fleet.wait(PAUSE).await?;
        }
        let fetched = FetchedPages {
            count: first_bytes.count(),
            first_byte_p50_ms: first_bytes.quantile_ms(0.5),
            first_byte_max_ms: first_bytes.longest_ms(),
            largest_bytes,
        };
        run.fleet.verdict.checked("pages for people", fetched.count);
        run.add_findings("pages", judge_pages(args, path, &fetched));
        pages.insert(name, fetched);
    }
    Ok(pages)
}

fn judge_pages(args: &WatchArgs, path: &'static str, pages: &FetchedPages) -> Vec<Failure> {
    let bound_ms = args.max_first_byte.as_secs_f64() * 1e3;
    let (first_byte_ms, bytes) = (pages.first_byte_p50_ms, pages.largest_bytes);
    let slow = first_byte_ms > bound_ms;
    let large = bytes > args.max_page_bytes;
    let slow = slow.then_some(Failure::SlowPage { path, first_byte_ms, bound_ms });
    let bound_bytes = args.max_page_bytes;
    slow.into_iter()
        .chain(large.then_some(Failure::LargePage { path, bytes, bound_bytes }))
        .collect()
}

fn judge_cost(args: &WatchArgs, pages: &OpenPages) -> Vec<Failure> {
    let (percent, bound_percent) = (pages.cpu_percent, args.max_cost);
    let browsers = args.browsers;
    let costly = percent > bound_percent;
    let costly = costly.then_some(Failure::CostlyBrowsers { browsers, percent, bound_percent });
    // Each stream has an event in five seconds, even if nothing changes.
    let silent = pages.events < u64::from(browsers) * args.duration.as_secs() / 10;
    let silent = silent.then_some(Failure::NothingMeasured { what: "events of streams" });
    costly.into_iter().chain(silent).collect()
}

/// Browsers with open pages.
struct Browsers {
    streams: JoinSet<(&'static str, Result<(), ScrapeError>)>,
    counts: Vec<watch::Receiver<StreamCounts>>,
}

impl Browsers {
    /// Opens the pages in turn.
    fn open(http: SocketAddr, count: u32) -> Self {
        let (mut streams, mut counts) = (JoinSet::new(), Vec::new());
        for (_, path) in PAGES.into_iter().cycle().take(count as usize) {
            let (sender, receiver) = watch::channel(StreamCounts::default());
            counts.push(receiver);
            let count = move |read| _ = sender.send(read);
            streams.spawn(async move { (path, browser::read_stream(http, path, count).await) });
        }
        Self { streams, counts }
    }

    /// Returns what all streams have brought until now.
    fn counts(&self) -> StreamCounts {
        self.counts.iter().fold(StreamCounts::default(), |sum, own| {
            let own = *own.borrow();
            StreamCounts { events: sum.events + own.events, bytes: sum.bytes + own.bytes }
        })
    }

    /// Closes all streams. Returns those that had ended before.
    async fn close(mut self) -> Vec<Failure> {
        let mut ended = Vec::new();
        while let Some(Ok((path, result))) = self.streams.try_join_next() {
            let why = result.err().map_or_else(|| "end of data".to_owned(), |e| e.to_string());
            ended.push(Failure::StreamEnded { path, why });
        }
        self.streams.shutdown().await;
        ended
    }
}
