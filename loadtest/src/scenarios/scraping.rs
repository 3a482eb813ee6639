//! Scenario `scrape`: pages are scraped back to back. Measures how much that delays reports, and
//! judges every page.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::failure::Failure;
use super::scenario_run::ScenarioRun;
use crate::cli::scenario_args::ScrapeArgs;
use crate::fleet::phases::MIN_ANSWERS_FOR_P99;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::results::Results;
use crate::scrape::Encoding;
use crate::tally::Times;
use crate::worker_protocol::{BackoffPolicy, PageResult};

/// Outcome of the scenario, by phase.
#[derive(Debug, Serialize)]
pub struct Scraping {
    /// Time from the due time of a report until the collector had processed it.
    pub lag: PerPhase<LatencyStats>,
    /// `lag` without the delays of the load test itself.
    pub answered: PerPhase<LatencyStats>,
    /// Pages by encoding.
    pub pages: PerEncoding<Pages>,
}

/// A value for each phase.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct PerPhase<T> {
    pub no_scrapes: T,
    pub plain: T,
    pub gzip: T,
}

/// A value for each encoding of pages.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct PerEncoding<T> {
    pub plain: T,
    pub gzip: T,
}

/// A distribution of durations.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the names and their units say it")]
pub struct LatencyStats {
    pub count: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

/// Complete pages of one encoding; each was judged.
#[derive(Debug, Default, Serialize)]
#[expect(missing_docs, reason = "the names and their units say it")]
pub struct Pages {
    pub count: u64,
    pub per_second: f64,
    pub p50_ms: f64,
    pub max_ms: f64,
    pub largest_bytes: u64,
}

impl From<&Times> for LatencyStats {
    fn from(times: &Times) -> Self {
        Self {
            count: times.count(),
            p50_ms: times.quantile_ms(0.5),
            p99_ms: times.quantile_ms(0.99),
            max_ms: times.longest_ms(),
        }
    }
}

impl Pages {
    /// Figures of pages that were fetched during this time.
    fn of<'a>(pages: impl Iterator<Item = &'a PageResult>, time: Duration) -> Self {
        let (mut took, mut largest_bytes) = (Times::default(), 0);
        for page in pages {
            took.add(Duration::from_micros(page.took_us));
            largest_bytes = largest_bytes.max(page.bytes);
        }
        Self {
            count: took.count(),
            per_second: took.count() as f64 / time.as_secs_f64(),
            p50_ms: took.quantile_ms(0.5),
            max_ms: took.longest_ms(),
            largest_bytes,
        }
    }
}

/// Lag and answer times of reports in one phase.
struct PhaseStats {
    lag: Times,
    answered: Times,
}

/// Runs the scenario.
///
/// # Errors
/// If the machine is too small, or a process does not start or exits.
pub async fn scrape(args: &ScrapeArgs) -> anyhow::Result<Results> {
    let plan =
        Plan::for_scenario(&args.fleet, args.collectors, BackoffPolicy::Quick, args.fleet.flags());
    let mut run = ScenarioRun::start("scrape", plan).await?;
    run.connect_all(&args.fleet).await?;
    run.judge_all("before").await?;
    let (quiet, _) = run_phase(&mut run, "quiet", args.duration, None).await?;
    run.add_findings("quiet", judge_baseline(args.max_p99, &quiet.answered));
    let (plain, plain_pages) = scrape_phase(&mut run, args, Encoding::Plain, &quiet).await?;
    let (gzip, gzip_pages) = scrape_phase(&mut run, args, Encoding::Gzip, &quiet).await?;
    let per_phase = |of: fn(&PhaseStats) -> &Times| {
        let [no_scrapes, plain, gzip] =
            [&quiet, &plain, &gzip].map(|phase| LatencyStats::from(of(phase)));
        PerPhase { no_scrapes, plain, gzip }
    };
    let scraping = Scraping {
        lag: per_phase(|phase| &phase.lag),
        answered: per_phase(|phase| &phase.answered),
        pages: PerEncoding { plain: plain_pages, gzip: gzip_pages },
    };
    run.judge_all("after").await?;
    let settings = json!({
        "agents": args.fleet.agents,
        "collectors": args.collectors,
        "interval_seconds": args.fleet.interval().as_secs_f64(),
        "phase_seconds": args.duration.as_secs_f64(),
        "max_p99_ms": args.max_p99.as_secs_f64() * 1e3,
        "max_p99_increase_ms": args.max_p99_increase.as_secs_f64() * 1e3,
    });
    run.finish(settings, scraping).await
}

