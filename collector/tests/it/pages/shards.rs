//! Shards of pages: each agent is in one shard, and all shards together are the page.

use std::collections::BTreeSet;

use super::OPENMETRICS;
use crate::support::agent::{Agent, identity};
use crate::support::collector::Collector;
use crate::support::frames::gauges;

/// Starts a collector with `size` agents that report two gauges each.
fn fleet(size: usize) -> (Collector, Vec<Agent>) {
    let collector = Collector::start();
    let join = |n| {
        let id = format!("host-{n}");
        Agent::join(collector.agents, &identity(&id), &gauges(&["load", "heat"]), &[n as f64, 0.5])
    };
    let agents = (0..size).map(join).collect();
    (collector, agents)
}

fn samples(page: &str) -> impl Iterator<Item = &str> {
    page.lines().filter(|line| !line.starts_with('#'))
}

/// Returns the name and the agent's labels of a line, without its value.
fn series(line: &str) -> &str {
    line.rsplit_once(' ').map_or(line, |(series, _)| series)
}

#[test]
fn shards_together_are_the_page() {
    let (collector, _agents) = fleet(50);
    for path in ["/metrics", "/metrics/agents"] {
        let page = collector.page_at(path).0;
        let whole: BTreeSet<_> = samples(&page).map(series).collect();
        for shards in [1, 2, 4, 7, 64, 100, 1024] {
            let parts: Vec<String> = (0..shards)
                .map(|shard| {
                    let path = format!("{path}?shard={shard}&shards={shards}");
                    collector.page_at(&path).0
                })
                .collect();
            let mut together = BTreeSet::new();
            for line in parts.iter().flat_map(|part| samples(part)) {
                assert!(together.insert(series(line)), "{line} is there twice");
            }
            assert_eq!(together, whole, "{path} in {shards}");
            if shards == 4 {
                assert!(parts.iter().all(|part| part.contains("agent=")), "empty shard");
            }
        }
    }
}

#[test]
fn all_series_of_an_agent_are_in_one_shard() {
    let (collector, _agents) = fleet(20);
    for shard in 0..7 {
        let page = collector.page_at(&format!("/metrics/agents?shard={shard}&shards=7"));
        for n in 0..20 {
            assert!([0, 2].contains(&page.values_of(&format!("host-{n}")).len()));
        }
    }
}

#[test]
fn shard_without_agents_is_an_empty_page() {
    let (collector, _agents) = fleet(0);
    assert_eq!(collector.page_at("/metrics/agents?shard=3&shards=4").0, "");
    let answer = collector.get("/metrics?shard=3&shards=4", &[OPENMETRICS]);
    assert_eq!(answer.text(), "# EOF\n");
}

#[test]
fn invalid_shard_query_returns_400() {
    let (collector, _agents) = fleet(1);
    for (path, part) in [
        ("/metrics?shard=4&shards=4", "from 0 to 3"),
        ("/metrics/agents?shard=0&shards=1025", "from 1 to 1024"),
        ("/metrics/agents?shards=4", "must be given together"),
        ("/metrics/agents?shrad=1", "this page takes shard, shards"),
        ("/metrics/agents/host-0?shard=0&shards=1", "this page takes no parameters"),
        ("/metrics/self?shard=0&shards=1", "this page takes no parameters"),
    ] {
        let answer = collector.get(path, &[]);
        assert_eq!((answer.status, answer.whole), (400, true), "{path}");
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        let text = answer.text();
        assert!(text.contains(part) && text.lines().count() == 1, "{path}: {text}");
    }
    assert_eq!(collector.page().values_of("host-0"), [0.5, 0.0]);
}
