//! Whole runs: a correct collector passes; an incorrect one fails, and the finding names the error.

use fleetgauge_loadtest::fault::with_series;
use serde_json::Value;

use crate::page_proxy::{PageProxy, ProxiedPage};
use crate::{BUSY, loadtest};

/// Id of the agent whose series the tests change on pages, in quotes.
const VICTIM: &str = "\"sim-000003\"";

#[test]
fn a_correct_collector_passes_with_churn() {
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("report.json");
    let report_flag = report.to_str().unwrap();
    let args = ["churn", "--agents", "50", "--duration", "4s", "--churn", "10%/s"];
    let output =
        loadtest(&[&args[..], &BUSY, &["--report", report_flag]].concat()).output().unwrap();
    let output_text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{output_text}");
    assert!(output_text.contains("passed: 5 pages"), "{output_text}");

    let report: Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    assert_eq!(report["verdict"]["passed"], true);
    assert_eq!(report["verdict"]["checks"]["pages"], 5);
    assert_eq!(report["figures"]["connects"]["agents"], 50);
    for (part, figure) in [
        ("sessions", "ended_by_bye"),
        ("sessions", "ended_by_reset"),
        ("reports", "written"),
        ("scrapes", "max_samples"),
    ] {
        assert!(
            report["figures"][part][figure].as_u64().unwrap() > 0,
            "{part}.{figure}: {report:#}"
        );
    }
    assert!(report["figures"]["sessions"]["begun"].as_u64().unwrap() > 50, "{report:#}");
    if cfg!(target_os = "linux") {
        let resident = report["figures"]["collector"]["resident_bytes_per_agent"].as_f64();
        assert!(resident.unwrap() > 0.0, "{report:#}");
    }
}

#[test]
fn churning_agents_resume_tls_sessions() {
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("report.json");
    let args = ["churn", "--tls", "--agents", "30", "--duration", "4s", "--churn", "20%/s"];
    let output =
        loadtest(&[&args[..], &BUSY].concat()).arg("--report").arg(&report).output().unwrap();
    let output_text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{output_text}");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    let begun = report["figures"]["sessions"]["begun"].as_u64().unwrap();
    let resumed = report["figures"]["connects"]["resumed"].as_u64().unwrap();
    assert!(resumed > 0 && begun == 30 + resumed, "{resumed} of {begun}: {output_text}");
}

/// Runs the load test against a collector whose pages pass through `rewrite`. The findings must
/// have exactly these reasons, and the output must contain `words`.
async fn assert_finds(
    rewrite: impl FnMut(String) -> ProxiedPage + Send + 'static,
    reasons: &[&str],
    words: &str,
) {
    let args = ["run", "--agents", "20", "--duration", "4s"];
    assert_run_finds([&args[..], &BUSY].concat(), rewrite, reasons, words).await;
}

/// Like [`assert_finds`], with these arguments.
pub(crate) async fn assert_run_finds(
    args: Vec<&'static str>,
    rewrite: impl FnMut(String) -> ProxiedPage + Send + 'static,
    reasons: &[&str],
    words: &str,
) {
    let proxy = PageProxy::start(rewrite).await;
    let (agents, http) = (proxy.agents.to_string(), proxy.http.to_string());
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("report.json");
    let file = report.clone();
    let run = tokio::task::spawn_blocking(move || {
        let target = ["--collector", &agents, "--http", &http, "--report", file.to_str().unwrap()];
        loadtest(&[&args[..], &target].concat()).output().unwrap()
    });
    let output = run.await.unwrap();
    let output_text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{output_text}");
    assert!(output_text.contains("FAILED") && output_text.contains(words), "{output_text}");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    let findings = report["verdict"]["findings"].as_object().unwrap();
    assert_eq!(findings.keys().collect::<Vec<_>>(), reasons, "{output_text}");
}

fn of_victim(page: &str) -> String {
    page.split_inclusive('\n').filter(|line| line.contains(VICTIM)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn series_of_a_departed_agent_are_found() {
    let mut last = String::new();
    let rewrite = move |page: String| {
        match of_victim(&page) {
            gone if gone.is_empty() => return with_series(&page, &last).into(),
            present => last = present,
        }
        page.into()
    };
    assert_finds(rewrite, &["leftover"], "sim-000003 is still on the page").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_value_is_found() {
    let tear = |line: &str| match line.rsplit_once(' ') {
        Some((series, value)) if series.contains("sim_value_4") && series.contains(VICTIM) => {
            // The lowest three bits are the position; the next one is the lowest of the sequence
            // number.
            format!("{series} {}\n", value.trim_end().parse::<f64>().unwrap() - 8.0)
        }
        _ => line.to_owned(),
    };
    let rewrite =
        move |page: String| page.split_inclusive('\n').map(tear).collect::<String>().into();
    assert_finds(rewrite, &["torn"], "sim-000003 has values of two reports").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_live_agent_is_found() {
    let rewrite = |page: String| {
        let kept = page.split_inclusive('\n').filter(|line| !line.contains(VICTIM));
        kept.collect::<String>().into()
    };
    assert_finds(rewrite, &["missing"], "sim-000003 is missing").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_page_is_found() {
    let rewrite = |page: String| ProxiedPage { announced: page.len() + 1, page };
    assert_finds(
        rewrite,
        &["no_checkpoint", "nothing_compared", "scrape_failed"],
        "end of file before message length reached",
    )
    .await;
}
