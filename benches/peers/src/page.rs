//! What a page with all hosts' newest values costs its server.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::measure::Idle;
use crate::server::Server;

/// Pages are asked for until they have cost this much CPU time,
const PAGES_CPU: Duration = Duration::from_millis(300);
/// or for this long.
const PAGES_TIME: Duration = Duration::from_secs(3);

/// What a page cost.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PageFigures {
    /// Uncompressed.
    pub plain: PageCost,
    /// Compressed, where the program does that.
    pub gzip: Option<PageCost>,
    /// Lines that are neither blank nor comments.
    pub samples: usize,
}

/// What a page cost in one form.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PageCost {
    /// CPU time of the server, in milliseconds.
    pub cpu_ms: f64,
    /// Its size.
    pub bytes: usize,
}

/// What the page costs, plain and compressed, beside what idling takes.
///
/// # Errors
/// The server does not show it.
pub async fn page(server: &Server, idle: Idle) -> anyhow::Result<PageFigures> {
    let page = server.page(false).await?.text();
    let samples = page.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
    let plain = page_cost(server, idle, false).await?;
    let compressed = server.page(true).await?.compressed;
    let gzip = if compressed { Some(page_cost(server, idle, true).await?) } else { None };
    Ok(PageFigures { plain, gzip, samples })
}

async fn page_cost(server: &Server, idle: Idle, gzip: bool) -> anyhow::Result<PageCost> {
    let (before, since) = (server.rest().await?, Instant::now());
    let (mut pages, mut bytes, mut used) = (0, 0, Duration::ZERO);
    while pages == 0 || (used < PAGES_CPU && since.elapsed() < PAGES_TIME) {
        bytes = server.page(gzip).await?.body.len();
        pages += 1;
        used = server.usage()?.cpu - before.cpu;
    }
    let used = idle.taken_off(used, since.elapsed());
    Ok(PageCost { cpu_ms: used.as_secs_f64() * 1e3 / f64::from(pages), bytes })
}
