//! A correct collector passes every scenario, and a collector with a fault fails.

use std::thread;

use fleetgauge_loadtest::attackers::AttackKind;
use serde_json::Value;

use crate::{BUSY, loadtest};

/// Runs a scenario against a collector with this fault. Returns exit code, results and output.
fn play(args: &[&str], fault: Option<&str>) -> (Option<i32>, Value, String) {
    let directory = tempfile::tempdir().unwrap();
    let [json, html] = ["results.json", "results.html"].map(|name| directory.path().join(name));
    let mut command = loadtest(args);
    command.arg("--report").arg(&json).arg("--html").arg(&html);
    if let Some(fault) = fault {
        command.args(["--fault", fault]);
    }
    let output = command.output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8(printed).unwrap();
    let results = std::fs::read_to_string(json);
    let results = results.unwrap_or_else(|error| panic!("{error}: {printed}"));
    let results: Result<Value, _> = serde_json::from_str(&results);
    let results = results.unwrap_or_else(|error| panic!("{error}: {printed}"));
    let settings = &results["settings"];
    for name in ["max_lag_seconds", "tolerance_seconds", "labels"] {
        assert!(settings[name].is_number(), "{name}: {settings:#}");
    }
    let page = std::fs::read_to_string(html).unwrap();
    assert!(page.contains("<svg") && page.ends_with("</html>\n"), "{page}");
    (output.status.code(), results, printed)
}

/// Name of a fault, the findings that it must cause, and those that it may cause. Any other finding
/// fails the test.
type Fault<'a> = (&'a str, &'a [&'a str], &'a [&'a str]);

/// Runs a scenario against collectors with one fault each, then against a correct collector.
/// Returns the figures of the last run.
fn judges(args: &[&str], faults: &[Fault<'_>]) -> Value {
    thread::scope(|scope| {
        for (fault, must, may) in faults {
            scope.spawn(move || finds(&[args, &BUSY].concat(), fault, must, may));
        }
    });
    passes_on_busy_machine(args)
}

/// Runs a scenario against a correct collector, with bounds for a busy machine. Returns the
/// figures.
fn passes_on_busy_machine(args: &[&str]) -> Value {
    passes(&[args, &BUSY].concat())
}

/// Runs a scenario against a correct collector. Returns the figures.
pub(crate) fn passes(args: &[&str]) -> Value {
    let (code, results, printed) = play(args, None);
    assert_eq!(code, Some(0), "{printed}");
    assert_eq!(results["verdict"]["passed"], true, "{printed}");
    let phases = results["timeline"]["parts"].as_array().unwrap();
    for expected in phases_of(args[0]) {
        assert!(phases.iter().any(|phase| phase["what"] == *expected), "{expected}: {phases:#?}");
    }
    results["figures"].clone()
}

/// Phases of a scenario whose duration must be in its results.
fn phases_of(scenario: &str) -> &'static [&'static str] {
    match scenario {
        "storm" => &["outage", "recovering", "stable"],
        "deaths" => &["bye, fin, rst", "killed", "frozen, cut"],
        "clones" => &["clones", "reboots, closed", "reboots, silent"],
        "scrape" => &["quiet", "plain", "gzip"],
        "watch" => &["before", "fetching", "open", "after"],
        "soak" => &["soaking"],
        "hostile" => &["quiet", "attacked"],
        "forward" => &["forwarding", "catching up", "leaving"],
        other => panic!("{other} is not a scenario"),
    }
}

/// Runs a scenario against a collector with this fault. Returns the verdict.
pub(crate) fn finds(args: &[&str], fault: &str, must: &[&str], may: &[&str]) -> Value {
    finds_in(args, Some(fault), must, may)
}

/// Like [`finds`], with a fault of the collector or one that the arguments name.
pub(crate) fn finds_in(args: &[&str], fault: Option<&str>, must: &[&str], may: &[&str]) -> Value {
    let (code, results, printed) = play(args, fault);
    let fault = fault.unwrap_or_default();
    assert_eq!(code, Some(1), "{fault}: {printed}");
    let findings = results["verdict"]["findings"].as_object().unwrap();
    for reason in must {
        assert!(findings.contains_key(*reason), "{fault}: no {reason}: {printed}");
    }
    for reason in findings.keys() {
        let expected = must.iter().chain(may).any(|expected| expected == reason);
        assert!(expected, "{fault}: {reason}: {printed}");
    }
    results["verdict"].clone()
}

