//! The fleet as a whole, over HTTP.

use super::{Fleet, OPENMETRICS, grammar};
use crate::support::agent::{Agent, Who, who};
use crate::support::collector::Collector;
use crate::support::frames::{gauges, label};

const PATHS: [&str; 4] = [
    "/metrics/fleet",
    "/metrics/fleet?by=team",
    "/metrics/fleet?family=temperature_celsius",
    "/metrics/fleet?family=a_first&by=dc",
];

#[test]
fn it_obeys_its_grammar() {
    let fleet = Fleet::new(false);
    for path in PATHS {
        let text = fleet.collector.get(path, &[]);
        assert_eq!((text.status, text.whole, text.chunked), (200, true, true), "{path}");
        grammar::check(&text.text(), false);
        let openmetrics = fleet.collector.get(path, &[OPENMETRICS]);
        grammar::check(&openmetrics.text(), true);
    }
}

#[test]
fn what_is_asked_is_answered() {
    let fleet = Fleet::new(false);
    // Two agents with a family of two series, one of another schema with one; NaN and what is
    // absent do not count.
    let page = fleet.collector.page_at("/metrics/fleet");
    let temperature = "fleetgauge_fleet_temperature_celsius";
    assert_eq!(page.value(&format!("{temperature}_bucket{{le=\"+Inf\"}}")), Some(5.0));
    assert_eq!(page.value(&format!("{temperature}_bucket{{le=\"20\"}}")), Some(3.0));
    assert_eq!(page.value(&format!("{temperature}_quantile{{quantile=\"0\"}}")), Some(0.5));
    let page = fleet.collector.page_at("/metrics/fleet?by=dc&family=temperature_celsius");
    assert_eq!(page.value(&format!("{temperature}_bucket{{dc=\"ams\",le=\"+Inf\"}}")), Some(1.0));
    assert_eq!(page.value(&format!("{temperature}_bucket{{dc=\"\",le=\"+Inf\"}}")), Some(4.0));
    assert!(!page.0.contains("a_first"));
}

#[test]
fn an_empty_fleet_is_an_empty_page() {
    let collector = Collector::start();
    assert_eq!(collector.page_at("/metrics/fleet").0, "");
    assert_eq!(collector.get("/metrics/fleet?by=role", &[OPENMETRICS]).text(), "# EOF\n");
}

#[test]
fn what_cannot_be_is_refused_with_a_sentence() {
    let fleet = Fleet::new(false);
    for (query, part) in [
        ("by=", "no label that agents can have"),
        ("by=agent", "no label that agents can have"),
        ("by=le", "no label that agents can have"),
        ("by=a-b", "no label that agents can have"),
        ("family=", "no connected agent shows a gauge"),
        ("family=packets", "no connected agent shows a gauge"),
        ("family=nothing", "no connected agent shows a gauge"),
        ("shard=0&shards=4", "it takes by, family"),
        ("by=dc&by=team", "given twice"),
    ] {
        for method in ["GET", "HEAD"] {
            let path = format!("/metrics/fleet?{query}");
            let answer = crate::support::http::request(fleet.collector.http, method, &path, &[]);
            assert_eq!((answer.status, answer.whole), (400, true), "{path}");
            let text = answer.text();
            assert!(method == "HEAD" || text.contains(part) && text.lines().count() == 1, "{text}");
        }
    }
}

#[test]
fn grouping_by_a_label_that_is_as_good_as_an_id() {
    let collector = Collector::start();
    let names: Vec<_> = (0..101).map(|n| format!("rack-{n}")).collect();
    let join = |name: &String| {
        let labels = vec![label(&("rack", name))];
        let who = Who { labels, ..who(name) };
        Agent::join(collector.agents, &who, &gauges(&["load"]), &[1.0])
    };
    let mut agents: Vec<_> = names.iter().map(join).collect();
    let ask = || collector.get("/metrics/fleet?by=rack", &[]);
    assert_eq!(ask().status, 400);
    assert!(ask().text().contains("more than 100 values"));
    assert_eq!(collector.page_at("/metrics/fleet").value("fleetgauge_fleet_load_mean"), Some(1.0));
    agents.pop();
    crate::support::eventually("a hundred are few enough", || ask().status == 200);
}
