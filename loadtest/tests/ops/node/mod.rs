//! Hosts with a hung file or mount, or with thousands of devices, and a real agent that reports the
//! metrics of node_exporter.

mod hung_file;
mod hung_mount;
mod many_devices;

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use super::programs::{Collector, Program, built, wait_for};

/// Simulated agents that share the collector with the agent under test.
const FLEET: &str = "300";
/// Report interval of the fleet, and of agents with a hung file or mount.
const INTERVAL: Duration = Duration::from_secs(1);
/// Reports of an agent that have to be on time.
const REPORTS: u32 = 20;

/// Starts a fleet of simulated agents that report every second.
fn fleet(collector: &Collector) -> Program {
    let mut command = std::process::Command::new(built("fleetgauge-loadtest"));
    command.args(["run", "--duration", "10m", "--interval", "1s", "--agents", FLEET]);
    command.args(["--collector", &collector.agents, "--http", &collector.http]);
    Program::start(command)
}

/// Returns the page of an agent, without the label of the agent; `None` if it is not connected.
fn page(collector: &Collector, agent: &str) -> Option<String> {
    let page = super::http::get(&collector.http, &format!("/metrics/agents/{agent}"), "").ok()?;
    Some(without_agent(&page, agent))
}

fn without_agent(page: &str, agent: &str) -> String {
    page.replace(&format!("{{agent=\"{agent}\"}}"), "").replace(&format!("agent=\"{agent}\","), "")
}

/// Returns the lines of a family's samples.
fn samples<'a>(page: &'a str, family: &str) -> Vec<&'a str> {
    let is_own = |rest: &str| rest.starts_with('{') || rest.starts_with(' ');
    page.lines().filter(|line| line.strip_prefix(family).is_some_and(is_own)).collect()
}

/// Returns the value of a sample line.
fn value(line: &str) -> f64 {
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

/// Returns the time of the agent's reading, in Unix seconds; `None` if the collector was late.
fn read_at(page: &str) -> Option<f64> {
    samples(page, "node_time_seconds").first().map(|line| value(line))
}

/// Returns the collectors that failed or were late.
fn failed(page: &str) -> BTreeSet<String> {
    let lines = samples(page, "node_scrape_collector_success");
    let failed = lines.into_iter().filter(|line| value(line) == 0.0);
    failed.map(|line| line.split('"').nth(1).unwrap().to_owned()).collect()
}

/// Returns the collectors that failed or were late, according to several pages. A busy machine may
/// delay a collector once.
fn failing(mut page: impl FnMut() -> Option<String>) -> BTreeSet<String> {
    let mut last = 0.0;
    let mut next = || {
        wait_for("a report", 30, || {
            let page = page()?;
            let read_at = read_at(&page)?;
            (read_at > last).then(|| {
                last = read_at;
                failed(&page)
            })
        })
    };
    (0..3).fold(next(), |failing, _| &failing & &next())
}

/// Checks this many reports of an agent, and that they are on time: the page never shows an older
/// reading than the last but one, and at most one of them is missing.
fn assert_on_time(
    interval: Duration,
    reports: u32,
    mut page: impl FnMut() -> Option<String>,
    mut check: impl FnMut(&str),
) {
    // A reading may take half an interval.
    let max_age = interval.mul_f64(2.5).as_secs_f64();
    let (mut first, mut last) = (0.0, 0.0);
    for report in 0..=reports {
        let next = wait_for("the next report", 60, || {
            let page = page().expect("the agent stays connected");
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            let read_at = read_at(&page)?;
            let age = now.as_secs_f64() - read_at;
            assert!(age < max_age, "report {report}: the values are {age} s old");
            (read_at > last).then_some((page, read_at))
        });
        let (next, read_at) = next;
        check(&next);
        last = read_at;
        if report == 0 {
            first = last;
        }
        if report % 10 == 0 {
            println!("report {report}: {} lines", next.lines().count());
        }
    }
    let took = last - first;
    // Half an interval of tolerance: readings are not exactly an interval apart.
    let max = interval.as_secs_f64() * (f64::from(reports) + 1.5);
    assert!(took <= max, "{reports} reports took {took} s: more than one is missing");
}
