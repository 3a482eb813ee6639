//! Runs with wide hosts and row churn: a correct collector passes; an incorrect one fails,
//! and the finding names the error.

use fleetgauge_loadtest::fault::with_series;
use serde_json::Value;

use crate::loadtest;
use crate::page_proxy::ProxiedPage;
use crate::runs::assert_run_finds;
use crate::scenarios::finds;

/// A run in which every host has some 500 series, and some of its rows change with every report.
const RUN: [&str; 7] = ["run", "--agents", "12", "--profile", "node", "--row-churn", "5%/s"];
/// Tolerant limits for a busy machine, and an interval of 1 s, so that rows change often.
const BUSY: [&str; 6] = ["--interval", "1s", "--max-lag", "30s", "--tolerance", "5s"];
/// Prefix of the `device` label of the victim's disks.
const DISK: &str = "device=\"dm-000003n";
/// Id of the agent whose series the tests change on pages, in quotes.
const VICTIM: &str = "\"sim-000003\"";

/// Runs against a collector whose pages pass through `rewrite`. The findings must have this reason,
/// and the output must contain `words`.
async fn assert_finds(
    duration: &'static str,
    rewrite: impl FnMut(String) -> ProxiedPage + Send + 'static,
    reason: &str,
    words: &str,
) {
    let args = [&RUN[..], &BUSY, &["--duration", duration]].concat();
    assert_run_finds(args, rewrite, &[reason], words).await;
}

/// Returns the lines of a page that contain `text`.
fn with(page: &str, text: &str) -> String {
    page.split_inclusive('\n').filter(|line| line.contains(text)).collect()
}

/// Returns the lines of a page that do not contain `text`.
fn without(page: &str, text: &str) -> String {
    page.split_inclusive('\n').filter(|line| !line.contains(text)).collect()
}

#[test]
fn wide_hosts_with_row_churn_pass() {
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("report.json");
    let args = [&RUN[..], &BUSY, &["--duration", "6s"]].concat();
    let output = loadtest(&args).arg("--report").arg(&report).output().unwrap();
    let output_text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{output_text}");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    let settings = &report["settings"];
    let series = settings["series_per_agent"].as_u64().unwrap();
    assert!((475..=525).contains(&series), "{settings:#}");
    assert_eq!(settings["row_churn_percent_per_second"], 5.0);
    // One generation of a row in four is absent, so hosts have fewer series than without churn.
    let samples = report["figures"]["scrapes"]["max_samples"].as_u64().unwrap();
    assert!((12 * series * 4 / 5..12 * series).contains(&samples), "{samples}");
}

#[test]
fn wide_hosts_pass_every_scenario() {
    let scenarios: [&[&str]; 6] = [
        &["storm", "--recovery-timeout", "60s"],
        &["deaths", "--deaths-per-cause", "2"],
        &["clones", "--share", "10%"],
        &["scrape", "--duration", "5s", "--max-p99", "30s", "--max-p99-increase", "30s"],
        &["soak", "--duration", "6s", "--churn", "5%/s"],
        &["hostile", "--duration", "6s", "--rate", "200/s", "--max-p99", "30s"],
    ];
    std::thread::scope(|scope| {
        for args in scenarios {
            scope.spawn(move || {
                let wide = ["--agents", "40", "--profile", "node", "--row-churn", "5%/s"];
                let more: &[&str] = match args[0] {
                    "hostile" => &[
                        "--collector-flag=--max-handshakes-per-address=5",
                        "--max-p99-increase",
                        "30s",
                    ],
                    _ => &[],
                };
                let output = loadtest(&[args, &wide, more, &BUSY].concat()).output().unwrap();
                let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
                assert_eq!(output.status.code(), Some(0), "{printed}");
            });
        }
    });
}

/// Faults with back-to-back pages, so that every page of the fault is judged.
#[test]
fn faults_on_pages_of_wide_hosts_are_found() {
    let args = ["scrape", "--agents", "40", "--profile", "node", "--row-churn", "5%/s"];
    let bounds = ["--duration", "5s", "--max-p99", "30s", "--max-p99-increase", "30s"];
    let args = [&args[..], &bounds, &BUSY].concat();
    std::thread::scope(|scope| {
        for (fault, found) in [
            ("torn", "torn"),
            ("removed-row", "removed_row"),
            ("swapped-labels", "wrong_labels"),
            ("foreign", "unknown_series"),
        ] {
            let args = &args;
            scope.spawn(move || finds(args, fault, &[found], &[]));
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn old_values_of_a_wide_host_are_found() {
    let mut first = String::new();
    let rewrite = move |page: String| {
        if first.is_empty() {
            first = with(&page, VICTIM);
        }
        let shows = page.contains(VICTIM);
        if shows { with_series(&without(&page, VICTIM), &first).into() } else { page.into() }
    };
    assert_finds("12s", rewrite, "stale", "sim-000003 has the values of report").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_row_of_a_wide_host_is_found() {
    let rewrite = |page: String| {
        let disk = with(&page, DISK).split(DISK).nth(1).map(|rest| rest[..3].to_owned());
        let row = disk.map(|number| format!("{DISK}{number}"));
        row.map_or_else(|| page.clone(), |row| without(&page, &row)).into()
    };
    assert_finds("4s", rewrite, "incomplete", "values of sim-000003").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_series_of_a_wide_host_is_found() {
    let rewrite = |page: String| {
        let line = with(&with(&page, "simnode_cpu_003"), VICTIM);
        let line = line.lines().next().map(|line| format!("{line}\n"));
        line.map_or_else(|| page.clone(), |line| with_series(&page, &line)).into()
    };
    let args = [&RUN[..], &BUSY, &["--duration", "4s"]].concat();
    assert_run_finds(args, rewrite, &["duplicate", "unreadable"], "sim-000003, but it sent").await;
}
