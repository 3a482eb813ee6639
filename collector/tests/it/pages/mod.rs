//! Complete pages: compared with golden files, and checked against the grammar.

mod exporters;
mod fleet;
pub(crate) mod grammar;
mod rows;
mod shards;

use std::io::Read;
use std::path::Path;

use fleetgauge_proto::message::{Column, Family, Label};
use fleetgauge_proto::report::ABSENT;

use crate::support::agent::{Agent, Identity, identity};
use crate::support::collector::{Collector, config};
use crate::support::frames::{
    COUNTER, COUNTER_AS_NAMED, CatalogFrame, GAUGE, HISTOGRAM, INFO, LATER, SUMMARY, UNKNOWN,
    catalog_of, family, label, labelled, single, wide,
};
use crate::support::http::Answer;

pub(crate) const OPENMETRICS: &str = "Accept: application/openmetrics-text;version=1.0.0";
/// Set this variable to write the current pages as golden files. Then review the difference.
const BLESS: &str = "FLEETGAUGE_BLESS";

/// Families of every kind, with series of every shape.
fn every_kind() -> CatalogFrame {
    let families = [
        Family {
            unit: "celsius",
            help: "He said \"hot\", wrote C:\\temp\nand left. \u{1f525}",
            ..family("temperature_celsius", GAUGE)
        },
        Family { help: "Packets seen.", ..family("packets", COUNTER) },
        Family {
            unit: "seconds",
            help: "How long it took.",
            ..family("request_seconds", HISTOGRAM)
        },
        Family { unit: "seconds", ..family("latency_seconds", SUMMARY) },
        Family { help: "What runs.", ..family("release", INFO) },
        family("oddity", UNKNOWN),
        family("of_a_later_version", LATER),
        Family {
            unit: "seconds",
            help: "As named.",
            ..family("cache:wait_seconds", COUNTER_AS_NAMED)
        },
    ];
    let series = [
        labelled(0, &[("sensor", "0")]),
        labelled(0, &[("sensor", "a \"quoted\" \\ path\nand a line")]),
        labelled(0, &[("sensor", "absent")]),
        labelled(1, &[("nic", "eth0")]),
        wide(2, &[0.005, 0.1, 1.0, 10.0]),
        Column { labels: vec![label(&("path", "/"))], ..wide(2, &[]) },
        wide(3, &[0.5, 0.99, 1.0]),
        labelled(4, &[("os", "Gr\u{f6}\u{df}e 42"), ("kernel", "6.12"), ("empty", "")]),
        single(5),
        Column { width: 3, parameters: vec![2.0, 1.0], ..single(6) },
        labelled(7, &[("cache", "L1")]),
    ];
    catalog_of(&families, &series)
}

const VALUES: [f64; 23] = [
    21.5,
    f64::NAN,
    ABSENT,
    12_345_678_901.0,
    // The histogram: four bounds, count, sum.
    1.0,
    2.0,
    3.0,
    4.0,
    5.0,
    1e300,
    // A histogram without bounds.
    7.0,
    0.25,
    // The summary: three quantiles, count, sum.
    0.125,
    f64::NAN,
    9.0,
    100.0,
    33.3,
    // The information is in the labels.
    0.0,
    f64::NEG_INFINITY,
    // A kind that the collector skips.
    1.0,
    2.0,
    3.0,
    // A counter with its own name.
    8.25,
];

/// Three agents with two catalogs that share families.
struct Fleet {
    agents: Vec<Agent>,
    collector: Collector,
}

impl Fleet {
    fn new(classic: bool) -> Self {
        let mut config = config();
        config.classic = classic;
        let collector = Collector::with(config);
        let team = Label { name: "team", value: "a\\b \"c\"\nd \u{e9}" };
        let alpha = Identity { labels: vec![team, label(&("dc", "ams"))], ..identity("alpha") };
        let agents = vec![
            Agent::join(collector.agents, &alpha, &every_kind(), &VALUES),
            Agent::join(
                collector.agents,
                &identity("Beta-2.example:9_x"),
                &every_kind(),
                &[0.5; VALUES.len()],
            ),
            Agent::join(
                collector.agents,
                &identity("gamma"),
                &shared(),
                &[f64::INFINITY, 3.0, -0.0],
            ),
        ];
        Self { agents, collector }
    }
}

