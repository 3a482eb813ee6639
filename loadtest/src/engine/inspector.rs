//! Fetches pages beside the engine, on a thread of its own, and reads them as they come.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use fleetgauge_page::{Item, ReadResult, Reader};

use super::{Handle, Input};
use crate::finding::Finding;
use crate::judge::Window;
use crate::orders::Order;
use crate::results::Verdict;
use crate::scrape::{self, Encoding};
use crate::shown::Shown;
use crate::usage;

/// The page of the agents.
const AGENTS: &str = "/metrics/agents";
/// The page that has the collector's own metrics, too.
const ALL: &str = "/metrics";
/// After a response, the time for agents to hear what the collector did to them before the page was made.
pub(super) const HEARSAY: Duration = Duration::from_millis(100);

/// A page that was fetched, or was not.
pub(super) struct Page {
    pub(super) what: String,
    pub(super) window: Window,
    pub(super) shown: Shown,
    /// Its length, as it came over the wire.
    pub(super) bytes: u64,
    pub(super) error: Option<String>,
    /// CPU time of the collector meanwhile.
    pub(super) cpu: Option<Duration>,
    /// What was found by reading alone.
    pub(super) verdict: Verdict,
    /// Another page of the same request follows.
    pub(super) more: bool,
}

/// Pages to fetch.
pub(super) struct Request {
    what: String,
    path: &'static str,
    encoding: Encoding,
    /// One follows the other for so long.
    time: Duration,
}

impl Request {
    /// The agents' page, once.
    pub(super) const fn agents(what: String) -> Self {
        Self { what, path: AGENTS, encoding: Encoding::Plain, time: Duration::ZERO }
    }

    /// The whole page, for so long.
    pub(super) fn back_to_back(what: String, encoding: Encoding, for_ms: u32) -> Self {
        Self { what, path: ALL, encoding, time: Duration::from_millis(for_ms.into()) }
    }
}

/// Who fetches, one page at a time.
pub(super) struct Inspector(mpsc::Sender<Request>);

impl Inspector {
    /// Of the order's collector; pages go to `engine`, whose run began at `epoch`.
    pub(super) fn start(order: &Order, epoch: Instant, engine: Handle) -> io::Result<Self> {
        let (ask, asked) = mpsc::channel::<Request>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let order = order.clone();
        thread::Builder::new().name("inspector".to_owned()).spawn(move || {
            while let Ok(request) = asked.recv() {
                let until = Instant::now() + request.time;
                loop {
                    let page = runtime.block_on(fetch(&order, epoch, &request));
                    let more = page.error.is_none() && Instant::now() < until;
                    engine.put(Input::Page(Box::new(Page { more, ..page })));
                    if !more {
                        break;
                    }
                }
            }
        })?;
        Ok(Self(ask))
    }

    /// Asks for pages.
    pub(super) fn fetch(&self, request: Request) {
        // It ends with the engine.
        let _ = self.0.send(request);
    }
}

async fn fetch(order: &Order, epoch: Instant, request: &Request) -> Page {
    let cpu = || Some(usage::of(order.pid?)?.cpu);
    let cpu_before = cpu();
    let requested = epoch.elapsed();
    let when = Window { requested, ended: requested }.called(&request.what);
    let shown = Shown::new(order.agents, order.known, order.marks_from, order.labels);
    let mut shown = if request.path == ALL { shown.with_own() } else { shown };
    let mut verdict = Verdict::new();
    let fetched = read(order.http, request, &mut shown, |found| verdict.add(&when, [found])).await;
    let (bytes, error) = match fetched {
        Ok(bytes) => (bytes as u64, None),
        Err(error) => (0, Some(format!("{when}: {error}"))),
    };
    if error.is_some() {
        // What came of it is no page.
        verdict = Verdict::new();
    }
    Page {
        window: Window { requested, ended: epoch.elapsed() },
        cpu: cpu().zip(cpu_before).map(|(after, before)| after.saturating_sub(before)),
        what: request.what.clone(),
        shown,
        bytes,
        error,
        verdict,
        more: false,
    }
}

async fn read(
    http: SocketAddr,
    request: &Request,
    shown: &mut Shown,
    mut find: impl FnMut(Finding),
) -> Result<usize, scrape::ScrapeError> {
    let mut reader = Reader::default();
    let mut see = |read: ReadResult<'_>| match read {
        Ok(Item::Sample(sample)) => shown.place(sample).err().into_iter().for_each(&mut find),
        Ok(Item::Family(_)) => {}
        Err(unreadable) => find(Finding::Unreadable(unreadable)),
    };
    let take = |piece: &[u8]| reader.push(piece, &mut see);
    let bytes = scrape::fetch_as(http, request.path, request.encoding, take).await?;
    reader.finish(&mut see);
    Ok(bytes)
}
