//! Tests that independent tools accept the metrics pages.

use std::io::Write;
use std::process::{Command, Stdio};

use super::every_kind;
use super::programs::{Collector, agent, installed, wait_for};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0";

/// Python program that parses an OpenMetrics page from standard input with the strict reference
/// parser, and prints the number of families.
const PARSE: &str = "import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
print(len(list(parse(sys.stdin.read()))))";

/// Starts a collector with a real agent, an agent with every metric kind, and an agent that has
/// disconnected. Its counter of closed connections is above zero.
fn collector() -> (Collector, impl Sized) {
    let collector = Collector::start(&[]);
    let left = every_kind::report_to(&collector.agents);
    drop(left);
    wait_for("an end that was counted", 10, || {
        collector.get("/metrics/self", "").contains("closed_total{").then_some(())
    });
    let mut gone = agent("gone", &collector, "basic");
    let roster = |line: &str| {
        wait_for(line, 10, || collector.get("/metrics/roster", "").contains(line).then_some(()));
    };
    roster("fleetgauge_agent_up{agent=\"gone\"} 1");
    gone.kill();
    roster("fleetgauge_agent_up{agent=\"gone\"} 0");
    let held = (every_kind::report_to(&collector.agents), agent("real", &collector, "basic"));
    wait_for("both agents on the page", 10, || {
        let page = collector.get("/metrics/agents", "");
        (page.contains("agent=\"real\"") && page.contains(every_kind::ID)).then_some(())
    });
    (collector, held)
}

const ROSTER: &str = "/metrics/roster";

/// Paths of all metrics pages.
fn paths() -> Vec<String> {
    let agent = format!("/metrics/agents/{}", every_kind::ID);
    let shards = (0..4).map(|shard| format!("/metrics?shard={shard}&shards=4"));
    let fixed = [
        "/metrics",
        "/metrics/agents",
        "/metrics/self",
        "/metrics/fleet",
        "/metrics/fleet?by=site",
        ROSTER,
    ];
    fixed.map(ToOwned::to_owned).into_iter().chain(shards).chain([agent]).collect()
}

/// Runs a command with `text` on standard input. Panics if it fails. Returns its output.
fn ask(mut command: Command, text: &str) -> String {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let printed = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{command:?}: {printed}\nof this page:\n{text}");
    printed
}

#[test]
#[ignore = "needs prometheus"]
fn promtool_check_metrics_passes() {
    let (collector, _held) = collector();
    for path in paths() {
        let mut promtool = installed("PROMTOOL", "promtool");
        promtool.args(["check", "metrics"]);
        let printed = ask(promtool, &collector.get(&path, ""));
        assert_eq!(printed, "", "{path}");
    }
}

/// promtool does not parse OpenMetrics; the strict reference parser does.
#[test]
#[ignore = "needs prometheus_client for Python"]
fn openmetrics_pages_pass_the_strict_parser() {
    let (collector, _held) = collector();
    for path in paths() {
        let mut python = installed("PYTHON", "/usr/bin/python3");
        python.args(["-c", PARSE]);
        let families = ask(python, &collector.get(&path, OPENMETRICS));
        let families = families.trim().parse::<u32>().unwrap();
        // A shard may have no agents.
        let enough = if path == ROSTER { families == 2 } else { families >= 6 };
        assert!(enough || path.contains("shard="), "{path}: {families}");
    }
}
