//! Fetches pages on a separate thread, and parses them while they arrive.

use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use fleetgauge_page::{Item, ReadResult, Reader};

use super::{Handle, Input};
use crate::judge::ScrapeWindow;
use crate::judge::finding::Finding;
use crate::judge::observed_page::{ObservedPage, PageScope};
use crate::judge::verdict::Verdict;
use crate::scrape::{self, Encoding};
use crate::usage;
use crate::worker_protocol::WorkerConfig;

/// Path of the page with the series of agents.
const AGENTS_PATH: &str = "/metrics/agents";
/// Path of the page that also has the collector's own metrics.
const ALL_PATH: &str = "/metrics";
/// Series of each family that the parser remembers, to find repeated ones: more than a family of
/// the collector's own metrics has. The judge finds repeated series of agents without a set.
const REMEMBERED_SERIES: usize = 512;
/// Delay before a page is judged, so that agents have handled everything that the collector sent
/// before it rendered the page.
pub(super) const JUDGE_DELAY: Duration = Duration::from_millis(100);

/// The result of fetching a page.
pub(super) struct FetchedPage {
    pub(super) what: String,
    pub(super) window: ScrapeWindow,
    pub(super) observed: ObservedPage,
    /// Length of the body as transferred, in bytes.
    pub(super) bytes: u64,
    pub(super) error: Option<String>,
    /// CPU time of the collector during the scrape.
    pub(super) cpu: Option<Duration>,
    /// Findings of the parser.
    pub(super) verdict: Verdict,
    /// Whether another page of the same request follows.
    pub(super) more: bool,
}

/// A request for one or more pages.
pub(super) struct PageRequest {
    what: String,
    path: &'static str,
    encoding: Encoding,
    /// Fetch pages back to back for this long.
    duration: Duration,
}

impl PageRequest {
    /// Creates a request that fetches `/metrics/agents` once.
    pub(super) const fn agents(what: String) -> Self {
        Self { what, path: AGENTS_PATH, encoding: Encoding::Plain, duration: Duration::ZERO }
    }

    /// Requests `/metrics` back to back for `for_ms` milliseconds.
    pub(super) fn back_to_back(what: String, encoding: Encoding, for_ms: u32) -> Self {
        Self { what, path: ALL_PATH, encoding, duration: Duration::from_millis(for_ms.into()) }
    }
}

/// Sends requests to the thread that fetches pages one at a time.
pub(super) struct PageFetcher(mpsc::Sender<PageRequest>);

impl PageFetcher {
    /// Starts the thread. Pages go to `engine`, whose test started at `epoch`.
    pub(super) fn start(config: &WorkerConfig, epoch: Instant, engine: Handle) -> io::Result<Self> {
        let (sender, requests) = mpsc::channel::<PageRequest>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let config = config.clone();
        thread::Builder::new().name("page-fetcher".to_owned()).spawn(move || {
            while let Ok(request) = requests.recv() {
                let until = Instant::now() + request.duration;
                loop {
                    let page = runtime.block_on(fetch(&config, epoch, &request));
                    let more = page.error.is_none() && Instant::now() < until;
                    engine.push(Input::Page(Box::new(FetchedPage { more, ..page })));
                    if !more {
                        break;
                    }
                }
            }
        })?;
        Ok(Self(sender))
    }

    /// Requests pages.
    pub(super) fn fetch(&self, request: PageRequest) {
        // Fails only if the thread has ended with the engine.
        let _ = self.0.send(request);
    }
}

async fn fetch(config: &WorkerConfig, epoch: Instant, request: &PageRequest) -> FetchedPage {
    let cpu = || Some(usage::of(config.collector_pid?)?.cpu);
    let cpu_before = cpu();
    let requested = epoch.elapsed();
    let when = ScrapeWindow { requested, ended: requested }.label(&request.what);
    let observed = ObservedPage::new(PageScope::of(config));
    let mut observed =
        if request.path == ALL_PATH { observed.expecting_own_metrics() } else { observed };
    let mut verdict = Verdict::new();
    let fetched = read(config, request, &mut observed, |found| verdict.add(&when, [found])).await;
    let (bytes, error) = match fetched {
        Ok(bytes) => (bytes as u64, None),
        Err(error) => (0, Some(format!("{when}: {error}"))),
    };
    if error.is_some() {
        // The findings are about an incomplete page.
        verdict = Verdict::new();
    }
    FetchedPage {
        window: ScrapeWindow { requested, ended: epoch.elapsed() },
        cpu: cpu().zip(cpu_before).map(|(after, before)| after.saturating_sub(before)),
        what: request.what.clone(),
        observed,
        bytes,
        error,
        verdict,
        more: false,
    }
}

async fn read(
    config: &WorkerConfig,
    request: &PageRequest,
    observed: &mut ObservedPage,
    mut find: impl FnMut(Finding),
) -> Result<usize, scrape::ScrapeError> {
    let mut reader = Reader::default().remembering(REMEMBERED_SERIES);
    let mut on_item = |read: ReadResult<'_>| match read {
        Ok(Item::Sample(sample)) => observed.add(sample).err().into_iter().for_each(&mut find),
        Ok(Item::Family(_)) => {}
        Err(invalid) => find(Finding::Unreadable(invalid)),
    };
    let on_piece = |piece: &[u8]| reader.push(piece, &mut on_item);
    let (http, path, encoding) = (config.http, request.path, request.encoding);
    let timeout = config.scrape_timeout();
    let bytes = scrape::fetch_as(http, path, encoding, timeout, on_piece).await?;
    reader.finish(&mut on_item);
    Ok(bytes)
}
