//! Measures the cost of a page with the latest values of all hosts.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::measure::Idle;
use crate::server::Server;

/// CPU time after which no more pages are fetched.
const PAGES_CPU: Duration = Duration::from_millis(300);
/// Elapsed time after which no more pages are fetched.
const PAGES_TIME: Duration = Duration::from_secs(3);

/// Cost of a page.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PageFigures {
    /// Cost of the uncompressed page.
    pub plain: PageCost,
    /// Cost of the compressed page; `None` if the server does not compress.
    pub gzip: Option<PageCost>,
    /// Number of samples.
    pub samples: usize,
}

/// Cost of a page in one encoding.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PageCost {
    /// CPU time of the server, in milliseconds.
    pub cpu_ms: f64,
    /// Size of the body, in bytes.
    pub bytes: usize,
}

/// Measures the page, plain and compressed, without the CPU time of the idle server.
///
/// # Errors
/// If the server does not return the page.
pub async fn page(server: &Server, idle: Idle) -> anyhow::Result<PageFigures> {
    let page = server.page(false).await?.text();
    let samples = page.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
    let plain = page_cost(server, idle, false).await?;
    let compressed = server.page(true).await?.compressed;
    let gzip = if compressed { Some(page_cost(server, idle, true).await?) } else { None };
    Ok(PageFigures { plain, gzip, samples })
}

async fn page_cost(server: &Server, idle: Idle, gzip: bool) -> anyhow::Result<PageCost> {
    let (before, since) = (server.wait_until_idle().await?, Instant::now());
    let (mut pages, mut bytes, mut used) = (0, 0, Duration::ZERO);
    while pages == 0 || (used < PAGES_CPU && since.elapsed() < PAGES_TIME) {
        bytes = server.page(gzip).await?.body.len();
        pages += 1;
        used = server.usage()?.cpu - before.cpu;
    }
    let used = idle.subtract_from(used, since.elapsed());
    Ok(PageCost { cpu_ms: used.as_secs_f64() * 1e3 / f64::from(pages), bytes })
}
