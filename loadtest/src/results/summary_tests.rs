//! Tests of the summary in words.

use serde_json::json;

use super::super::comparison::Baseline;
use super::super::timeline::Timeline;
use super::super::{Results, ResultsBuilder};
use super::*;
use crate::judge::finding::Finding;
use crate::judge::verdict::Verdict;

fn run() -> Results {
    let settings = json!({
        "agents": 15_000, "collectors": 1, "interval_seconds": 1.0, "series_per_agent": 6
    });
    let figures = json!({
        "reports": { "answer": { "p99_ms": 3.2 } },
        "collector": { "cpu_us_per_report": 8.1, "resident_bytes_per_agent": 904.0 },
    });
    let mut verdict = Verdict::new();
    verdict.checked("pages", 30);
    let results = ResultsBuilder::start("run");
    let mut results = results.finish(settings, verdict, figures, Timeline::default()).unwrap();
    results.took_seconds = 75.4;
    results
}

#[test]
fn summary_says_what_was_run_what_was_found_and_what_matters() {
    assert_eq!(
        sentences(&run()),
        [
            "15,000 simulated agents with 6 series each reported every 1 s to one collector; the \
             whole test took 75 s.",
            "All checks passed (30 pages).",
            "The collectors processed 99 % of the reports within 3.2 ms; a report cost them 8.1 us \
             of CPU; an agent took 904 bytes of their memory.",
        ]
    );
}

#[test]
fn summary_of_a_failed_test_names_the_findings() {
    let mut results = run();
    results.verdict.add("page 2", [Finding::NotDisconnected { agents: 1 }]);
    let found = &sentences(&results)[1];
    assert_eq!(found, "The test failed with 1 finding: 1 not disconnected.");
}

#[test]
fn figures_that_were_not_measured_are_left_out() {
    let mut results = run();
    results.figures = json!({ "reports": { "answer": { "p99_ms": 3.2 } }, "collector": null });
    assert_eq!(key_figures(&results).len(), 1);
    results.figures = json!({});
    assert_eq!(sentences(&results).len(), 2);
}

#[test]
fn summary_names_the_change_of_the_figures_that_matter() {
    let mut results = run();
    let baseline = json!({
        "scenario": "run", "version": results.version, "began_unix_seconds": 0,
        "settings": results.settings, "figures": { "collector": { "cpu_us_per_report": 16.2 } },
    });
    let same: Baseline = serde_json::from_value(baseline.clone()).unwrap();
    results.compare(same);
    assert_eq!(
        sentences(&results).pop().unwrap(),
        "Compared with the test of Thu, 01 Jan 1970 00:00:00 GMT: CPU per report: 16.2 us before, \
         ratio ▼ 0.50."
    );
    let mut other = baseline;
    other["settings"]["agents"] = json!(1);
    results.compare(serde_json::from_value(other).unwrap());
    let compared = sentences(&results).pop().unwrap();
    assert!(compared.contains("GMT, whose settings or version differ: CPU"), "{compared}");
}

/// Pointers follow from the structure of the figures, so a renamed figure must be renamed here.
#[test]
fn every_scenario_has_headlines() {
    let scenarios =
        ["run", "storm", "deaths", "clones", "scrape", "watch", "soak", "hostile", "forward"];
    for scenario in scenarios {
        let headlines = headlines(scenario);
        assert_eq!(headlines.len(), 3, "{scenario}");
        for Headline { pointer, clause, .. } in headlines {
            assert!(pointer.starts_with('/') && clause.matches("{}").count() == 1, "{pointer}");
        }
    }
}