/// Runs a phase with back-to-back scrapes.
async fn scrape_phase(
    run: &mut ScenarioRun,
    args: &ScrapeArgs,
    encoding: Encoding,
    quiet: &PhaseStats,
) -> anyhow::Result<(PhaseStats, Pages)> {
    let (stats, pages) = run_phase(run, encoding.name(), args.duration, Some(encoding)).await?;
    let pages = Pages::of(pages.iter().map(|(_, page)| page), args.duration);
    if pages.count == 0 {
        run.add_findings(encoding.name(), [Failure::NothingMeasured { what: "pages" }]);
    }
    run.fleet.verdict.checked("scrapes", pages.count);
    let what = match encoding {
        Encoding::Plain => "plain scrapes",
        Encoding::Gzip => "gzip scrapes",
    };
    let delays = judge_increase(what, args.max_p99_increase, &quiet.answered, &stats.answered);
    run.add_findings("answers", delays);
    Ok((stats, pages))
}

/// Runs one phase. Its counts exclude everything before and after it.
async fn run_phase(
    run: &mut ScenarioRun,
    what: &str,
    duration: Duration,
    scrapes: Option<Encoding>,
) -> anyhow::Result<(PhaseStats, Vec<(usize, PageResult)>)> {
    run.fleet.end_phase(&format!("before the {what} phase")).await?;
    run.fleet.record_event(what);
    run.fleet.begin_phase(what);
    run.fleet.progress = Some(Progress::running(what, duration));
    if let Some(encoding) = scrapes {
        for worker in 0..run.fleet.worker_count() {
            run.fleet.request_scrapes(worker, encoding, duration).await;
        }
    }
    run.fleet.wait(duration).await?;
    // The last page ends later; its effect on reports and sessions belongs to this phase.
    let pages = run.fleet.collect_pages().await?;
    let times = run.fleet.end_measured_phase(what, MIN_ANSWERS_FOR_P99).await?.times;
    Ok((PhaseStats { lag: times.lag, answered: times.answer }, pages))
}

/// Compares the p99 answer time without scrapes with a fixed bound. The other phases are only
/// compared with this phase, so a collector that always stalls would pass them.
pub(super) fn judge_baseline(max_p99: Duration, answered: &Times) -> Option<Failure> {
    let (p99_ms, bound_ms) = (answered.quantile_ms(0.99), max_p99.as_secs_f64() * 1e3);
    let is_slow = answered.count() > 0 && p99_ms > bound_ms;
    is_slow.then_some(Failure::SlowWithoutLoad { p99_ms, bound_ms })
}

/// Compares the p99 answer time without and with load. Lag is not compared, because it includes
/// delays of the load test itself.
pub(super) fn judge_increase(
    what: &'static str,
    max_increase: Duration,
    without: &Times,
    with: &Times,
) -> Option<Failure> {
    if without.count() == 0 || with.count() == 0 {
        return Some(Failure::NothingMeasured { what: "answers" });
    }
    let bound_ms = max_increase.as_secs_f64() * 1e3;
    let (with_ms, without_ms) = (with.quantile_ms(0.99), without.quantile_ms(0.99));
    let is_slower = with_ms > without_ms + bound_ms;
    is_slower.then_some(Failure::DelayedBy { what, with_ms, without_ms, bound_ms })
}