/// Families of the other catalog with different help, and one more.
fn shared() -> CatalogFrame {
    let families = [
        Family { help: "Something else.", ..family("temperature_celsius", GAUGE) },
        family("packets", COUNTER),
        Family { help: "Only here.", ..family("a_first", GAUGE) },
    ];
    catalog_of(&families, &[single(0), single(1), single(2)])
}

fn is_golden(name: &str, answer: &Answer) {
    assert_eq!((answer.status, answer.whole), (200, true));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(&path, answer.text()).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(answer.text(), golden, "{name} is not as committed; set {BLESS} to accept it");
}

#[test]
fn fleet_page_in_the_text_format_matches_the_golden_file() {
    let fleet = Fleet::new(false);
    is_golden("fleet.txt", &fleet.collector.get("/metrics/agents", &[]));
}

#[test]
fn fleet_page_in_openmetrics_matches_the_golden_file() {
    let fleet = Fleet::new(false);
    is_golden("fleet.om", &fleet.collector.get("/metrics/agents", &[OPENMETRICS]));
}

#[test]
fn agent_page_matches_the_golden_files() {
    let fleet = Fleet::new(false);
    is_golden("alpha.txt", &fleet.collector.get("/metrics/agents/alpha", &[]));
    is_golden("gamma.om", &fleet.collector.get("/metrics/agents/gamma", &[OPENMETRICS]));
    assert_eq!(fleet.collector.get("/metrics/agents/Beta-2.example:9_x", &[]).status, 200);
    for nobody in ["delta", "alph", "ALPHA", "%2e%2e", "a%20b", "%c3%a4"] {
        let answer = fleet.collector.get(&format!("/metrics/agents/{nobody}"), &[]);
        assert_eq!(answer.status, 404, "{nobody}");
    }
}

#[test]
fn page_of_an_empty_fleet_is_valid() {
    let collector = Collector::start();
    assert_eq!(collector.get("/metrics/agents", &[]).text(), "");
    assert_eq!(collector.get("/metrics/agents", &[OPENMETRICS]).text(), "# EOF\n");
}

