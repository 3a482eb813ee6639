//! Tests with the default bounds of the load test, for a quiet machine.

use assert_cmd::Command;
use serde_json::Value;

use super::programs::may_skip;

/// Runs a scenario that must end with this exit code. Returns its results and its output.
fn play(args: &[&str], code: i32) -> (Value, String) {
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("report.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetgauge-loadtest"));
    let output = command.args(args).arg("--report").arg(&report).output().unwrap();
    let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{printed}");
    let results = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    (results, printed)
}

/// Runs a scenario, which must pass. Returns its results.
fn passes(args: &[&str]) -> Value {
    let (results, printed) = play(args, 0);
    assert_eq!(results["verdict"]["passed"], true, "{printed}");
    results
}

#[test]
#[ignore = "needs a quiet machine"]
fn back_to_back_scrapes_hardly_delay_reports() {
    let results = passes(&["scrape", "--agents", "300", "--duration", "5s"]);
    for part in ["no_scrapes", "plain", "gzip"] {
        let count = results["figures"]["answered"][part]["count"].as_u64();
        assert!(count.unwrap() >= 300, "{results:#}");
    }
}

/// A page stalls the collector for 2 s, so most reports are delayed by about a second. `--max-lag`
/// allows that, so only the comparison with the phase without scrapes finds it.
#[test]
#[ignore = "needs a quiet machine"]
fn reports_delayed_are_found() {
    let args = ["scrape", "--agents", "1000", "--duration", "4s", "--max-lag", "30s"];
    let (results, printed) = play(&[&args[..], &["--fault", "stall"]].concat(), 1);
    let findings = results["verdict"]["findings"].as_object().unwrap();
    assert_eq!(findings.keys().collect::<Vec<_>>(), ["delayed"], "{printed}");
}

#[test]
#[ignore = "needs a quiet machine"]
fn rebooted_hosts_are_welcomed_within_seconds() {
    let results = passes(&["clones", "--agents", "40", "--share", "10%"]);
    for how in ["connection closed", "connection silent"] {
        assert_eq!(results["figures"]["readmitted"][how]["count"], 4, "{results:#}");
    }
}

/// Needs network namespaces for the cause `dropped_packets`, unless `MAY_SKIP_TESTS` is set.
#[test]
#[ignore = "needs a quiet machine"]
fn every_cause_of_death_is_detected_in_time() {
    let results = passes(&["deaths", "--agents", "60", "--deaths-per-cause", "8"]);
    let times = results["figures"]["time_to_removal"].as_object().unwrap();
    assert!(times.len() == 6 || may_skip(), "{:#}", results["verdict"]["skipped"]);
    for (cause, figures) in times {
        assert_eq!([&figures["died"], &figures["removed"]], [8, 8], "{cause}: {results:#}");
    }
}

#[test]
#[ignore = "needs a quiet machine"]
fn fleet_returns_within_seconds_of_a_restart() {
    let args = ["storm", "--agents", "30", "--collectors", "2", "--outage", "100ms"];
    let results = passes(&[&args[..], &["--recovery-timeout", "16s"]].concat());
    assert!(results["figures"]["attempts"]["welcomed"].as_u64().unwrap() >= 30, "{results:#}");
}

/// Arguments of `hostile`. Its attack rate is too low to reach the default limit on new connections
/// from one address, so the limit is lowered. A debug build takes a tenth of a second to reject a
/// catalog of 50,001 columns, so attacks may delay answers more than by default.
const ATTACKED: [&str; 10] = [
    "hostile",
    "--agents",
    "300",
    "--duration",
    "6s",
    "--rate",
    "200/s",
    "--collector-flag=--max-handshakes-per-address=5",
    "--max-p99-increase",
    "300ms",
];

#[test]
#[ignore = "needs a quiet machine"]
fn attacks_hardly_delay_reports_and_stay_within_the_memory_bound() {
    let results = passes(&ATTACKED);
    for phase in ["quiet", "attacked"] {
        let count = results["figures"]["answered"][phase]["count"].as_u64();
        assert!(count.unwrap() >= 300, "{results:#}");
    }
}

/// The fault delays reports by less than a second, so they are not late. Only the comparison with
/// the quiet phase finds the delay.
#[test]
#[ignore = "needs a quiet machine"]
fn reports_delayed_during_attacks_are_found() {
    let (results, printed) = play(&[&ATTACKED[..], &["--fault", "held-up"]].concat(), 1);
    let findings = results["verdict"]["findings"].as_object().unwrap();
    assert!(findings.contains_key("delayed_by_attacks"), "{printed}");
    assert!(!findings.contains_key("reports_late"), "{printed}");
}

#[test]
#[ignore = "needs a quiet machine"]
fn churning_agents_return_in_time_and_no_report_is_late() {
    let args = ["churn", "--agents", "300", "--interval", "1s", "--duration", "5s"];
    let results = passes(&[&args[..], &["--churn", "5%/s"]].concat());
    assert!(results["verdict"]["checks"]["returns"].as_u64().unwrap() > 0, "{results:#}");
}

#[test]
#[ignore = "needs a quiet machine"]
fn memory_does_not_grow_under_churn() {
    let results = passes(&["soak", "--agents", "300", "--duration", "30s"]);
    let collectors = results["figures"]["collectors"].as_array().unwrap();
    assert!(collectors[0]["resident_bytes"].as_f64().unwrap() > 0.0, "{results:#}");
}

#[test]
#[ignore = "needs a quiet machine"]
fn a_stable_fleet_has_no_late_report() {
    let results = passes(&["run", "--agents", "300", "--interval", "1s", "--duration", "5s"]);
    let reports = &results["figures"]["reports"];
    assert!(reports["answer"]["count"].as_u64().unwrap() >= 300, "{results:#}");
}
