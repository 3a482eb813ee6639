//! Hard scraping: what pages asked for back to back do to reports. Every page is judged.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::args::ScrapeArgs;
use super::failure::Failure;
use super::scene::Scene;
use crate::orders::{Inspected, Retry};
use crate::parts::FOR_P99;
use crate::progress::Progress;
use crate::results::Results;
use crate::scrape::Encoding;
use crate::tally::Times;

/// What was measured, by what was asked for meanwhile.
#[derive(Debug, Serialize)]
pub struct Scraping {
    /// From when a report was due to when the collector had taken it in.
    pub lag: Parts<Spread>,
    /// The same from when the generator turned to the report.
    pub answered: Parts<Spread>,
    /// The pages.
    pub pages: Kinds<Pages>,
}

/// What was measured of reports in each part.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Parts<T> {
    pub no_scrapes: T,
    pub plain: T,
    pub gzip: T,
}

/// What was measured of pages.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Kinds<T> {
    pub plain: T,
    pub gzip: T,
}

/// A distribution of times.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the names and their units say it")]
pub struct Spread {
    pub count: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

/// Pages of one kind that came whole. Each was judged.
#[derive(Debug, Default, Serialize)]
#[expect(missing_docs, reason = "the names and their units say it")]
pub struct Pages {
    pub count: u64,
    pub per_second: f64,
    pub p50_ms: f64,
    pub max_ms: f64,
    pub largest_bytes: u64,
}

impl From<&Times> for Spread {
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
    /// The figures of pages that were fetched for so long.
    fn of<'a>(pages: impl Iterator<Item = &'a Inspected>, time: Duration) -> Self {
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

/// The times of reports in one phase.
struct Phase {
    lag: Times,
    answered: Times,
}

/// Does it all.
///
/// # Errors
/// What keeps it from being done: no room, no collector, a worker that ended.
pub async fn scrape(args: &ScrapeArgs) -> anyhow::Result<Results> {
    let plan = args.fleet.plan(args.spread.collectors, Retry::Quick, args.fleet.flags());
    let mut scene = Scene::start("scrape", plan).await?;
    scene.bring_up(&args.fleet).await?;
    scene.judge_all("before").await?;
    let (quiet, _) = phase(&mut scene, "quiet", args.duration, None).await?;
    scene.found("quiet", judge_quiet(args.baseline, &quiet.answered));
    let (plain, plain_pages) = hard(&mut scene, args, Encoding::Plain, &quiet).await?;
    let (gzip, gzip_pages) = hard(&mut scene, args, Encoding::Gzip, &quiet).await?;
    let spread = |of: fn(&Phase) -> &Times| {
        let [no_scrapes, plain, gzip] =
            [&quiet, &plain, &gzip].map(|phase| Spread::from(of(phase)));
        Parts { no_scrapes, plain, gzip }
    };
    let scraping = Scraping {
        lag: spread(|phase| &phase.lag),
        answered: spread(|phase| &phase.answered),
        pages: Kinds { plain: plain_pages, gzip: gzip_pages },
    };
    scene.judge_all("after").await?;
    let settings = json!({
        "agents": args.fleet.agents,
        "collectors": args.spread.collectors,
        "interval_seconds": args.fleet.interval().as_secs_f64(),
        "phase_seconds": args.duration.as_secs_f64(),
        "baseline_ms": args.baseline.as_secs_f64() * 1e3,
        "slower_ms": args.slower.as_secs_f64() * 1e3,
    });
    scene.finish(settings, scraping).await
}

/// A part in which pages are asked for back to back.
async fn hard(
    scene: &mut Scene,
    args: &ScrapeArgs,
    encoding: Encoding,
    quiet: &Phase,
) -> anyhow::Result<(Phase, Pages)> {
    let (hard, pages) = phase(scene, encoding.name(), args.duration, Some(encoding)).await?;
    let pages = Pages::of(pages.iter().map(|(_, page)| page), args.duration);
    if pages.count == 0 {
        scene.found(encoding.name(), [Failure::NothingMeasured { what: "pages" }]);
    }
    scene.fleet.verdict.checked("scrapes", pages.count);
    judge(scene, encoding.name(), args.slower, quiet, &hard);
    Ok((hard, pages))
}

/// A part of the test with its pages. What was counted before is not counted in it, nor what is
/// counted after it.
async fn phase(
    scene: &mut Scene,
    what: &str,
    duration: Duration,
    scrapes: Option<Encoding>,
) -> anyhow::Result<(Phase, Vec<(usize, Inspected)>)> {
    scene.fleet.end_part(&format!("before the part {what}")).await?;
    scene.fleet.note(what);
    scene.fleet.begin_part(what);
    scene.fleet.progress = Some(Progress::of_time(what, duration));
    if let Some(encoding) = scrapes {
        for worker in 0..scene.fleet.workers() {
            scene.fleet.scrape(worker, encoding, duration).await;
        }
    }
    scene.fleet.wait(duration).await?;
    // The last page ends after that; what it does to reports and sessions belongs to this part.
    let pages = scene.fleet.pages().await?;
    let times = scene.fleet.end_measured_part(what, FOR_P99).await?.times;
    Ok((Phase { lag: times.lag, answered: times.answer }, pages))
}

/// Judges the part without load, which the others are compared with: a collector that stalls all
/// the time is as slow with load as without.
pub(super) fn judge_quiet(baseline: Duration, answered: &Times) -> Option<Failure> {
    let (p99_ms, bound_ms) = (answered.quantile_ms(0.99), baseline.as_secs_f64() * 1e3);
    let is_slow = answered.count() > 0 && p99_ms > bound_ms;
    is_slow.then_some(Failure::SlowWithoutLoad { p99_ms, bound_ms })
}

/// Judges answers alone: lag is the same with the generator's own lag, which is none of the
/// collector's.
fn judge(scene: &mut Scene, scrapes: &'static str, slower: Duration, quiet: &Phase, hard: &Phase) {
    let bound_ms = slower.as_secs_f64() * 1e3;
    let (without, with) = (&quiet.answered, &hard.answered);
    if without.count() == 0 || with.count() == 0 {
        scene.found(scrapes, [Failure::NothingMeasured { what: "answers" }]);
    }
    let (with_ms, without_ms) = (with.quantile_ms(0.99), without.quantile_ms(0.99));
    if with_ms > without_ms + bound_ms {
        let slowed = Failure::ReportsSlowed { scrapes, with_ms, without_ms, bound_ms };
        scene.found("answers", [slowed]);
    }
}
