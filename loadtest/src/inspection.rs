//! Checkpoints: a page is fetched, measured and judged.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::finding::Finding;
use crate::fleet::Shared;
use crate::judge::{Window, judge};
use crate::results::Verdict;
use crate::scrape;
use crate::tally::get;
use crate::usage;

/// The page that is judged.
const PATH: &str = "/metrics/agents";
/// After a response, the time for agents to hear what the collector did to them before the page was made.
const HEARSAY: Duration = Duration::from_millis(100);

/// What a scrape took.
#[derive(Debug, Clone, Copy)]
pub struct Scraped {
    /// From the request's first byte to the response's last.
    pub took: Duration,
    /// Length of the page, in bytes.
    pub bytes: usize,
    /// Its samples.
    pub samples: usize,
    /// CPU time of the collector meanwhile, in which it also took reports in.
    pub cpu: Option<Duration>,
    /// Reports written meanwhile.
    pub reports: u64,
}

/// Who fetches and judges.
pub struct Inspector {
    http: SocketAddr,
    shared: Arc<Shared>,
    /// The collector's process, if it is ours.
    pid: Option<u32>,
    /// What was found.
    pub verdict: Verdict,
    /// What the scrapes took.
    pub scraped: Vec<Scraped>,
}

impl Inspector {
    /// Of the collector at `http`, whose agents these are.
    #[must_use]
    pub fn new(http: SocketAddr, shared: Arc<Shared>, pid: Option<u32>) -> Self {
        Self { http, shared, pid, verdict: Verdict::new(), scraped: Vec::new() }
    }

    /// Fetches a page and judges it.
    pub async fn inspect(&mut self, what: &str) {
        let cpu = || Some(usage::of(self.pid?)?.cpu);
        let (cpu_before, reports_before) = (cpu(), get(&self.shared.tally.reports));
        let requested = self.shared.ledger.now();
        let when = format!("{what}, {:.1} s into the run", requested.as_secs_f64());
        let page = match scrape::fetch(self.http, PATH).await {
            Ok(page) => page,
            Err(error) => {
                self.verdict.add(&when, [Finding::ScrapeFailed { why: error.to_string() }]);
                return;
            }
        };
        let ended = self.shared.ledger.now();
        self.scraped.push(Scraped {
            took: ended - requested,
            bytes: page.len(),
            samples: page.lines().filter(|line| !line.starts_with('#')).count(),
            cpu: cpu().zip(cpu_before).map(|(after, before)| after.saturating_sub(before)),
            reports: get(&self.shared.tally.reports) - reports_before,
        });
        tokio::time::sleep(HEARSAY).await;
        let shared = self.shared.clone();
        let window = Window { requested, ended };
        // Reading a large page would hold up agents, whose lag is what is measured.
        let judged =
            tokio::task::spawn_blocking(move || judge(&page, &shared.ledger.snapshot(), window));
        match judged.await {
            Ok(findings) => {
                self.verdict.checked("pages", 1);
                self.verdict.add(&when, findings);
            }
            Err(error) => {
                self.verdict.add(&when, [Finding::ScrapeFailed { why: error.to_string() }])
            }
        }
    }
}
