//! Every family and label of node_exporter passes unchanged through agent, wire, collector and
//! Prometheus.
//!
//! The input is a page made from `families.tsv`. The variable `NODE_EXPORTER_PAGE` replaces it by a
//! page of a real node_exporter, from a file.

mod input;
pub(crate) mod samples;
mod tables;

use std::time::Duration;

use fleetgauge_agent::identity::Nonces;
use fleetgauge_agent::profile::Profile;
use fleetgauge_collector::{Config, Listeners};
use fleetgauge_page::Format;
use fleetgauge_proto::{AgentId, StaticLabels};
use tokio::sync::oneshot;

use super::http;
use super::programs::{Collector, wait_for};
use super::prometheus::{Prometheus, shipped};
use super::reporter::Reporter;
use samples::{Family, Samples, all, assert_same, bits, canonical, of_agent, read};

/// Names a file with a page to use as the input.
const PAGE_FILE: &str = "NODE_EXPORTER_PAGE";
/// Ids of two agents that report the same.
const AGENTS: [&str; 2] = ["host-1", "host-2"];
const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0";

/// Returns the families and samples of the input.
fn input() -> Vec<Family> {
    let page = match std::env::var_os(PAGE_FILE) {
        Some(file) => std::fs::read_to_string(file).unwrap(),
        None => input::page(),
    };
    let mut families = read(&page, Format::Text);
    // They belong to the exporter's process. The collector has its own.
    families.retain(|family| !family.name.starts_with("process_"));
    families
}

/// Connects both agents and reports the input. Pages show them until the result is dropped.
fn report(families: &[Family], collector: &str) -> Vec<Reporter> {
    let (catalogs, sample) = tables::of(families);
    let agent = |id: &&str| {
        let profile = Profile {
            id: AgentId::try_new(id).unwrap(),
            nonces: Nonces { host: [1; 16], process: [2; 16] },
            labels: StaticLabels::default(),
            interval: Duration::from_secs(60),
            agent_version: "test",
            catalogs: catalogs.clone(),
        };
        let mut reporter = Reporter::connect(profile, collector);
        reporter.report(&sample);
        reporter
    };
    AGENTS.iter().map(agent).collect()
}

/// Runs `check` with the addresses for agents and HTTP of a collector in this process.
fn with_collector(check: impl FnOnce(&str, &str)) {
    let config = Config { drain: Duration::ZERO, ..Config::default() };
    let listeners = Listeners::bind(&config).unwrap();
    let agents = listeners.agent_addresses().unwrap()[0].to_string();
    let http = listeners.http.local_addr().unwrap().to_string();
    let (stop, stopped) = oneshot::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            let stopped = async { drop(stopped.await) };
            runtime.block_on(fleetgauge_collector::run(config, listeners, stopped)).unwrap();
        });
        // Ends the collector even if the check fails.
        let _stop = stop;
        check(&agents, &http);
    });
}

/// Waits until the page shows an agent. Returns what it shows of it.
fn shown(http: &str, path: &str, accept: &str, agent: &str) -> Vec<Family> {
    let format = if accept.is_empty() { Format::Text } else { Format::OpenMetrics };
    wait_for("an agent on the page", 60, || {
        let families = of_agent(&read(&http::get(http, path, accept).ok()?, format), agent);
        (!families.is_empty()).then_some(families)
    })
}

#[test]
fn pages_show_every_family_of_node_exporter_as_reported() {
    let expected = input();
    with_collector(|agents, http| {
        let _held = report(&expected, agents);
        for agent in AGENTS {
            for path in ["/metrics", "/metrics/agents", &*format!("/metrics/agents/{agent}")] {
                for accept in ["", OPENMETRICS] {
                    let found = shown(http, path, accept, agent);
                    let what = format!("{path} for {agent} {accept}");
                    assert_same(&all(&found), &all(&expected), &what);
                    // OpenMetrics has other types, and names without the suffixes.
                    if accept.is_empty() {
                        assert_same_heads(found, expected.clone());
                    }
                }
            }
        }
    });
}

/// Checks names, types and help texts of families, in any order.
fn assert_same_heads(mut found: Vec<Family>, mut expected: Vec<Family>) {
    for families in [&mut found, &mut expected] {
        families.sort_by(|one, other| one.name.cmp(&other.name));
    }
    assert_eq!(found.len(), expected.len());
    let head = |family: Family| [family.name, family.kind, family.help];
    for (found, expected) in found.into_iter().zip(expected) {
        assert_eq!(head(found), head(expected));
    }
}

#[test]
#[ignore = "needs prometheus"]
fn prometheus_stores_every_family_of_node_exporter_as_reported() {
    let families = input();
    let expected = all(&families);
    let collector = Collector::start(&[]);
    let _held = report(&families, &collector.agents);
    let prometheus = Prometheus::with(&shipped(&collector.http));
    for agent in AGENTS {
        let query = format!("{{__name__=~\".+\", agent=\"{agent}\", job=\"fleetgauge-agents\"}}");
        let found = wait_for("the agent's series", 30, || {
            let found = prometheus.query(&query);
            (!found.is_empty()).then_some(found)
        });
        let sample = |(mut labels, value): (samples::Labels, f64)| {
            let name = labels.remove("__name__").unwrap();
            for label in ["agent", "instance", "job"] {
                assert!(labels.remove(label).is_some(), "{name}{labels:?} lacks {label}");
            }
            for label in ["le", "quantile"] {
                if let Some(bound) = labels.get_mut(label) {
                    *bound = canonical(bound);
                }
            }
            ((name, labels), bits(value))
        };
        let found: Samples = found.into_iter().map(sample).collect();
        assert_same(&found, &expected, agent);
    }
}