#[test]
fn every_page_obeys_the_grammar() {
    let fleet = Fleet::new(true);
    for path in [
        "/metrics",
        "/metrics/agents",
        "/metrics/self",
        "/metrics/agents/alpha",
        "/metrics?shard=1&shards=2",
        "/metrics/agents?shard=0&shards=2",
    ] {
        let text = fleet.collector.get(path, &[]);
        // Pages that grow with the fleet are streamed.
        assert_eq!((text.whole, text.chunked), (true, path != "/metrics/self"));
        assert_eq!(text.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        grammar::check(&text.text(), false);
        let openmetrics = fleet.collector.get(path, &[OPENMETRICS]);
        assert!(openmetrics.whole);
        assert_eq!(
            openmetrics.header("content-type"),
            Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
        );
        grammar::check(&openmetrics.text(), true);
    }
    drop(fleet.agents);
}

#[test]
fn metrics_page_is_the_agents_page_and_the_own_page() {
    let fleet = Fleet::new(false);
    for headers in [&[][..], &[OPENMETRICS]] {
        let agents = fleet.collector.get("/metrics/agents", headers).text();
        let agents = agents.trim_end_matches("# EOF\n");
        let all = fleet.collector.get("/metrics", headers).text();
        let own = all.strip_prefix(agents).unwrap();
        let names = |page: &str| -> Vec<String> {
            page.lines().filter_map(|l| Some(l.strip_prefix("# TYPE ")?.to_owned())).collect()
        };
        assert_eq!(names(own), names(&fleet.collector.get("/metrics/self", headers).text()));
    }
}

#[test]
fn gzip_compresses_the_same_page() {
    let fleet = Fleet::new(false);
    for headers in [&["Accept-Encoding: gzip"][..], &["Accept-Encoding: gzip", OPENMETRICS]] {
        let packed = fleet.collector.get("/metrics/agents", headers);
        assert!(packed.whole);
        assert_eq!(packed.header("content-encoding"), Some("gzip"));
        let mut plain = String::new();
        flate2::read::GzDecoder::new(&packed.body[..]).read_to_string(&mut plain).unwrap();
        assert_eq!(plain, fleet.collector.get("/metrics/agents", &headers[1..]).text());
    }
    let refused = fleet.collector.get("/metrics/agents", &["Accept-Encoding: gzip;q=0"]);
    assert_eq!(refused.header("content-encoding"), None);
}

#[test]
fn own_page_has_the_collectors_metrics() {
    let fleet = Fleet::new(false);
    let all = fleet.collector.page_at("/metrics").0;
    for name in [
        "fleetgauge_agents_connected 3",
        "fleetgauge_connections_total 3",
        "fleetgauge_connections_open 3",
        "fleetgauge_reports_total 3",
        "fleetgauge_frames_total{kind=\"hello\"} 3",
        "fleetgauge_frames_total{kind=\"report\"} 3",
        "fleetgauge_received_bytes_total ",
        "fleetgauge_sent_bytes_total ",
        "fleetgauge_rejects_total{code=\"id_conflict\"} 0",
        "fleetgauge_catalogs 2",
        "fleetgauge_families_suppressed 0",
        "fleetgauge_families_skipped_total 1",
        "fleetgauge_handshake_seconds_count 3",
        "fleetgauge_handshake_seconds_bucket{le=\"+Inf\"} 3",
        "fleetgauge_scrape_seconds_count ",
        "fleetgauge_build_info{version=",
        "process_cpu_seconds_total ",
        "process_resident_memory_bytes ",
        "process_open_fds ",
        "process_start_time_seconds ",
    ] {
        assert!(all.lines().any(|line| line.starts_with(name)), "{name} is not in\n{all}");
    }
    assert!(!all.contains("client_no") && !all.contains("clients_connected"));
    let agents = fleet.collector.page().0;
    assert!(!agents.contains("fleetgauge_") && !agents.contains("process_"));
}

#[test]
fn classic_mode_adds_client_no_and_clients_connected() {
    let fleet = Fleet::new(true);
    let port = fleet.agents[2].stream.local_addr().unwrap().port();
    let page = fleet.collector.page_at("/metrics");
    let series = format!("a_first{{agent=\"gamma\",client_no=\"{port}\"}}");
    assert_eq!(page.value(&series), Some(0.0));
    assert_eq!(page.value("clients_connected"), Some(3.0));
}

#[test]
fn head_returns_the_headers_of_get() {
    let fleet = Fleet::new(false);
    for _ in 0..50 {
        for path in ["/metrics", "/metrics/self", "/healthz"] {
            let answer = crate::support::http::request(fleet.collector.http, "HEAD", path, &[]);
            assert_eq!((answer.status, answer.whole), (200, true), "{path}");
            assert!(answer.header("content-type").is_some());
            // The length of a metrics page is unknown before it is rendered.
            let length = answer.header("content-length");
            assert_eq!(length.is_some(), path != "/metrics", "{path}: {length:?}");
            assert_ne!(length, Some("0"), "{path}");
        }
    }
    let head = |path| crate::support::http::request(fleet.collector.http, "HEAD", path, &[]);
    let alpha = head("/metrics/agents/alpha");
    assert_eq!((alpha.status, alpha.header("content-length")), (200, None));
    for path in ["/metrics/roster", "/metrics/fleet", "/api/agents", "/api/departed", "/sd/agents"]
    {
        assert_eq!((head(path).status, head(path).header("content-length")), (200, None), "{path}");
    }
    assert_eq!(head("/metrics/agents/nobody").status, 404);
    assert_eq!(fleet.collector.metric("fleetgauge_scrapes_broken_total"), 0.0);
}

#[test]
fn unknown_paths_return_404_and_other_methods_405() {
    let collector = Collector::start();
    for (method, path, status) in [
        ("GET", "/nothing", 404),
        ("GET", "/metrics/", 404),
        ("GET", "/metrics/agents/a/b", 404),
        ("POST", "/metrics", 405),
        ("DELETE", "/metrics/agents/alpha", 405),
        ("PUT", "/healthz", 405),
        ("GET", "/", 200),
        ("GET", "/healthz", 200),
        ("GET", "/readyz", 200),
        ("GET", "/metrics?shard=1", 400),
    ] {
        let answer =
            crate::support::http::request(collector.http, method, path, &["Content-Length: 0"]);
        assert_eq!((answer.status, answer.whole), (status, true), "{method} {path}");
    }
}