#[test]
fn storm_passes_a_correct_collector_and_finds_missing_agents() {
    let args = ["storm", "--agents", "30", "--collectors", "2", "--outage", "100ms"];
    // With this fault one agent in ten never returns, so a longer timeout would not help.
    let faulty = [&args[..], &BUSY, &["--recovery-timeout", "30s"]].concat();
    finds(&faulty, "missing", &["not_recovered", "missing"], &[]);
    let figures = passes_on_busy_machine(&args);
    assert!(figures["back"]["all_seconds"].as_f64().unwrap() > 0.0, "{figures:#}");
    assert!(figures["attempts"]["welcomed"].as_u64().unwrap() >= 30, "{figures:#}");
}

#[test]
fn deaths_passes_a_correct_collector_and_finds_wrong_removals() {
    let args = ["deaths", "--agents", "60", "--deaths-per-cause", "8"];
    // The tolerance of `BUSY`, 5 s, would hide that agents are removed 3.75 s too early. Without
    // that tolerance a busy machine may cause further findings.
    let impatient = [&args[..], &["--interval", "5s", "--max-lag", "30s"]].concat();
    let may = ["live_agent_removed", "missing", "stale", "leftover", "not_removed", "shown_again"];
    let figures = thread::scope(|scope| {
        scope.spawn(|| finds(&impatient, "impatient", &["removed_early"], &may));
        judges(&args, &[("leftover", &["not_removed", "leftover"], &["shown_again"])])
    });
    let times = figures["time_to_removal"].as_object().unwrap();
    for cause in ["bye", "fin", "rst", "killed_process", "frozen_process"] {
        assert_eq!(times[cause]["died"], 8, "{cause}: {figures:#}");
        assert_eq!(times[cause]["removed"], 8, "{cause}: {figures:#}");
    }
}

/// Workers judge a few pages, and the scenario itself compares many. All of them must be parsed to
/// the end.
#[test]
fn every_page_compared_with_the_deaths_is_parsed_to_its_end() {
    let args = ["deaths", "--agents", "60", "--deaths-per-cause", "5"];
    let args = [&args[..], &BUSY].concat();
    let verdict = finds(&args, "cut-off", &["unreadable"], &["incomplete", "missing"]);
    let compared = verdict["checks"]["pages compared"].as_u64().unwrap();
    let unreadable = verdict["findings"]["unreadable"].as_u64().unwrap();
    assert!(unreadable >= compared, "{unreadable} of {compared} pages: {verdict:#}");
}

#[test]
fn clones_passes_a_correct_collector_and_finds_admitted_clones() {
    let faults: [Fault<'_>; 2] = [
        (
            "same-host",
            &["clone_admitted", "clone_not_rejected", "sessions_ended"],
            &["wrong_labels", "misplaced", "not_readmitted", "refused"],
        ),
        ("one-host", &["clone_not_rejected", "not_readmitted"], &["refused"]),
    ];
    let figures = judges(&["clones", "--agents", "40", "--share", "10%"], &faults);
    assert_eq!(figures["clones"]["tried"], 4);
    assert_eq!(figures["clones"]["refused"]["id_conflict"], 4);
    for how in ["connection closed", "connection silent"] {
        assert_eq!(figures["readmitted"][how]["count"], 4, "{figures:#}");
    }
}

#[test]
fn scrape_passes_a_correct_collector() {
    let args = ["scrape", "--agents", "1000", "--duration", "4s"];
    let figures = passes_on_busy_machine(
        &[&args[..], &["--max-p99", "30s", "--max-p99-increase", "30s"]].concat(),
    );
    for encoding in ["plain", "gzip"] {
        assert!(figures["pages"][encoding]["count"].as_u64().unwrap() > 0, "{figures:#}");
        assert!(figures["answered"][encoding]["count"].as_u64().unwrap() >= 300, "{figures:#}");
    }
}

