//! Tests of the comparison with a baseline.

use std::io::Write;

use serde_json::json;

use super::super::html;
use super::super::timeline::Timeline;
use super::super::{Results, ResultsBuilder};
use super::*;
use crate::judge::verdict::Verdict;

fn results(figures: Value) -> Results {
    let settings = json!({ "agents": 200, "interval_seconds": 1.0 });
    let results = ResultsBuilder::start("run");
    results.finish(settings, Verdict::new(), figures, Timeline::default()).unwrap()
}

fn file(content: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

fn error(content: &str) -> String {
    format!("{:#}", Baseline::read(file(content).path(), "run").unwrap_err())
}

#[test]
fn report_is_a_baseline_of_the_next_test() {
    let figures = json!({
        "reports": { "written": 100, "lag": { "p99_ms": 4.0, "max_ms": 0.0 } },
        "collectors": [{ "resident_bytes": 1_000 }],
        "refused": {}, "few_ticks": ["cpu_cores"],
    });
    let earlier = file(&serde_json::to_string(&results(figures)).unwrap());
    let mut now = results(json!({
        "reports": { "written": 150, "lag": { "p99_ms": 4.0, "max_ms": 2.0 }, "new": 1 },
        "collectors": [{ "resident_bytes": 500 }],
    }));
    now.compare(Baseline::read(earlier.path(), "run").unwrap());
    let tables = tables(&now);
    let rows = tables.iter().flat_map(|table| {
        let row = |(name, cells): &(String, Vec<String>)| {
            format!("{}: {name} {}", table.title, cells.join(" "))
        };
        table.rows.iter().map(row).collect::<Vec<_>>()
    });
    assert_eq!(
        rows.collect::<Vec<_>>(),
        [
            "reports: written 100 150 ▲ 1.50",
            "reports: lag: p99 4 ms 4 ms 1",
            "reports: lag: max 0 ms 2 ms –",
            "collectors: 1: resident 1,000 bytes 500 bytes ▼ 0.50",
        ]
    );
    let (text, page) = (now.to_string(), html::page(&now).unwrap());
    assert!(text.contains("compared with the test of") && text.contains("1.50"), "{text}");
    assert!(page.contains("<h2>Compared with the test of") && page.contains("1.50"), "{page}");
}

#[test]
fn other_settings_and_versions_are_named() {
    let mut now = results(json!({}));
    let earlier = json!({
        "scenario": "run", "version": "0.0.9", "began_unix_seconds": 0,
        "settings": { "agents": 100, "interval_seconds": 1.0 }, "figures": {},
    });
    now.compare(serde_json::from_value(earlier).unwrap());
    let text = now.to_string();
    assert!(text.contains("note: the baseline is of version 0.0.9, this test of"), "{text}");
    assert!(text.contains("note: agents is 200, was 100"), "{text}");
    assert!(!text.contains("interval is"), "{text}");
}

#[test]
fn report_of_another_scenario_is_refused() {
    let storm = json!({
        "scenario": "storm", "version": "0.1.0", "began_unix_seconds": 0, "settings": {},
        "figures": {},
    });
    let error = error(&storm.to_string());
    assert!(error.contains("is a report of storm, not of run;"), "{error}");
}

#[test]
fn files_that_are_no_report_are_refused() {
    for content in ["", "{}", "[1, 2]", "{\"scenario\": 1}", "\u{0}\u{1}", &"[".repeat(100_000)] {
        let error = error(content);
        assert!(error.contains("is not a report of this program"), "{error}");
    }
    let missing = Baseline::read(Path::new("/nowhere/at-all.json"), "run").unwrap_err();
    assert!(missing.to_string().contains("--baseline: cannot open"), "{missing}");
}

#[test]
fn endless_baseline_is_refused_at_the_limit() {
    let endless = tempfile::NamedTempFile::new().unwrap();
    endless.as_file().set_len(MAX_BASELINE_BYTES * 1_000).unwrap();
    let error = Baseline::read(endless.path(), "run").unwrap_err().to_string();
    assert!(error.contains("is larger than 64 MiB"), "{error}");
}

#[test]
fn markup_in_a_baseline_is_escaped() {
    let mut now = results(json!({}));
    let earlier = json!({
        "scenario": "run", "version": "<script>", "began_unix_seconds": u64::MAX >> 1,
        "settings": { "agents": "<img src=x>" }, "figures": {},
    });
    now.compare(serde_json::from_value(earlier).unwrap());
    let page = html::page(&now).unwrap();
    assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
}

#[test]
fn terminal_sequences_in_a_baseline_are_escaped_and_cut() {
    let mut now = results(json!({}));
    let earlier = json!({
        "scenario": "run", "version": "\u{1b}[2J\u{202e}", "began_unix_seconds": 0,
        "settings": { "agents": "x".repeat(100_000) }, "figures": {},
    });
    now.compare(serde_json::from_value(earlier).unwrap());
    let text = now.to_string();
    assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
    assert!(text.len() < 5_000, "{}", text.len());
}
