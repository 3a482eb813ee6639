//! Counts the agents on whole pages without judging them.
//!
//! Judging a page of millions of series takes seconds, and a reader that judges while it reads
//! slows the collector down. Counting takes less time than the collector needs to write the page.

use std::io::BufRead;
use std::net::SocketAddr;

use tokio::task::JoinSet;

use crate::host_profile::HostProfile;
use crate::scrape;

/// Path of the page with the series of agents.
const PATH: &str = "/metrics/agents";

/// Fetches the pages of all collectors at once. Returns the number of agents on them when all have
/// arrived completely. A page that cannot be fetched shows no agents.
pub(super) async fn count(collectors: &[SocketAddr], profile: HostProfile) -> u64 {
    let mut pages = JoinSet::new();
    for http in collectors.iter().copied() {
        let mut counter = LineCounter::new(&profile.lasting_sample());
        pages.spawn(async move {
            let fetched = scrape::fetch_into(http, PATH, |piece| counter.push(piece)).await;
            fetched.map_or(0, |_| counter.lines)
        });
    }
    pages.join_all().await.into_iter().sum()
}

/// Counts the samples with one name on a page that arrives in pieces.
struct LineCounter {
    /// Start of the lines to count.
    start: Vec<u8>,
    lines: u64,
    /// A line whose end has not arrived yet.
    partial_line: Vec<u8>,
}

impl LineCounter {
    fn new(sample: &str) -> Self {
        let start = format!("{sample}{{").into_bytes();
        Self { start, lines: 0, partial_line: Vec::new() }
    }

    fn push(&mut self, mut piece: &[u8]) {
        if !self.partial_line.is_empty() {
            // Reading from memory does not fail.
            let _ = piece.read_until(b'\n', &mut self.partial_line);
            if !self.partial_line.ends_with(b"\n") {
                return;
            }
            self.lines += u64::from(self.partial_line.starts_with(&self.start));
            self.partial_line.clear();
        }
        while !piece.is_empty() {
            let mut rest = piece;
            let _ = rest.skip_until(b'\n');
            let line = &piece[..piece.len() - rest.len()];
            if line.ends_with(b"\n") {
                self.lines += u64::from(line.starts_with(&self.start));
            } else {
                self.partial_line.extend_from_slice(line);
            }
            piece = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_in_pieces_of_any_size() {
        let page = "# TYPE a gauge\na{b=\"1\"} 1\na{b=\"2\"} 1\n# TYPE ab gauge\nab{b=\"1\"} 1\n\
                    # TYPE c gauge\nc{a=\"a{b\"} 2\na{b=\"3\"}";
        for size in 1..=page.len() {
            let mut counter = LineCounter::new("a");
            page.as_bytes().chunks(size).for_each(|piece| counter.push(piece));
            assert_eq!(counter.lines, 2, "{size}");
            counter.push(b" 1\n");
            assert_eq!(counter.lines, 3, "{size}");
        }
    }
}
