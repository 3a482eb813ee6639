//! `/api/agents`: the list of connected agents as JSON.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use fleetgauge_proto::message::Label;
use serde_json::{Value, json};

use crate::support::agent::{Agent, Identity, identity};
use crate::support::collector::{Collector, unpaced};
use crate::support::eventually;
use crate::support::frames::{add_disks, disks, gauges};

fn page(collector: &Collector, query: &str) -> Value {
    let answer = collector.get(&format!("/api/agents{query}"), &[]);
    assert_eq!((answer.status, answer.whole), (200, true), "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    serde_json::from_slice(&answer.body).unwrap()
}

fn ids(page: &Value) -> Vec<String> {
    let agents = page["agents"].as_array().unwrap();
    agents.iter().map(|agent| agent["id"].as_str().unwrap().to_owned()).collect()
}

fn fleet(collector: &Collector, size: usize) -> BTreeMap<String, Agent> {
    let join = |n| {
        let id = format!("host-{n}");
        let agent = Agent::join(collector.agents, &identity(&id), &gauges(&["up"]), &[1.0]);
        (id, agent)
    };
    (0..size).map(join).collect()
}

#[test]
fn series_and_rows_of_an_agent_are_listed() {
    let collector = Collector::with(unpaced());
    let mut agent = Agent::join(collector.agents, &identity("a"), &disks(), &[1.0]);
    let listed = || page(&collector, "")["agents"][0].clone();
    assert_eq!((&listed()["series"], &listed()["rows"]), (&json!(1), &json!(0)));
    agent.send(&add_disks(&["sda", "sdb"]));
    agent.report(&[1.0; 5]);
    eventually("rows are listed", || listed()["rows"] == 2);
    assert_eq!(listed()["series"], 5);
}

#[test]
fn agent_is_listed_with_all_fields() {
    let collector = Collector::with(unpaced());
    assert_eq!(page(&collector, ""), json!({"agents": [], "next": null}));
    let unix = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let begun = unix();
    let site = Label { name: "site", value: "a \"b\"\\\n" };
    let identity = Identity { labels: vec![site], ..identity("B.example:9_x") };
    let mut agent =
        Agent::join(collector.agents, &identity, &gauges(&["heat", "load"]), &[1.0, 2.0]);
    let listed = page(&collector, "")["agents"][0].clone();
    for time in ["since", "last_report"] {
        let at = listed[time].as_u64().unwrap();
        assert!((begun - 1..=unix()).contains(&at), "{time}: {listed}");
    }
    let expected = json!({
        "id": "B.example:9_x",
        "labels": {"site": "a \"b\"\\\n"},
        "address": agent.stream.local_addr().unwrap().to_string(),
        "since": listed["since"],
        "last_report": listed["last_report"],
        "version": "test",
        "series": 2,
        "rows": 0,
    });
    assert_eq!(listed, expected);
    let before = listed["last_report"].as_u64().unwrap();
    eventually("a later report is seen", || {
        agent.report(&[1.0, 2.0]);
        page(&collector, "")["agents"][0]["last_report"].as_u64().unwrap() > before
    });
    drop(agent);
    eventually("the session has ended", || {
        page(&collector, "") == json!({"agents": [], "next": null})
    });
}

#[test]
fn cursors_list_every_agent_once() {
    let collector = Collector::start();
    let held = fleet(&collector, 150);
    let whole = page(&collector, "");
    assert!(whole["next"].is_null());
    for limit in [1, 7, 149, 150, 10_000] {
        let mut listed = Vec::new();
        let mut query = format!("?limit={limit}");
        loop {
            let page = page(&collector, &query);
            let new = ids(&page);
            assert!(new.len() <= limit && !new.is_empty());
            listed.extend(new);
            let Some(next) = page["next"].as_str() else { break };
            query = format!("?limit={limit}&after={next}");
        }
        assert_eq!(listed, ids(&whole), "{limit} at a time");
    }
    let mut sorted = ids(&whole);
    sorted.sort();
    assert!(sorted.iter().eq(held.keys()));
}

/// An agent that stays connected is listed exactly once, even if the agent of the cursor
/// disconnects.
#[test]
fn listing_survives_connects_and_disconnects() {
    let collector = Collector::start();
    let mut held = fleet(&collector, 60);
    let order = ids(&page(&collector, ""));
    let first = page(&collector, "?limit=20");
    assert_eq!(ids(&first), order[..20]);
    let next = first["next"].as_str().unwrap();
    assert_eq!(next, order[19]);
    for gone in [3, 19, 20, 40] {
        held.remove(&order[gone]);
    }
    eventually("they have gone", || {
        collector.metric("fleetgauge_agents_connected") == held.len() as f64
    });
    let new = Agent::join(collector.agents, &identity("new"), &gauges(&["up"]), &[1.0]);
    let rest = ids(&page(&collector, &format!("?after={next}")));
    let rest: Vec<_> = rest.iter().filter(|id| *id != "new").collect();
    let stayed = order[20..].iter().filter(|id| held.contains_key(*id));
    assert_eq!(rest, stayed.collect::<Vec<_>>());
    drop(new);
}

#[test]
fn invalid_list_query_returns_400() {
    let collector = Collector::start();
    for (query, part) in [
        ("limit=0", "from 1 to 10000"),
        ("limit=10001", "from 1 to 10000"),
        ("limit=-1", "from 1 to 10000"),
        ("after=", "invalid after="),
        ("after=a%20b", "invalid after="),
        ("page=2", "this page takes limit, after"),
    ] {
        let answer = collector.get(&format!("/api/agents?{query}"), &[]);
        assert_eq!((answer.status, answer.whole), (400, true), "{query}");
        assert!(answer.text().contains(part), "{}", answer.text());
    }
    assert_eq!(page(&collector, "?after=nobody")["agents"], json!([]));
}
