//! Service discovery for Prometheus.

use std::collections::BTreeMap;

use fleetgauge_collector::http::scrape_target::ScrapeTarget;
use fleetgauge_proto::message::Label;
use serde_json::{Value, json};

use crate::support::agent::{Agent, Identity, identity};
use crate::support::collector::{Collector, config};
use crate::support::eventually;
use crate::support::frames::gauges;
use crate::support::http::{self, Answer};

const AWKWARD: &str = "C:\\new\n\"quoted\", x=\"1\" – ü";

fn list(answer: &Answer) -> Value {
    assert_eq!((answer.status, answer.whole), (200, true), "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    serde_json::from_slice(&answer.body).unwrap()
}

/// Returns the targets of `/sd/agents`, by `instance` label.
fn agents(collector: &Collector) -> BTreeMap<String, Value> {
    let list = list(&collector.get("/sd/agents", &[]));
    let groups = list.as_array().unwrap();
    groups
        .iter()
        .map(|group| (group["labels"]["instance"].as_str().unwrap().to_owned(), group.clone()))
        .collect()
}

#[test]
fn sd_lists_the_page_or_its_shards() {
    let collector = Collector::start();
    let whole = json!([{"targets": ["test"], "labels": {"__metrics_path__": "/metrics/agents"}}]);
    assert_eq!(list(&collector.get("/sd", &[])), whole);
    let part = |shard: &str| {
        let labels = json!({
            "__metrics_path__": "/metrics/agents", "__param_shard": shard, "__param_shards": "3",
        });
        json!({"targets": ["test"], "labels": labels})
    };
    let parts = list(&collector.get("/sd?shards=3", &[]));
    assert_eq!(parts, json!([part("0"), part("1"), part("2")]));
    assert_eq!(list(&collector.get("/sd?shards=1024", &[])).as_array().unwrap().len(), 1024);
    for path in ["/sd?shards=0", "/sd?shards=1025", "/sd?shards=", "/sd?shard=1", "/sd/agents?x"] {
        assert_eq!(collector.get(path, &[]).status, 400, "{path}");
    }
}

#[test]
fn sd_agents_lists_every_connected_agent() {
    let collector = Collector::start();
    assert_eq!(list(&collector.get("/sd/agents", &[])), json!([]));
    let site = Label { name: "site", value: AWKWARD };
    let labelled = Identity { labels: vec![site], ..identity("B.example:9_x") };
    let catalog = gauges(&["up"]);
    let mut held = BTreeMap::new();
    held.insert("B.example:9_x".to_owned(), {
        Agent::join(collector.agents, &labelled, &catalog, &[1.0])
    });
    for n in 0..200 {
        let id = format!("host-{n}");
        let agent = Agent::join(collector.agents, &identity(&id), &catalog, &[1.0]);
        held.insert(id, agent);
    }
    let targets = agents(&collector);
    assert!(targets.keys().eq(held.keys()));
    let expected = json!({"targets": ["test"], "labels": {
        "__metrics_path__": "/metrics/agents/B.example:9_x",
        "__meta_fleetgauge_label_site": AWKWARD,
        "instance": "B.example:9_x",
    }});
    assert_eq!(targets["B.example:9_x"], expected);
    for group in targets.values() {
        let path = group["labels"]["__metrics_path__"].as_str().unwrap();
        assert_eq!(collector.page_at(path).samples().count(), 1, "{path}");
    }
    held.remove("host-7");
    eventually("the agent is no longer a target", || !agents(&collector).contains_key("host-7"));
    assert!(agents(&collector).keys().eq(held.keys()));
}

#[test]
fn targets_have_the_host_of_the_request_or_the_advertised_one() {
    let ask = |collector: &Collector, head: &str| {
        let mut stream = std::net::TcpStream::connect(collector.http).unwrap();
        std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut stream, &mut bytes).unwrap();
        http::parse(&bytes, false)
    };
    let head = |host: &str| format!("GET /sd HTTP/1.1\r\nConnection: close\r\n{host}\r\n");
    let collector = Collector::start();
    for host in ["[::1]:1234", "metrics.example.com:80", "10.0.0.1"] {
        let answer = ask(&collector, &head(&format!("Host: {host}\r\n")));
        assert_eq!(list(&answer)[0]["targets"], json!([host]));
    }
    for host in ["", "Host:\r\n", "Host: a b\r\n", "Host: a/../b\r\n", "Host: \u{fc}\r\n"] {
        let answer = ask(&collector, &head(host));
        assert_eq!(answer.status, 400, "{host:?}");
        assert!(answer.text().contains("--advertise"), "{}", answer.text());
    }
    let mut config = config();
    config.advertise = ScrapeTarget::try_new("metrics.example.com:9999");
    let collector = Collector::with(config);
    for host in ["", "Host: elsewhere:1\r\n"] {
        let targets = &list(&ask(&collector, &head(host)))[0]["targets"];
        assert_eq!(*targets, json!(["metrics.example.com:9999"]));
    }
}