#[test]
fn back_to_back_pages_are_all_judged() {
    let args = ["scrape", "--agents", "200", "--duration", "3s"];
    let args = [&args[..], &["--max-p99", "30s", "--max-p99-increase", "30s"], &BUSY].concat();
    // The series of an invalid line are missing from the page.
    let lost = &["incomplete", "missing", "duplicate", "no_own_metrics"][..];
    thread::scope(|scope| {
        for (fault, must, may) in [
            ("shuffled", &["unreadable"][..], lost),
            ("cut-off", &["unreadable"], lost),
            ("no-type", &["unreadable"], lost),
            ("bad-label", &["unreadable"], lost),
            ("foreign", &["unknown_series"], &[]),
            ("swapped-labels", &["wrong_labels"], &[]),
            ("bad-trailer", &["scrape_failed", "nothing_measured"], &[]),
            ("cut", &["sessions_ended"], &["refused", "missing", "not_disconnected"]),
        ] {
            let args = &args;
            scope.spawn(move || finds(args, fault, must, may));
        }
    });
}

#[test]
fn watch_keeps_pages_open_and_finds_pages_that_are_too_large() {
    let args = ["watch", "--agents", "300", "--duration", "4s", "--browsers", "8"];
    // The bounds are high because other tests delay reports and pages.
    let slow = ["--max-first-byte", "30s", "--max-p99-increase", "30s", "--max-cost", "50%"];
    let args = [&args[..], &slow].concat();
    let figures = passes_on_busy_machine(&args);
    for page in ["overview", "agents", "agents_by_cpu", "host"] {
        assert_eq!(figures["pages"][page]["count"], 20, "{figures:#}");
    }
    assert_eq!(figures["open_pages"]["streams"], 8);
    let busy = [&args[..], &BUSY, &["--max-page-bytes", "10"]].concat();
    finds_in(&busy, None, &["large_page"], &[]);
}

#[test]
fn soak_finds_a_memory_leak() {
    let args = ["soak", "--agents", "40", "--duration", "8s", "--churn", "5%/s"];
    let figures = judges(&args, &[("leak", &["memory_grows"], &[])]);
    assert!(figures["sessions"]["begun"].as_u64().unwrap() > 40, "{figures:#}");
    assert!(figures["collectors"][0]["files_after"].as_u64().unwrap() > 0, "{figures:#}");
}

#[test]
fn hostile_passes_a_correct_collector_and_finds_admitted_attacks() {
    let args = ["hostile", "--agents", "300", "--duration", "6s", "--rate", "200/s"];
    // The attack rate is too low to reach the default limit on new connections from one address.
    // The bounds of the p99 are high because other tests delay reports.
    let bounds = ["--collector-flag=--max-handshakes-per-address=5", "--max-p99", "30s"];
    let args = [&args[..], &bounds, &["--max-p99-increase", "30s"]].concat();
    let ended = ["sessions_ended", "misplaced", "missing", "refused", "refusals_uncounted"];
    let faults: [Fault<'_>; 2] = [
        ("same-host", &["attack_welcomed", "attack_not_refused"], &ended),
        ("leak", &["memory_over_bound"], &[]),
    ];
    let figures = judges(&args, &faults);
    let attacks = figures["attacks"].as_object().unwrap();
    assert_eq!(attacks.len(), AttackKind::ALL.len(), "{figures:#}");
    assert!(attacks.values().all(|attack| attack["made"].as_u64().unwrap() > 0), "{figures:#}");
    assert!(figures["rejects"]["address_paused"].as_u64().unwrap() > 0, "{figures:#}");
}

#[test]
fn conflicting_settings_exit_64() {
    for (args, flag) in [
        (&["deaths", "--agents", "60", "--deaths-per-cause", "10"][..], "--deaths-per-cause"),
        (&["deaths", "--agents", "20000"], "--agents"),
        (&["clones", "--agents", "1"], "--agents"),
        (&["hostile", "--agents", "60", "--duration", "2s"], "--duration"),
    ] {
        let output = loadtest(args).assert().code(64).get_output().clone();
        let printed = String::from_utf8(output.stderr).unwrap();
        assert!(printed.contains(flag), "{args:?}: {printed}");
    }
}
