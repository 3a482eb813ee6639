//! `/metrics/fleet`: distributions over the fleet, over HTTP.

use super::{Fleet, OPENMETRICS, grammar};
use crate::support::agent::{Agent, Identity, identity};
use crate::support::collector::Collector;
use crate::support::frames::{gauges, label};

const PATHS: [&str; 4] = [
    "/metrics/fleet",
    "/metrics/fleet?by=team",
    "/metrics/fleet?family=temperature_celsius",
    "/metrics/fleet?family=a_first&by=dc",
];

#[test]
fn fleet_page_obeys_the_grammar() {
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
fn queries_group_by_label_and_select_a_gauge() {
    let fleet = Fleet::new(false);
    // Two agents with a family of two series, and one of another catalog with one. NaN and absent
    // values do not count.
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
fn empty_fleet_gives_an_empty_page() {
    let collector = Collector::start();
    assert_eq!(collector.page_at("/metrics/fleet").0, "");
    assert_eq!(collector.get("/metrics/fleet?by=role", &[OPENMETRICS]).text(), "# EOF\n");
}

#[test]
fn invalid_fleet_query_returns_400() {
    let fleet = Fleet::new(false);
    for (query, part) in [
        ("by=", "use a static label of the agents"),
        ("by=agent", "use a static label of the agents"),
        ("by=le", "use a static label of the agents"),
        ("by=a-b", "use a static label of the agents"),
        ("family=", "unknown gauge: "),
        ("family=packets", "unknown gauge: "),
        ("family=nothing", "unknown gauge: "),
        ("shard=0&shards=4", "this page takes by, family"),
        ("by=dc&by=team", "duplicate parameter"),
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
fn grouping_by_an_almost_unique_label_returns_400() {
    let collector = Collector::start();
    let names: Vec<_> = (0..101).map(|n| format!("rack-{n}")).collect();
    let join = |name: &String| {
        let labels = vec![label(&("rack", name))];
        let identity = Identity { labels, ..identity(name) };
        Agent::join(collector.agents, &identity, &gauges(&["load"]), &[1.0])
    };
    let mut agents: Vec<_> = names.iter().map(join).collect();
    let ask = || collector.get("/metrics/fleet?by=rack", &[]);
    assert_eq!(ask().status, 400);
    assert!(ask().text().contains("more than 100 values"));
    assert_eq!(collector.page_at("/metrics/fleet").value("fleetgauge_fleet_load_mean"), Some(1.0));
    agents.pop();
    crate::support::eventually("a hundred idle connections remain", || ask().status == 200);
}
