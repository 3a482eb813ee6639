//! A proxy that changes the collector's pages.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Fault, ONE_IN, PageHooks};
use crate::scrape;
use crate::sim_values::{agent_name, agent_number};

/// Remainder, modulo [`ONE_IN`], of the agents that are affected.
const VICTIM: u32 = 3;
/// Silence after which the impatient collector removes an agent. Above the test's interval of 5 s,
/// so that reporting agents stay; below 9.75 s, before which no agent may be removed.
const IMPATIENCE: Duration = Duration::from_secs(6);
/// Time for which a page stalls all agents.
pub const STALL: Duration = Duration::from_secs(2);
/// Start of the TYPE lines of the families of simulated agents.
const SIMULATED_TYPE: &str = "# TYPE sim";
/// Maximum request head, in bytes.
const MAX_HEAD_BYTES: usize = 8_192;

/// Serves pages in place of the collector at `upstream`, one at a time.
pub(super) async fn serve(
    listener: TcpListener,
    upstream: SocketAddr,
    fault: Fault,
    hooks: Arc<PageHooks>,
) {
    let mut faulty = FaultyPages { fault, rows: HashMap::new() };
    while let Ok((mut stream, _)) = listener.accept().await {
        let Some(request) = Request::read(&mut stream).await else { continue };
        hooks.pages.send_modify(|pages| *pages += 1);
        let stalled = match fault {
            Fault::Stall => Some(hooks.gate.write().await),
            _ => None,
        };
        if stalled.is_some() {
            tokio::time::sleep(STALL).await;
        }
        let page = scrape::fetch(upstream, &request.path).await;
        drop(stalled);
        let answer = faulty.answer(&page.unwrap_or_default(), request.gzip);
        // Fails only if the client has closed the connection.
        let _ = stream.write_all(&answer).await;
        let _ = stream.shutdown().await;
    }
}

/// A request for a page.
struct Request {
    path: String,
    gzip: bool,
}

impl Request {
    async fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let read = stream.read_buf(&mut head).await.ok()?;
            if read == 0 || head.len() > MAX_HEAD_BYTES {
                return None;
            }
        }
        let head = String::from_utf8(head).ok()?;
        let path = head.split(' ').nth(1)?.to_owned();
        let gzip = head.to_ascii_lowercase().contains("\r\naccept-encoding: gzip\r\n");
        Some(Self { path, gzip })
    }
}

/// Renders faulty pages. Some faults depend on earlier pages.
struct FaultyPages {
    fault: Fault,
    /// Lines of each agent on the latest page with the agent, and the time of their last change.
    rows: HashMap<u32, (String, Instant)>,
}

