//! Exporters that an agent scrapes: Prometheus must store the same as if it scraped them itself.

mod programs;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::programs::{Collector, Program, agent_with, wait_for};
use super::prometheus::{Prometheus, shipped_file};
use programs::Exporter;

/// Maximum number of comparisons. Values of a busy exporter seldom fit at once.
const MAX_ROUNDS: usize = 30;
/// Id of the agent.
const ID: &str = "host-1";
/// Interval between scrapes. The exporter of PostgreSQL waits for a second if it cannot connect.
const INTERVAL: &str = "3s";
/// Series that Prometheus and the agent each make for a target. Only `up` must be the same.
const OF_TARGET: &str = "scrape_.+";
/// Values that differ between two reads of any kind: a moment of the exporter itself.
const MOMENTARY: [&str; 3] = ["go_", "process_", "probe_"];

/// Scrapes the exporters directly.
fn direct(exporters: &[Exporter]) -> Prometheus {
    let mut config = format!("global: {{scrape_interval: {INTERVAL}}}\nscrape_configs:\n");
    for Exporter { job, address, path, .. } in exporters {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let parameters = query.split('&').filter_map(|pair| pair.split_once('='));
        let parameters: Vec<_> =
            parameters.map(|(name, value)| format!("{name}: ['{value}']")).collect();
        write!(
            config,
            "- job_name: {job}\n  metrics_path: {path}\n  params: {{{}}}\n  \
             static_configs: [{{targets: ['{address}']}}]\n",
            parameters.join(", ")
        )
        .unwrap();
    }
    Prometheus::with(&config)
}

/// Starts an agent that scrapes the exporters.
fn agent(exporters: &[Exporter], collector: &Collector) -> (Program, impl Sized + use<>) {
    let mut settings = String::new();
    for Exporter { job, address, path, .. } in exporters {
        write!(settings, "[[scrape]]\nurl = \"http://{address}{path}\"\njob = \"{job}\"\ninterval = \"{INTERVAL}\"\n")
            .unwrap();
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), settings).unwrap();
    let path = file.path().to_str().unwrap();
    let flags = ["--config", path, "--interval", "1s", "--metrics", "basic"];
    (agent_with(ID, collector, &flags), file)
}

/// Least and greatest values by series, without the labels that only one way has.
type Ranges = BTreeMap<BTreeMap<String, String>, (f64, f64)>;

/// Returns the values of a job's series within the last 15 seconds.
fn ranges(prometheus: &Prometheus, job: &str) -> Ranges {
    let [mut least, greatest] = ["min", "max"].map(|bound| {
        // The label keeps the name, which functions over time drop.
        let query = format!(
            "{bound}_over_time(label_replace({{job=\"{job}\", __name__!~\"{OF_TARGET}\"}}, \
             \"metric_name\", \"$1\", \"__name__\", \"(.+)\")[15s:1s])"
        );
        let samples = prometheus.query(&query).into_iter();
        samples.collect::<Vec<_>>()
    });
    let mut ranges = Ranges::new();
    for (labels, value) in least.drain(..) {
        ranges.insert(own(labels), (value, f64::NEG_INFINITY));
    }
    for (labels, value) in greatest {
        if let Some(range) = ranges.get_mut(&own(labels)) {
            range.1 = value;
        }
    }
    ranges
}

/// Returns the labels of a series without those that tell the ways apart.
fn own(mut labels: BTreeMap<String, String>) -> BTreeMap<String, String> {
    labels.remove("agent");
    labels
}

/// Returns a line for each difference between both ways.
fn differences(job: &str, direct: &Prometheus, through_agent: &Prometheus) -> BTreeSet<String> {
    let (direct, found) = (ranges(direct, job), ranges(through_agent, job));
    let mut lines = BTreeSet::new();
    for (labels, (low, high)) in &direct {
        let name = &labels["metric_name"];
        match found.get(labels) {
            None => drop(lines.insert(format!("missing {labels:?}"))),
            Some(_) if MOMENTARY.iter().any(|prefix| name.starts_with(prefix)) => {}
            // Both saw the same moments if the ranges overlap.
            Some((least, greatest)) if greatest < low || least > high => {
                lines.insert(format!("other value {labels:?}"));
            }
            Some(_) => {}
        }
    }
    let extra = found.keys().filter(|labels| !direct.contains_key(*labels));
    lines.extend(extra.map(|labels| format!("extra {labels:?}")));
    if direct.len() < 2 {
        lines.insert(format!("the exporter {job} has no series"));
    }
    lines
}

#[test]
#[ignore = "needs prometheus and exporters of Debian"]
fn exporters_look_the_same_through_an_agent_and_end_with_it() {
    let mut exporters = programs::start();
    let collector = Collector::start(&[]);
    let (_agent, _settings) = agent(&exporters, &collector);
    let direct = direct(&exporters);
    let config = shipped_file("node-page.yml", &collector.http, 3);
    let config = config.replace("_interval: 15s", "_interval: 1s");
    let through_agent = Prometheus::with(&config);
    for exporter in &exporters {
        wait_for("the exporter's target", 30, || {
            let query = format!("up{{job=\"{}\"}} == 1", exporter.job);
            let both = [&direct, &through_agent].map(|prometheus| prometheus.query(&query).len());
            (both == [1, 1]).then_some(())
        });
    }
    let mut left: Option<BTreeSet<String>> = None;
    for _ in 0..MAX_ROUNDS {
        let jobs = exporters.iter().map(|exporter| exporter.job.as_str());
        let found: BTreeSet<_> =
            jobs.flat_map(|job| differences(job, &direct, &through_agent)).collect();
        left = Some(left.map_or(found.clone(), |left| &left & &found));
        if left.as_ref().is_some_and(BTreeSet::is_empty) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
    let left: Vec<_> = left.into_iter().flatten().collect();
    assert!(left.is_empty(), "{} differences:\n{}", left.len(), left.join("\n"));
    end_one(&mut exporters, &through_agent);
}

/// Kills one exporter: its series end at the scrape that finds it down, those of others go on.
fn end_one(exporters: &mut [Exporter], prometheus: &Prometheus) {
    let [killed, other, ..] = exporters else { panic!("too few exporters") };
    killed.program.kill();
    let of = |job: &str| format!("{{job=\"{job}\", __name__!~\"up|{OF_TARGET}\"}}");
    let down = format!("up{{job=\"{}\"}} == 0", killed.job);
    // Without staleness markers, the series would stay for five minutes.
    let query = format!("{} and on () ({down})", of(&killed.job));
    wait_for("the end of an exporter", 20, || {
        let is_down = !prometheus.query(&down).is_empty();
        assert_eq!(prometheus.query(&query), [], "stay although the exporter is down");
        is_down.then_some(())
    });
    assert_eq!(prometheus.query(&of(&killed.job)), []);
    assert_ne!(prometheus.query(&of(&other.job)), []);
}
