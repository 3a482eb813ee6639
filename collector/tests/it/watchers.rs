//! Streams that keep open pages up to date.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;

use fleetgauge_proto::message::Label;
use serde_json::Value;

use crate::support::agent::{Agent, Identity, identity};
use crate::support::collector::{Collector, config, unpaced};
use crate::support::eventually;
use crate::support::frames::gauges;
use crate::support::http;

/// Accept header of a browser's EventSource.
const EVENTS: &str = "Accept: text/event-stream";
/// Streams at once with default settings: a quarter of the connections.
const MAX_WATCHERS: usize = 16;
const HEADLINES: [&str; 3] =
    ["host_cpu_usage_ratio", "host_memory_usage_ratio", "host_filesystem_usage_ratio"];

/// A browser with an open page.
struct Browser {
    stream: BufReader<TcpStream>,
    head: String,
    lines: Vec<String>,
}

impl Browser {
    fn open(collector: &Collector, path: &str) -> Self {
        let mut stream = BufReader::new(http::send(collector.http, "GET", path, &[EVENTS]));
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(stream.read_line(&mut head).unwrap() > 0, "{head}");
        }
        Self { stream, head, lines: Vec::new() }
    }

    fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// Returns the next chunk; `None` at the end of the stream.
    fn chunk(&mut self) -> Option<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        let mut chunk = vec![0; usize::from_str_radix(line.trim(), 16).unwrap_or(0) + 2];
        self.stream.read_exact(&mut chunk).ok()?;
        let chunk = String::from_utf8(chunk).unwrap();
        (chunk != "\r\n").then(|| chunk.trim_end_matches("\r\n").to_owned())
    }

    /// Applies the next change. Returns the lines that it sets; `None` at the end of the stream.
    fn change(&mut self) -> Option<BTreeMap<usize, String>> {
        let chunk = self.chunk()?;
        let Some(change) = chunk.strip_prefix("data: ") else { return Some(BTreeMap::new()) };
        assert!(change.ends_with("\n\n") && change.matches('\n').count() == 2, "{change:?}");
        let change: Value = serde_json::from_str(change).unwrap();
        let count = change["lines"].as_u64().unwrap().try_into().unwrap();
        let set: BTreeMap<usize, String> =
            serde_json::from_value::<Vec<_>>(change["set"].clone()).unwrap().into_iter().collect();
        self.lines.resize(count, String::new());
        for (index, line) in &set {
            self.lines[*index].clone_from(line);
        }
        Some(set)
    }

    /// Applies changes until the page contains a text.
    fn wait_for(&mut self, text: &str) -> BTreeMap<usize, String> {
        for _ in 0..60 {
            let set = self.change().expect("the stream goes on");
            if self.page().contains(text) {
                return set;
            }
        }
        panic!("no {text:?} in {}", self.page());
    }

    fn page(&self) -> String {
        self.lines.join("\n")
    }
}

fn join(collector: &Collector, id: &str, values: [f64; 3]) -> Agent {
    let labels = vec![Label { name: "role", value: "db" }];
    let identity = Identity { labels, ..identity(id) };
    Agent::join(collector.agents, &identity, &gauges(&HEADLINES), &values)
}

fn wait_for_agents(collector: &Collector, count: usize) {
    eventually("all agents are listed", || {
        let list = collector.get("/api/search", &[]).text();
        list.contains(&format!("\"found\":{count},"))
    });
}

#[test]
fn open_page_gets_only_the_rows_that_change() {
    let collector = Collector::with(unpaced());
    let _agents = ["a", "b", "c"].map(|id| join(&collector, id, [0.25; 3]));
    wait_for_agents(&collector, 3);
    let mut browser = Browser::open(&collector, "/agents");
    let head = browser.head.to_ascii_lowercase();
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
    browser.wait_for("25 %");
    let [_, mut b, _] = _agents;
    b.report(&[0.75, 0.25, 0.25]);
    let set = browser.wait_for("75 %");
    assert_eq!(set.len(), 1, "{set:?}");
    let row = set.values().next().unwrap();
    assert!(row.starts_with("<tr>") && row.contains("/agents/b"), "{row}");
    drop(b);
    browser.wait_for("class=\"state missing\"");
}

