//! Faults that leave every page correct and every write complete: only the agents can notice them.

use std::thread;

use serde_json::Value;

use crate::{BUSY, loadtest};

/// Runs the load test against a collector with a fault, and checks that it fails for these reasons.
/// Returns the results.
fn finds(args: &[&str], fault: &str, reasons: &[&str]) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("report.json");
    let mut command = loadtest(args);
    let output = command.args(["--fault", fault, "--report"]).arg(&report).output().unwrap();
    let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{printed}");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    for reason in reasons {
        assert!(report["verdict"]["findings"][reason].is_number(), "no {reason}: {printed}");
    }
    report
}

/// The collector is stopped for 2 s of every 2.6 s. Reports wait in the kernel's buffers.
#[cfg(unix)]
#[test]
fn reports_delayed_by_a_stopped_collector_are_found() {
    let run = ["run", "--agents", "40", "--interval", "1s", "--duration", "6s"];
    let report = finds(&run, "frozen", &["reports_late"]);
    let reports = &report["figures"]["reports"];
    assert!(reports["late"].as_u64().unwrap() > 0, "{reports:#}");
    let soak = ["soak", "--agents", "40", "--duration", "6s", "--churn", "0%/s"];
    finds(&soak, "frozen", &["reports_late"]);
    let hostile = ["hostile", "--agents", "40", "--duration", "6s", "--max-p99", "1s"];
    finds(&hostile, "frozen", &["reports_late", "slow_without_load"]);
}

/// The fault: the proxy closes the connections of one agent in ten whenever a page is served.
#[test]
fn sessions_that_the_collector_ends_are_found_in_every_scenario() {
    let scenarios: [&[&str]; 6] = [
        &["run", "--agents", "40", "--duration", "4s"],
        &["soak", "--agents", "40", "--duration", "4s", "--churn", "0%/s"],
        &["deaths", "--agents", "60", "--deaths-per-cause", "5"],
        &["clones", "--agents", "40"],
        &["storm", "--agents", "40", "--recovery-timeout", "20s"],
        &["hostile", "--agents", "40", "--duration", "5s", "--rate", "50/s"],
    ];
    thread::scope(|scope| {
        for args in scenarios {
            scope.spawn(move || finds(&[args, &BUSY].concat(), "cut", &["sessions_ended"]));
        }
    });
}

/// The fault `gate` admits the first 40 connections, which are those of the ramp, and closes every
/// later one at once.
#[test]
fn agents_that_cannot_return_are_found() {
    for command in ["churn", "soak"] {
        let args = [command, "--agents", "40", "--interval", "1s", "--duration", "4s"];
        let args = [&args[..], &["--churn", "10%/s"]].concat();
        let report = finds(&args, "gate", &["not_returned", "refused"]);
        assert!(report["verdict"]["checks"]["pages"].as_u64().unwrap() > 0, "{report:#}");
    }
}
