//! Runs the comparison with the collector alone, which needs no other program.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const HOSTS: u64 = 20;
const GAUGES: u64 = 6;
/// Series of a wide host.
const WIDE_SERIES: u64 = 459;
const REPORTS: u64 = 40;

/// Returns the command with a small fleet, for programs that contain one of `only`.
fn compare(json: &Path, only: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetgauge-peers"));
    command.args(["--hosts", "20", "--rate", "20", "--vanish-interval", "1s"]);
    command.arg("--json").arg(json);
    for only in only {
        command.args(["--only", only]);
    }
    command
}

/// Runs the comparison of senders with a small fleet, in about a minute. Returns its results.
///
/// A collector ends hosts that are silent for three intervals: a busy machine may pause this
/// process for some seconds.
fn forward(only: &[&str]) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("results.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetgauge-peers"));
    command.args(["forward", "--hosts", "20", "--interval", "3s", "--duration", "3s"]);
    command.args(["--outage", "6s", "--stale-wait", "30s"]).arg("--json").arg(&json);
    for only in only {
        command.args(["--only", only]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap()
}

/// Asserts that all senders were measured, and forwarded only what the hosts offered.
fn assert_forwarded(results: &Value, senders: usize) {
    assert_eq!(array(&results["rows"]).len(), senders, "{results}");
    for row in array(&results["rows"]) {
        let seen = &row["figures"]["done"];
        assert!(seen["cost"]["bytes"].as_f64().is_some_and(|bytes| bytes > 0.0), "{row}");
        for outcome in array(&seen["trials"]) {
            let count = &outcome["count"];
            assert!(count["offered"].as_u64() > Some(0), "{outcome}");
            assert_eq!((count["wrong"].as_u64(), count["unknown"].as_u64()), (Some(0), Some(0)));
        }
    }
}

/// Runs the command, which must succeed. Returns its results.
fn results(arguments: &[&str], only: &[&str]) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("results.json");
    let output = compare(&json, only).args(["--duration", "2s"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

/// Asserts that every row was measured without problems. A rate that was not reached is none: the
/// machine may be busy.
fn assert_no_problems(results: &Value) {
    for row in array(&results["rows"]) {
        let seen = &row["figures"]["done"];
        let is_slow = |problem: &&Value| problem.as_str().unwrap().contains("reports/s of");
        let problems = array(&seen["problems"]).iter().filter(|problem| !is_slow(problem));
        assert_eq!(problems.count(), 0, "{row}");
        assert!(seen["sent_bytes"].as_f64() >= seen["payload_bytes"].as_f64(), "{row}");
        assert!(seen["payload_bytes"].as_f64().unwrap() > 0.0, "{row}");
    }
}

#[test]
fn collector_is_measured() {
    let results = results(&["--vanish-wait", "30s"], &["fleetgauge: default"]);
    assert_no_problems(&results);
    let seen = &results["rows"][0]["figures"]["done"];
    assert_eq!(seen["reports"], REPORTS);
    assert_eq!(seen["page"]["samples"], HOSTS * GAUGES);
    assert!(seen["page"]["gzip"]["bytes"].as_u64() < seen["page"]["plain"]["bytes"].as_u64());
    let gone = &results["vanishing"][0]["gone"]["done"];
    assert!(gone["killed"].is_number() && gone["cut_off"].is_number(), "{gone}");
}

#[test]
fn wide_hosts_are_measured_with_all_their_series() {
    let results = results(&["--fleet", "wide", "--vanish-wait", "30s"], &["fleetgauge: default"]);
    assert_no_problems(&results);
    let seen = &results["rows"][0]["figures"]["done"];
    assert_eq!(seen["page"]["samples"], HOSTS * WIDE_SERIES);
    let bytes_per_sample = seen["payload_bytes"].as_f64().unwrap() / WIDE_SERIES as f64;
    assert!(bytes_per_sample < 1.0, "{bytes_per_sample}");
    let gone = &results["vanishing"][0]["gone"]["done"];
    assert!(gone["killed"].is_number() && gone["cut_off"].is_number(), "{gone}");
}

#[test]
fn collector_forwards_without_losses_and_marks_the_end_of_hosts() {
    let results = forward(&["fleetgauge"]);
    assert_forwarded(&results, 2);
    let seen = &results["rows"][0]["figures"]["done"];
    assert_eq!(array(&seen["findings"]).len(), 0, "{seen}");
    assert_eq!(array(&seen["trials"]).len(), 3);
    for outcome in array(&seen["trials"]) {
        let count = &outcome["count"];
        assert_eq!((count["lost"].as_u64(), count["not_taken"].as_u64()), (Some(0), Some(0)));
        assert_eq!(array(&outcome["problems"]).len(), 0, "{outcome}");
    }
    let stale = &results["stale"][0]["stale"]["done"];
    assert!(stale["vanished"].is_number() && stale["killed"].is_null(), "{stale}");
    assert!(stale["taken_over"].is_number(), "{stale}");
}

#[test]
fn missing_program_is_listed_with_its_package() {
    let nowhere = tempfile::tempdir().unwrap();
    let mut command = compare(&nowhere.path().join("json"), &["pushgateway", "victoria"]);
    let output = command.env("PATH", nowhere.path()).args(["--duration", "2s"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let tables = String::from_utf8(output.stdout).unwrap();
    for package in ["prometheus-pushgateway", "victoria-metrics"] {
        let advice = format!("| not installed: apt-get install {package} |");
        // In the table without hosts, in that with hosts, and in that of vanished hosts.
        assert!(tables.matches(&advice).count() >= 3, "{tables}");
    }
}

#[test]
fn invalid_flags_exit_64() {
    for flags in [
        ["forward", "--interval=0s"],
        ["--hosts", "0"],
        ["--hosts", "100000"],
        ["--rate", "NaN"],
        ["--duration", "10"],
        ["--duration", "0s"],
        ["--vanish-wait", "-1s"],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleetgauge-peers"));
        assert_eq!(command.args(flags).output().unwrap().status.code(), Some(64), "{flags:?}");
    }
}

#[test]
fn interrupted_run_kills_its_servers() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = compare(&dir.path().join("json"), &["fleetgauge: default"]);
    let mut run = command.args(["--duration", "60s"]).stderr(Stdio::null()).spawn().unwrap();
    let children = format!("/proc/{0}/task/{0}/children", run.id());
    // One is measured, and one runs the vanish test.
    let servers = wait_for("two servers", || {
        let pids = std::fs::read_to_string(&children).ok()?;
        let pids: Vec<_> = pids.split_ascii_whitespace().map(str::to_owned).collect();
        (pids.len() == 2).then_some(pids)
    });
    kill_process(Pid::from_child(&run), Signal::INT).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(130));
    wait_for("the exit of the servers", || {
        let has_ended = |pid: &String| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // A killed process may be a zombie until its new parent reaps it.
            stat.is_empty() || stat.contains(") Z ")
        };
        servers.iter().all(has_ended).then_some(())
    });
}

#[test]
#[ignore = "needs prometheus and python3-prometheus-client"]
fn other_programs_are_measured() {
    let results = results(&["--vanish-wait", "0s"], &["python", "prometheus:"]);
    assert_no_problems(&results);
    assert_eq!(array(&results["rows"]).len(), 6);
}

#[test]
#[ignore = "needs prometheus and victoria-metrics with vmagent"]
fn other_programs_are_measured_with_wide_hosts() {
    let arguments = ["--fleet", "wide", "--vanish-wait", "0s"];
    let results = results(&arguments, &["vmagent", "prometheus:"]);
    assert_no_problems(&results);
    assert_eq!(array(&results["rows"]).len(), 5);
}

/// Asserts that a sender of another project was measured, and what it sent about vanished hosts.
fn assert_measured(sender: &str) {
    let results = forward(&[sender]);
    assert_forwarded(&results, 1);
    let stale = &results["stale"][0]["stale"]["done"];
    assert!(stale["vanished"].is_number(), "{stale}");
}

#[test]
#[ignore = "needs prometheus and vmagent"]
fn other_sender_vmagent_is_measured() {
    assert_measured("vmagent");
}

#[test]
#[ignore = "needs prometheus"]
fn other_sender_prometheus_is_measured() {
    assert_measured("prometheus agent");
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
