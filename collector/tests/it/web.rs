//! Pages for people, and the same as JSON.

use fleetgauge_proto::message::Label;
use serde_json::{Value, json};

use crate::support::agent::{Agent, Identity, identity};
use crate::support::collector::{Collector, unpaced};
use crate::support::eventually;
use crate::support::frames::gauges;
use crate::support::http::Answer;

/// Accept header of a browser.
const BROWSER: &str =
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
const HEADLINES: [&str; 3] =
    ["host_cpu_usage_ratio", "host_memory_usage_ratio", "host_filesystem_usage_ratio"];

fn page(collector: &Collector, path: &str) -> String {
    let answer = collector.get(path, &[BROWSER]);
    assert_eq!((answer.status, answer.whole), (200, true), "{path}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
    answer.text()
}

fn document(collector: &Collector, path: &str) -> Value {
    let answer = collector.get(path, &[]);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
    serde_json::from_slice(&answer.body).unwrap()
}

fn join(collector: &Collector, id: &str, role: &str, values: [f64; 3]) -> Agent {
    let labels = vec![Label { name: "role", value: role }];
    let identity = Identity { labels, ..identity(id) };
    Agent::join(collector.agents, &identity, &gauges(&HEADLINES), &values)
}

fn ids(list: &Value) -> Vec<&str> {
    list["agents"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect()
}

#[test]
fn browsers_get_the_overview_and_other_clients_the_list_of_paths() {
    let collector = Collector::start();
    let html = page(&collector, "/");
    assert!(html.starts_with("<!DOCTYPE html>") && html.contains("<h1>Fleet</h1>"), "{html}");
    for accept in [&[][..], &["Accept: */*"], &["Accept: text/plain, text/html;q=0.5"]] {
        let answer = collector.get("/", accept);
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        assert!(answer.text().starts_with("fleetgauge collector\n"), "{accept:?}");
    }
}

#[test]
fn pages_show_connected_and_missing_agents() {
    let collector = Collector::with(unpaced());
    let web = join(&collector, "web-1", "web", [0.25, 0.5, 0.1]);
    let db = join(&collector, "db-1", "db", [0.95, 0.7, 0.2]);
    eventually("both agents are counted", || {
        document(&collector, "/api/overview")["agents"]["connected"] == 2
    });
    let overview = document(&collector, "/api/overview");
    let cpu = &overview["headlines"][0];
    assert_eq!(
        (&cpu["name"], &cpu["count"], &cpu["mean"]),
        (&json!("cpu"), &json!(2), &json!(0.6))
    );
    assert_eq!(cpu["bars"], json!([0, 0, 1, 0, 0, 0, 0, 0, 0, 1]));
    assert_eq!(cpu["worst"][0], json!({"id": "db-1", "value": 0.95}));
    let list = document(&collector, "/api/search?sort=cpu");
    assert_eq!(ids(&list), ["db-1", "web-1"]);
    assert_eq!(list["agents"][0]["labels"], json!({"role": "db"}));
    assert_eq!(list["agents"][0]["memory"], 0.7);
    let html = page(&collector, "/agents/db-1");
    assert!(html.contains("95 %") && html.contains("host_cpu_usage_ratio"), "{html}");
    drop(db);
    eventually("the agent is missing", || {
        document(&collector, "/api/overview")["agents"]["missing"] == 1
    });
    let missing = document(&collector, "/api/search?state=missing");
    assert_eq!(ids(&missing), ["db-1"]);
    assert_eq!(missing["agents"][0]["departed"]["reason"], "closed");
    assert!(page(&collector, "/").contains("<a href=\"/agents/db-1\">db-1</a>"));
    let gone = collector.get("/agents/db-1", &[BROWSER]);
    assert_eq!(gone.status, 404);
    assert!(gone.text().contains("It left "), "{}", gone.text());
    drop(web);
}

#[test]
fn one_agent_is_shown_as_json() {
    let collector = Collector::with(unpaced());
    let _agent = join(&collector, "a", "db", [0.5, 0.25, f64::NAN]);
    let agent = document(&collector, "/api/agents/a");
    assert_eq!((&agent["id"], &agent["series"]), (&json!("a"), &json!(3)));
    assert_eq!((&agent["cpu"], &agent["disk"]), (&json!(0.5), &Value::Null));
    assert_eq!(agent["labels"], json!({"role": "db"}));
    assert_eq!(collector.get("/api/agents/b", &[]).status, 404);
}

/// Texts of agents: labels can have any characters.
#[test]
fn labels_with_markup_and_invisible_characters_are_shown_as_text() {
    let collector = Collector::with(unpaced());
    let script = "<script>alert(1)</script>\"'&";
    let _agent = join(&collector, "a", script, [0.5; 3]);
    let reversed = "\u{202e}gpj.exe\u{0}\r\n";
    let _other = join(&collector, "b", reversed, [0.5; 3]);
    eventually("both agents are listed", || ids(&document(&collector, "/api/search")).len() == 2);
    for path in ["/agents", "/agents/a", "/agents/b", "/agents?label=role%3D%3Cscript%3E"] {
        let html = page(&collector, path);
        assert!(!html.contains("<script>alert") && !html.contains('\u{202e}'), "{path}: {html}");
        assert!(!html.contains('\0') && !html.contains('\r'), "{path}");
    }
    assert!(page(&collector, "/agents/a").contains("&lt;script&gt;"));
    assert!(page(&collector, "/agents/b").contains("\\u{202e}gpj.exe\\u{0}"));
    // JSON has them as they are.
    let found = document(&collector, "/api/search?q=gpj");
    assert_eq!(found["agents"][0]["labels"]["role"], reversed);
}

#[test]
fn page_of_agents_with_the_longest_labels_is_small() {
    let collector = Collector::with(unpaced());
    let value = "\"&<".repeat(340);
    let names: Vec<_> = (0..8).map(|n| format!("label_{n}")).collect();
    let labels: Vec<_> = names.iter().map(|name| Label { name, value: &value }).collect();
    let _agents: Vec<_> = (0..100)
        .map(|n| {
            let id = format!("{n:0>128}");
            let identity = Identity { labels: labels.clone(), ..identity(&id) };
            Agent::join(collector.agents, &identity, &gauges(&HEADLINES), &[0.5; 3])
        })
        .collect();
    eventually("all agents are listed", || document(&collector, "/api/search")["found"] == 100);
    for path in ["/", "/agents"] {
        let bytes = page(&collector, path).len();
        assert!(bytes < 300_000, "{path}: {bytes} bytes");
    }
}

#[test]
fn invalid_searches_say_what_is_valid() {
    let collector = Collector::start();
    let long = format!("q={}", "x".repeat(257));
    for (query, part) in [
        ("state=asleep", "invalid state=\"asleep\"; use up, missing or departed"),
        ("sort=color", "invalid sort=\"color\"; use id, cpu, memory or disk"),
        ("label=role", "invalid label=\"role\"; use role=db"),
        ("cpu=0.5", "invalid cpu=\"0.5\"; use 0.8..0.9"),
        ("cpu=NaN..1", "invalid cpu=\"NaN..1\""),
        ("page=0", "invalid page=\"0\"; use a number from 1"),
        ("page=99999999999", "invalid page="),
        ("q=a&q=b", "duplicate parameter q"),
        ("color=red", "unknown parameter \"color\""),
        (&long, "q is longer than 256 bytes"),
    ] {
        for path in ["/agents", "/api/search"] {
            let answer = collector.get(&format!("{path}?{query}"), &[BROWSER]);
            assert_eq!(answer.status, 400, "{path}?{query}");
            assert!(answer.text().contains(part), "{query}: {}", answer.text());
        }
    }
    for query in
        ["q=%00%ff%3Cb%3E", "cpu=..", "disk=0.9..&sort=disk", "page=4294967295", "label=%3D"]
    {
        page(&collector, &format!("/agents?{query}"));
    }
    assert_eq!(collector.get("/?q=a", &[BROWSER]).status, 400);
    let filter = format!("/agents/a?filter={}", "x".repeat(257));
    assert_eq!(collector.get(&filter, &[BROWSER]).status, 400);
}

#[test]
fn pages_allow_nothing_from_elsewhere() {
    let collector = Collector::with(unpaced());
    let _agent = join(&collector, "a", "db", [0.5; 3]);
    for path in ["/", "/agents", "/agents/a", "/agents/nobody"] {
        let answer = collector.get(path, &[BROWSER]);
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        let html = answer.text();
        let is_elsewhere = |text: &str| text.contains("//") && !text.contains("www.w3.org");
        assert!(!html.split('"').any(is_elsewhere), "{path}: {html}");
        // Such attributes would need an exception in the policy.
        let is_inline = |word: &str| word.contains("=\"") && word.starts_with("on");
        let words: Vec<_> = html.split_whitespace().collect();
        assert!(!words.iter().any(|word| is_inline(word) || word.starts_with("style=")), "{html}");
    }
    for (path, kind) in [
        ("/style.css", "text/css; charset=utf-8"),
        ("/live.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let answer: Answer = collector.get(path, &[]);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(kind)), "{path}");
    }
}

/// Returns the names of all fields in a document.
fn fields(document: &Value, found: &mut std::collections::BTreeSet<String>) {
    match document {
        Value::Array(items) => items.iter().for_each(|item| fields(item, found)),
        Value::Object(members) => {
            for (name, value) in members {
                found.insert(name.clone());
                // The names of labels are those of the agents.
                if name != "labels" {
                    fields(value, found);
                }
            }
        }
        _ => {}
    }
}

#[test]
fn every_field_of_the_api_is_documented() {
    let collector = Collector::with(unpaced());
    let _agent = join(&collector, "a", "db", [0.5; 3]);
    drop(join(&collector, "b", "db", [0.5; 3]));
    eventually("an agent is missing", || {
        document(&collector, "/api/overview")["agents"]["missing"] == 1
    });
    let mut found = std::collections::BTreeSet::new();
    for path in ["/api/overview", "/api/search", "/api/agents/a"] {
        fields(&document(&collector, path), &mut found);
    }
    assert!(found.len() > 30, "{found:?}");
    let docs = include_str!("../../../docs/pages.md");
    for name in found {
        assert!(docs.contains(&format!("`{name}`")), "{name}");
    }
}
