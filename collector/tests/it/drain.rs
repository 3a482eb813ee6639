//! `/api/drain`: operators move agents to another collector.

use std::net::SocketAddr;

use fleetgauge_collector::Config;
use fleetgauge_proto::Message;
use fleetgauge_proto::message::{Bye, ByeReason};
use serde_json::{Value, json};

use crate::support::agent::{Agent, Received, identity};
use crate::support::collector::{Collector, config};
use crate::support::eventually;
use crate::support::frames::{frame, gauges};
use crate::support::http::{self, Answer};
use crate::support::secrets::{Files, entry};

const READS: &str = "Authorization: Bearer reads";
const DRAINS: &str = "Authorization: Bearer drains";

/// A collector with a user that may drain, and one that may not.
fn start(files: &Files) -> Collector {
    let users = entry("user = 'prometheus'", &["reads"], "may_forget = true")
        + &entry("user = 'ops'", &["drains"], "may_drain = true");
    let users = files.write("users", &users);
    let flags = fleetgauge_collector::config::Flags::default()
        .with("listen", "127.0.0.1:0")
        .with("http_listen", "127.0.0.1:0")
        .with("http_credentials", users.to_str().unwrap());
    Collector::with(Config { drain: config().drain, ..Config::try_new(flags).unwrap() })
}

fn post(collector: &Collector, query: &str, headers: &[&str]) -> Answer {
    http::request(collector.http, "POST", &format!("/api/drain{query}"), headers)
}

fn drain(collector: &Collector, query: &str) -> Value {
    let answer = post(collector, query, &[DRAINS]);
    assert_eq!((answer.status, answer.whole), (200, true), "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    serde_json::from_slice(&answer.body).unwrap()
}

fn join(address: SocketAddr, id: &str) -> Agent {
    Agent::join(address, &identity(id), &gauges(&["load"]), &[1.0])
}

fn connected(collector: &Collector) -> usize {
    let page = collector.get("/api/agents", &[READS]).text();
    let page: Value = serde_json::from_str(&page).unwrap();
    page["agents"].as_array().unwrap().len()
}

/// Leaves as Drain asks, for its target.
fn follow(mut agent: Agent, id: &str) -> Agent {
    let Received::Drain { delay_ms: 0..=4, target: Some(target) } = agent.receive() else {
        panic!("not asked to leave for another collector")
    };
    agent.send(&frame(&Message::Bye(Bye { stream: 0, reason: ByeReason::Drained as u8 })));
    join(target.parse().unwrap(), id)
}

#[test]
fn drained_agents_move_and_are_not_down() {
    let (files, other_files) = (Files::new(), Files::new());
    let (one, other) = (start(&files), start(&other_files));
    let ids: Vec<_> = (0..20).map(|n| format!("a{n}")).collect();
    let mut agents: Vec<_> = ids.iter().map(|id| Some(join(one.agents, id))).collect();
    let half = format!("?target={}&share=0.5&over=0s", other.agents);
    let asked = drain(&one, &half)["agents"].as_u64().unwrap();
    assert!((1..20).contains(&asked), "{asked}");
    let asked = usize::try_from(asked).unwrap();
    // The same agents again: each gets a second Drain.
    assert_eq!(drain(&one, &half)["agents"].as_u64().unwrap() as usize, asked);
    let all = format!("?target={}&over=0s", other.agents);
    assert_eq!(drain(&one, &all), json!({"agents": 20, "seconds": 0.004}));
    for (agent, id) in agents.iter_mut().zip(&ids) {
        *agent = agent.take().map(|agent| follow(agent, id));
    }
    eventually("all agents have moved", || (connected(&one), connected(&other)) == (0, 20));
    let roster = one.get("/metrics/roster", &[READS]).text();
    assert!(!roster.contains("fleetgauge_agent_up{"), "{roster}");
    let departed = one.get("/api/departed", &[READS]).text();
    assert_eq!(departed.matches("\"reason\":\"bye\"").count(), 20, "{departed}");
    drop(agents);
}

#[test]
fn drain_without_target_leaves_the_choice_to_the_agent() {
    let files = Files::new();
    let collector = start(&files);
    let mut agent = join(collector.agents, "a");
    assert_eq!(drain(&collector, ""), json!({"agents": 1, "seconds": 10}));
    let Received::Drain { delay_ms, target: None } = agent.receive() else {
        panic!("not asked to leave")
    };
    assert!(delay_ms < 10_000);
    agent.report(&[2.0]);
    eventually("the agent still reports", || {
        collector.get("/metrics/agents", &[READS]).text().contains(" 2\n")
    });
    assert_eq!(connected(&collector), 1, "an agent that stays is kept");
}

#[test]
fn user_without_may_drain_gets_403() {
    let files = Files::new();
    let collector = start(&files);
    let mut agent = join(collector.agents, "a");
    for (headers, status) in [(&[READS][..], 403), (&[], 401), (&["Authorization: Bearer x"], 401)]
    {
        assert_eq!(post(&collector, "", headers).status, status, "{headers:?}");
    }
    assert_eq!(collector.get("/api/drain", &[DRAINS]).status, 405);
    let open = Collector::start();
    let answer = post(&open, "", &[]);
    assert_eq!(answer.status, 403, "off by default");
    assert!(answer.text().contains("may_drain"), "{}", answer.text());
    agent.settle();
}

/// A browser sends the credentials of basic authentication with a form of any web site.
#[test]
fn cross_site_post_of_a_browser_is_refused() {
    let files = Files::new();
    let collector = start(&files);
    let answer = post(&collector, "", &[DRAINS, "Origin: https://evil.example"]);
    assert_eq!((answer.status, answer.whole), (403, true));
    assert_eq!(post(&collector, "", &[DRAINS, "Origin: null"]).status, 403);
}

#[test]
fn invalid_drain_query_returns_400() {
    let files = Files::new();
    let collector = start(&files);
    for (query, part) in [
        ("share=0", "above 0 and at most 1"),
        ("share=1.5", "above 0 and at most 1"),
        ("share=NaN", "above 0 and at most 1"),
        ("target=", "must be HOST:PORT"),
        ("target=collector", "must be HOST:PORT"),
        ("target=http://c:1", "must be HOST:PORT"),
        ("over=30", "from 0s to 1h"),
        ("over=2h", "from 0s to 1h"),
        ("shares=2", "this page takes target, share, over"),
        ("share=1&share=1", "duplicate parameter"),
    ] {
        let answer = post(&collector, &format!("?{query}"), &[DRAINS]);
        assert_eq!((answer.status, answer.whole), (400, true), "{query}");
        assert!(answer.text().contains(part), "{query}: {}", answer.text());
    }
}
