//! Fetches pages beside the engine, on a thread of its own, and reads them as they come.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::{Handle, Input};
use crate::finding::Finding;
use crate::judge::Window;
use crate::orders::Order;
use crate::page::{Reader, Sample, Unreadable};
use crate::results::Verdict;
use crate::scrape;
use crate::shown::Shown;
use crate::usage;

/// The page that is judged.
const PATH: &str = "/metrics/agents";
/// After a response, the time for agents to hear what the collector did to them before the page was made.
pub(super) const HEARSAY: Duration = Duration::from_millis(100);

/// A page that was fetched, or was not.
pub(super) struct Page {
    pub(super) what: String,
    pub(super) window: Window,
    pub(super) shown: Shown,
    /// Its length.
    pub(super) bytes: u64,
    pub(super) error: Option<String>,
    /// CPU time of the collector meanwhile.
    pub(super) cpu: Option<Duration>,
    /// What was found by reading alone.
    pub(super) verdict: Verdict,
}

/// Who fetches, one page at a time.
pub(super) struct Inspector(mpsc::Sender<String>);

impl Inspector {
    /// Of the order's collector; pages go to `engine`, whose run began at `epoch`.
    pub(super) fn start(order: &Order, epoch: Instant, engine: Handle) -> io::Result<Self> {
        let (ask, asked) = mpsc::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let order = order.clone();
        thread::Builder::new().name("inspector".to_owned()).spawn(move || {
            while let Ok(what) = asked.recv() {
                let page = runtime.block_on(fetch(&order, epoch, what));
                engine.put(Input::Page(Box::new(page)));
            }
        })?;
        Ok(Self(ask))
    }

    /// Asks for a page.
    pub(super) fn fetch(&self, what: String) {
        // It ends with the engine.
        let _ = self.0.send(what);
    }
}

async fn fetch(order: &Order, epoch: Instant, what: String) -> Page {
    let cpu = || Some(usage::of(order.pid?)?.cpu);
    let cpu_before = cpu();
    let requested = epoch.elapsed();
    let when = Window { requested, ended: requested }.called(&what);
    let mut shown = Shown::new(order.agents, order.known, order.marks_from);
    let mut verdict = Verdict::new();
    let fetched = read(order.http, &mut shown, |found| verdict.add(&when, [found])).await;
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
        what,
        shown,
        bytes,
        error,
        verdict,
    }
}

async fn read(
    http: SocketAddr,
    shown: &mut Shown,
    mut find: impl FnMut(Finding),
) -> Result<usize, scrape::ScrapeError> {
    let mut reader = Reader::default();
    let mut see = |read: Result<Sample<'_>, Unreadable>| match read {
        Ok(sample) => shown.place(sample).err().into_iter().for_each(&mut find),
        Err(unreadable) => find(Finding::Unreadable(unreadable)),
    };
    let bytes = scrape::fetch_into(http, PATH, |piece| reader.push(piece, &mut see)).await?;
    reader.finish(&mut see);
    Ok(bytes)
}