impl FaultyPages {
    /// Returns the whole response, compressed if the request accepts gzip.
    fn answer(&mut self, page: &str, gzip: bool) -> Vec<u8> {
        let mut body = self.corrupt(page).into_bytes();
        if gzip {
            body = compressed(&body).unwrap_or_default();
            if self.fault == Fault::BadTrailer {
                // The last eight bytes are checksum and length.
                body.iter_mut().rev().take(8).for_each(|byte| *byte ^= 0xff);
            }
        }
        let encoding = if gzip { "Content-Encoding: gzip\r\n" } else { "" };
        let len = body.len();
        let mut answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
             {encoding}Content-Length: {len}\r\nConnection: close\r\n\r\n",
        )
        .into_bytes();
        answer.append(&mut body);
        answer
    }

    fn corrupt(&mut self, page: &str) -> String {
        match self.fault {
            Fault::Leftover | Fault::Missing | Fault::Impatient => self.corrupt_presence(page),
            Fault::Shuffled => {
                let mut lines: Vec<_> = page.split_inclusive('\n').collect();
                fastrand::shuffle(&mut lines);
                lines.concat()
            }
            Fault::CutOff => page.trim_end_matches('\n').to_owned(),
            Fault::NoType => {
                let is_type = |line: &&str| line.starts_with(SIMULATED_TYPE);
                let dropped = page.split_inclusive('\n').filter(is_type).nth(1);
                dropped.map_or_else(|| page.to_owned(), |dropped| page.replace(dropped, ""))
            }
            Fault::BadLabel => page.replacen("\"} ", "\",ra-ck=\"1\"} ", 1),
            Fault::Foreign => {
                format!("{page}# TYPE foreign_value gauge\nforeign_value{{host=\"web-1\"}} 1\n")
            }
            Fault::SwappedLabels => with_swapped_labels(page),
            Fault::Torn => self.tear(page),
            Fault::RemovedRow => self.keep_rows(page),
            _ => page.to_owned(),
        }
    }

    fn corrupt_presence(&mut self, page: &str) -> String {
        let mut rows = HashMap::<u32, String>::new();
        for line in page.split_inclusive('\n') {
            if let Some(agent) = agent_of(line) {
                rows.entry(agent).or_default().push_str(line);
            }
        }
        let now = Instant::now();
        for (agent, lines) in &rows {
            let kept = self.rows.entry(*agent).or_insert_with(|| (lines.clone(), now));
            if kept.0 != *lines {
                *kept = (lines.clone(), now);
            }
        }
        let hidden = |agent: u32| match self.fault {
            Fault::Missing => is_victim(agent),
            Fault::Impatient => self.rows.get(&agent).is_some_and(|kept| kept.1 + IMPATIENCE < now),
            _ => false,
        };
        let shown = |line: &&str| agent_of(line).is_none_or(|agent| !hidden(agent));
        let mut corrupt: String = page.split_inclusive('\n').filter(shown).collect();
        if self.fault == Fault::Leftover {
            let gone = self.rows.iter().filter(|(agent, _)| !rows.contains_key(agent));
            for (_, (lines, _)) in gone.filter(|(agent, _)| is_victim(**agent)) {
                corrupt = with_series(&corrupt, lines);
            }
        }
        corrupt
    }

    /// Shows one value of the victim as on the first page with it.
    fn tear(&mut self, page: &str) -> String {
        let now = lines_of_victim(page);
        if now.is_empty() {
            return page.to_owned();
        }
        let (first, _) = self.rows.entry(VICTIM).or_insert_with(|| (now.clone(), Instant::now()));
        let changed = first.split_inclusive('\n').find_map(|old| {
            let mut lines = now.split_inclusive('\n');
            let new = lines.find(|new| series_of(new) == series_of(old) && *new != old)?;
            Some((new, old))
        });
        changed.map_or_else(|| page.to_owned(), |(new, old)| page.replacen(new, old, 1))
    }

    /// Adds the series that the victim had on an earlier page, while it has others.
    fn keep_rows(&mut self, page: &str) -> String {
        let now = lines_of_victim(page);
        if now.is_empty() {
            return page.to_owned();
        }
        let shown: HashSet<_> = now.lines().map(series_of).collect();
        let (before, _) = self.rows.entry(VICTIM).or_insert_with(|| (now.clone(), Instant::now()));
        let removed = before.split_inclusive('\n').filter(|line| !shown.contains(series_of(line)));
        let removed: String = removed.collect();
        if removed.is_empty() {
            *before = now;
            return page.to_owned();
        }
        with_series(page, &removed)
    }
}

fn lines_of_victim(page: &str) -> String {
    page.split_inclusive('\n').filter(|line| agent_of(line) == Some(VICTIM)).collect()
}

/// Returns name and labels of a line.
fn series_of(line: &str) -> &str {
    line.rsplit_once(' ').map_or(line, |(series, _)| series)
}

fn compressed(page: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(page)?;
    encoder.finish()
}

/// Adds lines to a page, each to its family; those of families that the page lacks are gauges.
#[must_use]
pub fn with_series(page: &str, lines: &str) -> String {
    let mut page: Vec<_> = page.split_inclusive('\n').map(ToOwned::to_owned).collect();
    for line in lines.split_inclusive('\n') {
        let name = line.split('{').next().unwrap_or_default();
        let head = format!("# TYPE {name} ");
        let line_index = page.iter().position(|other| other.starts_with(&head));
        let line_index = line_index.unwrap_or_else(|| {
            page.push(format!("{head}gauge\n"));
            page.len() - 1
        });
        page.insert(line_index + 1, line.to_owned());
    }
    page.concat()
}

/// Swaps the static labels of the first affected agent and of the one after it.
fn with_swapped_labels(page: &str) -> String {
    let opening = |agent| format!("agent=\"{}\"", agent_name(agent));
    let of = |agent| {
        let (_, rest) = page.split_once(&opening(agent))?;
        rest.split_once('}').map(|(labels, _)| labels)
    };
    let (Some(one), Some(other)) = (of(VICTIM), of(VICTIM + 1)) else { return page.to_owned() };
    page.replace(&format!("{}{one}", opening(VICTIM)), &format!("{}{other}", opening(VICTIM)))
        .replace(
            &format!("{}{other}", opening(VICTIM + 1)),
            &format!("{}{one}", opening(VICTIM + 1)),
        )
}

fn is_victim(agent: u32) -> bool {
    agent % ONE_IN == VICTIM
}

fn agent_of(line: &str) -> Option<u32> {
    let (_, rest) = line.split_once("agent=\"")?;
    agent_number(rest.split_once('"')?.0)
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
