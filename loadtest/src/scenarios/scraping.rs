//! Hard scraping: what pages asked for back to back do to reports.

use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use serde::Serialize;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::args::ScrapeArgs;
use super::failure::Failure;
use super::scene::Scene;
use crate::finding::Finding;
use crate::orders::Retry;
use crate::progress::Progress;
use crate::results::Results;
use crate::results::timeline::Scraped;
use crate::scrape::{self, Encoding};
use crate::tally::Times;
use crate::value::NAMES;

/// The page that is asked for.
const PATH: &str = "/metrics";

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

/// Pages of one kind.
#[derive(Debug, Default, Serialize)]
#[expect(missing_docs, reason = "the names and their units say it")]
pub struct Pages {
    pub count: u64,
    pub per_second: f64,
    pub p50_ms: f64,
    pub max_ms: f64,
    pub largest_bytes: usize,
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
    let quiet = phase(&mut scene, "quiet", args.duration).await?;
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
    let scrapers = scrapers(scene, encoding, Instant::now() + args.duration);
    let hard = phase(scene, encoding.name(), args.duration).await?;
    let pages = gather(scene, args, encoding, scrapers).await;
    check_whole(scene, args, encoding).await;
    judge(scene, encoding.name(), args.slower, quiet, &hard);
    Ok((hard, pages))
}

async fn phase(scene: &mut Scene, what: &str, duration: Duration) -> anyhow::Result<Phase> {
    scene.fleet.note(what);
    scene.fleet.progress = Some(Progress::of_time(what, duration));
    let before = scene.fleet.total.times.clone();
    scene.fleet.wait(duration).await?;
    let times = &scene.fleet.total.times;
    Ok(Phase { lag: times.lag.since(&before.lag), answered: times.answer.since(&before.answer) })
}

/// A task for each collector that asks for one page after the other until then.
fn scrapers(scene: &Scene, encoding: Encoding, until: Instant) -> JoinSet<Vec<Page>> {
    let began = Instant::now() - scene.fleet.now();
    let collectors = scene.fleet.collectors.iter().map(|collector| collector.http);
    collectors.map(|http| ask(http, encoding, began, until)).collect()
}

/// A page, or why there is none.
type Page = Result<Scraped, String>;

async fn ask(http: SocketAddr, encoding: Encoding, began: Instant, until: Instant) -> Vec<Page> {
    let mut pages = Vec::new();
    while Instant::now() < until {
        let (requested, mut bytes) = (Instant::now(), 0);
        let take = |piece: &[u8]| bytes += piece.len();
        let fetched = scrape::fetch_as(http, PATH, encoding, take).await;
        let page = Scraped {
            at_seconds: (requested - began).as_secs_f64(),
            took_ms: requested.elapsed().as_secs_f64() * 1e3,
            bytes,
            samples: None,
        };
        pages.push(fetched.map(|_| page).map_err(|error| error.to_string()));
    }
    pages
}

async fn gather(
    scene: &mut Scene,
    args: &ScrapeArgs,
    encoding: Encoding,
    scrapers: JoinSet<Vec<Page>>,
) -> Pages {
    let (mut took, mut pages) = (Times::default(), Pages::default());
    for page in scrapers.join_all().await.into_iter().flatten() {
        match page {
            Ok(page) => {
                took.add(Duration::from_secs_f64(page.took_ms / 1e3));
                pages.largest_bytes = pages.largest_bytes.max(page.bytes);
                scene.fleet.scraped(page);
            }
            Err(why) => scene.fleet.verdict.add(encoding.name(), [Finding::ScrapeFailed { why }]),
        }
    }
    scene.fleet.verdict.checked("scrapes", took.count());
    Pages {
        count: took.count(),
        per_second: took.count() as f64 / args.duration.as_secs_f64(),
        p50_ms: took.quantile_ms(0.5),
        max_ms: took.longest_ms(),
        ..pages
    }
}

/// Whether the pages of all collectors, unpacked, have everybody on them.
async fn check_whole(scene: &mut Scene, args: &ScrapeArgs, encoding: Encoding) {
    let mut samples = 0;
    for http in scene.fleet.collectors.iter().map(|collector| collector.http).collect::<Vec<_>>() {
        let mut page = Vec::new();
        let take = |piece: &[u8]| page.extend_from_slice(piece);
        if let Err(error) = scrape::fetch_as(http, PATH, encoding, take).await {
            let why = error.to_string();
            scene.fleet.verdict.add(encoding.name(), [Finding::ScrapeFailed { why }]);
            return;
        }
        let mut text = String::new();
        let read = match encoding {
            Encoding::Plain => page.as_slice().read_to_string(&mut text),
            Encoding::Gzip => MultiGzDecoder::new(page.as_slice()).read_to_string(&mut text),
        };
        samples += text.lines().filter(|line| line.starts_with(NAMES[0])).count();
        scene.fleet.verdict.checked("pages unpacked", read.is_ok().into());
    }
    let (shown, of) = (samples as u64, u64::from(args.fleet.agents));
    if shown != of {
        scene.found(encoding.name(), [Failure::NotWhole { shown, of }]);
    }
}

fn judge(scene: &mut Scene, scrapes: &'static str, slower: Duration, quiet: &Phase, hard: &Phase) {
    let bound_ms = slower.as_secs_f64() * 1e3;
    for (what, without, with) in
        [("lag", &quiet.lag, &hard.lag), ("answers", &quiet.answered, &hard.answered)]
    {
        if without.count() == 0 || with.count() == 0 {
            scene.found(scrapes, [Failure::NothingMeasured { what }]);
        }
        let (with_ms, without_ms) = (with.quantile_ms(0.99), without.quantile_ms(0.99));
        if with_ms > without_ms + bound_ms {
            scene.found(what, [Failure::ReportsSlowed { scrapes, with_ms, without_ms, bound_ms }]);
        }
    }
}
