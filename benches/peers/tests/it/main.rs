//! The comparison runs, so that it cannot rot: with the collector alone, which needs nothing installed.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const HOSTS: u64 = 20;
const GAUGES: u64 = 6;
const REPORTS: u64 = 200;

/// A run of this fleet over programs that contain one of these.
fn compare(json: &Path, only: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetgauge-peers"));
    command.args(["--hosts", "20", "--rate", "100", "--vanish-interval", "1"]);
    command.arg("--json").arg(json);
    for only in only {
        command.args(["--only", only]);
    }
    command
}

/// What a run that ends well has seen.
fn results(arguments: &[&str], only: &[&str]) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("results.json");
    let output = compare(&json, only).args(["--seconds", "2"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

/// Every row was measured, and all went as it should.
fn assert_sound(results: &Value) {
    for row in array(&results["rows"]) {
        let seen = &row["figures"]["seen"];
        assert_eq!(seen["flaws"], serde_json::json!([]), "{row}");
        assert!(seen["sent_bytes"].as_f64() >= seen["payload_bytes"].as_f64(), "{row}");
        assert!(seen["payload_bytes"].as_f64().unwrap() > 0.0, "{row}");
    }
}

#[test]
fn the_collector_is_measured() {
    let results = results(&["--vanish-wait", "30"], &["fleetgauge: default"]);
    assert_sound(&results);
    let seen = &results["rows"][0]["figures"]["seen"];
    assert_eq!(seen["reports"], REPORTS);
    assert_eq!(seen["page"]["samples"], HOSTS * GAUGES);
    assert!(seen["page"]["gzip"]["bytes"].as_u64() < seen["page"]["plain"]["bytes"].as_u64());
    let gone = &results["vanishing"][0]["gone"]["seen"];
    assert!(gone["killed"].is_number() && gone["cut_off"].is_number(), "{gone}");
}

#[test]
fn what_is_not_installed_is_a_row_that_says_how_to_get_it() {
    let nowhere = tempfile::tempdir().unwrap();
    let mut command = compare(&nowhere.path().join("json"), &["pushgateway", "victoria"]);
    let output = command.env("PATH", nowhere.path()).args(["--seconds", "2"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let tables = String::from_utf8(output.stdout).unwrap();
    for package in ["prometheus-pushgateway", "victoria-metrics"] {
        let advice = format!("| not installed: apt-get install {package} |");
        // Without hosts, with them, and when they vanish.
        assert!(tables.matches(&advice).count() >= 3, "{tables}");
    }
}

#[test]
fn flags_that_cannot_be_are_refused() {
    for flags in [["--hosts", "0"], ["--rate", "NaN"], ["--seconds", "-1"], ["--hosts", "100000"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleetgauge-peers"));
        assert_eq!(command.args(flags).output().unwrap().status.code(), Some(64), "{flags:?}");
    }
}

#[test]
fn a_run_that_is_interrupted_leaves_no_server() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = compare(&dir.path().join("json"), &["fleetgauge: default"]);
    let mut run = command.args(["--seconds", "60"]).stderr(Stdio::null()).spawn().unwrap();
    let children = format!("/proc/{0}/task/{0}/children", run.id());
    // One is measured, one watched.
    let servers = wait_for("two servers", || {
        let pids = std::fs::read_to_string(&children).ok()?;
        let pids: Vec<_> = pids.split_ascii_whitespace().map(str::to_owned).collect();
        (pids.len() == 2).then_some(pids)
    });
    kill_process(Pid::from_child(&run), Signal::INT).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(130));
    wait_for("the servers' end", || {
        let has_ended = |pid: &String| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // Who has ended may wait for its parent's parent to notice.
            stat.is_empty() || stat.contains(") Z ")
        };
        servers.iter().all(has_ended).then_some(())
    });
}

#[test]
#[ignore = "needs prometheus and python3-prometheus-client"]
fn other_programs_are_measured() {
    let results = results(&["--vanish-wait", "0"], &["python", "prometheus:"]);
    assert_sound(&results);
    assert_eq!(array(&results["rows"]).len(), 6);
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "{what}: not within 30 s");
        std::thread::sleep(Duration::from_millis(20));
    }
}