#[test]
fn streams_have_the_content_of_their_pages() {
    let collector = Collector::with(unpaced());
    let _agent = join(&collector, "db-1", [0.25; 3]);
    wait_for_agents(&collector, 1);
    for (path, text) in [
        ("/", "<h1>Fleet</h1>"),
        ("/agents?q=none", "No agent matches"),
        ("/agents/db-1", "host_cpu_usage_ratio"),
        ("/agents/db-1?filter=memory", "host_memory_usage_ratio"),
        ("/agents/nobody", "no agent with this id"),
    ] {
        let mut browser = Browser::open(&collector, path);
        assert_eq!(browser.status(), 200, "{path}");
        browser.wait_for(text);
        assert!(!browser.page().contains("<html"), "{path}");
    }
    for path in ["/?q=a", "/agents?sort=color", "/agents?cpu=1"] {
        assert_eq!(collector.get(path, &[EVENTS]).status, 400, "{path}");
    }
}

/// Each browser of a page opens a stream.
#[test]
fn ten_thousand_streams_are_refused_beyond_the_limit() {
    let collector = Collector::start();
    let mut open = Vec::new();
    while open.len() < MAX_WATCHERS {
        let mut browser = Browser::open(&collector, "/");
        // A stream whose client has left ends a moment later.
        if browser.status() == 200 {
            browser.wait_for("<h1>Fleet</h1>");
            open.push(browser);
        }
    }
    for _ in MAX_WATCHERS..10_000 {
        let refused = collector.get("/", &[EVENTS]);
        assert_eq!((refused.status, refused.whole), (503, true), "{}", refused.text());
    }
    assert_eq!(collector.metric("fleetgauge_http_watchers"), 16.0);
    assert_eq!(collector.metric("fleetgauge_http_watchers_refused_total"), 9_984.0);
    assert_eq!(collector.get("/metrics", &[]).status, 200);
    for browser in &mut open {
        browser.change().expect("the stream goes on");
    }
    // The place of a client that leaves is free again.
    drop(open.pop());
    eventually("a stream is free", || Browser::open(&collector, "/").status() == 200);
}

/// A stream holds no connection that a scrape needs.
#[test]
fn stream_on_the_only_connection_gives_way_to_a_scrape() {
    let mut config = config();
    config.bounds.http_connections = 1;
    let collector = Collector::with(config);
    let mut browser = Browser::open(&collector, "/");
    browser.wait_for("<h1>Fleet</h1>");
    assert_eq!(collector.get("/metrics", &[]).status, 200);
}

#[test]
fn browser_that_never_reads_is_cut() {
    let collector = Collector::with_fixed_buffers(unpaced());
    let value = "v".repeat(1_000);
    let labels = vec![Label { name: "role", value: &value }];
    let mut agents: Vec<_> = (0..100)
        .map(|n| {
            let id = format!("{n:0>100}");
            let identity = Identity { labels: labels.clone(), ..identity(&id) };
            Agent::join(collector.agents, &identity, &gauges(&HEADLINES), &[0.5; 3])
        })
        .collect();
    wait_for_agents(&collector, 100);
    let stream = http::send(collector.http, "GET", "/agents", &[EVENTS]);
    let mut round = 0.0;
    eventually("the stream is cut", || {
        round += 1.0;
        for agent in &mut agents {
            agent.report(&[(round / 100.0) % 1.0; 3]);
        }
        collector.metric("fleetgauge_http_watchers_cut_total") == 1.0
    });
    assert_eq!(collector.metric("fleetgauge_http_watchers"), 0.0);
    drop(stream);
}

#[test]
fn stopping_collector_ends_its_streams() {
    let mut collector = Collector::start();
    let mut browser = Browser::open(&collector, "/");
    browser.wait_for("<h1>Fleet</h1>");
    collector.stop();
    while browser.change().is_some() {}
    collector.join();
}
