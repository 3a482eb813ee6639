//! Every scenario passes a collector that is right, and finds one out that is made to misbehave.

use std::thread;

use fleetgauge_loadtest::fault::STALL;
use serde_json::Value;

use crate::loadtest;

/// Plays a scenario against a collector with this fault; the results, and what was said.
fn play(args: &[&str], fault: Option<&str>) -> (Option<i32>, Value, String) {
    let directory = tempfile::tempdir().unwrap();
    let [json, html] = ["results.json", "results.html"].map(|name| directory.path().join(name));
    let mut command = loadtest(args);
    command.arg("--report").arg(&json).arg("--html").arg(&html);
    if let Some(fault) = fault {
        command.args(["--fault", fault]);
    }
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    let results = std::fs::read_to_string(json);
    let results = results.unwrap_or_else(|error| panic!("{error}: {said}"));
    let results = serde_json::from_str(&results).unwrap_or_else(|error| panic!("{error}: {said}"));
    let page = std::fs::read_to_string(html).unwrap();
    assert!(page.contains("<svg") && page.ends_with("</html>\n"), "{page}");
    (output.status.code(), results, said)
}

/// A fault, the findings that it must lead to, and those that it may lead to besides. No other may be found.
type Fault<'a> = (&'a str, &'a [&'a str], &'a [&'a str]);

/// Plays a scenario against collectors with a fault each, and then against one that is right: the figures of that.
fn judges(args: &[&str], faults: &[Fault<'_>]) -> Value {
    thread::scope(|scope| {
        for (fault, must, may) in faults {
            scope.spawn(move || finds(args, fault, must, may));
        }
    });
    let (code, results, said) = play(args, None);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(results["verdict"]["passed"], true, "{said}");
    results["figures"].clone()
}

/// Plays a scenario against a collector with this fault: the figures.
fn finds(args: &[&str], fault: &str, must: &[&str], may: &[&str]) -> Value {
    let (code, results, said) = play(args, Some(fault));
    assert_eq!(code, Some(1), "{fault}: {said}");
    let findings = results["verdict"]["findings"].as_object().unwrap();
    for reason in must {
        assert!(findings.contains_key(*reason), "{fault}: no {reason}: {said}");
    }
    for reason in findings.keys() {
        let expected = must.iter().chain(may).any(|expected| expected == reason);
        assert!(expected, "{fault}: {reason}: {said}");
    }
    results["figures"].clone()
}

#[test]
fn a_storm_is_weathered_or_not() {
    let args =
        ["storm", "--agents", "30", "--late", "30s", "--collectors", "2", "--outage", "100ms"];
    let patience = ["--patience", "16s"];
    let figures =
        judges(&[&args[..], &patience].concat(), &[("missing", &["not_back", "missing"], &[])]);
    assert!(figures["back"]["all_seconds"].as_f64().unwrap() > 0.0, "{figures:#}");
    assert!(figures["attempts"]["welcomed"].as_u64().unwrap() >= 30, "{figures:#}");
}

#[test]
fn deaths_are_seen_in_time_or_not() {
    let faults: [Fault<'_>; 2] = [
        ("leftover", &["left", "leftover"], &["shown_again"]),
        ("impatient", &["removed_early"], &["removed_alive"]),
    ];
    let figures = judges(&["deaths", "--agents", "60", "--each", "8"], &faults);
    let times = figures["time_to_removal"].as_object().unwrap();
    for cause in ["bye", "fin", "rst", "killed_process", "frozen_process"] {
        assert_eq!(times[cause]["died"], 8, "{cause}: {figures:#}");
        assert_eq!(times[cause]["removed"], 8, "{cause}: {figures:#}");
    }
}

#[test]
fn clones_are_refused_or_not() {
    let faults: [Fault<'_>; 2] = [
        (
            "same-host",
            &["clone_admitted", "clone_unnamed", "sessions_ended"],
            &["wrong_labels", "misplaced", "not_readmitted"],
        ),
        ("one-host", &["clone_unnamed", "not_readmitted"], &[]),
    ];
    let figures = judges(&["clones", "--agents", "40", "--share", "10%"], &faults);
    assert_eq!(figures["clones"]["tried"], 4);
    assert_eq!(figures["clones"]["refused"]["id_conflict"], 4);
    for how in ["connection closed", "connection silent"] {
        assert_eq!(figures["readmitted"][how]["count"], 4, "{figures:#}");
    }
}

/// Arguments of `scrape` for a machine that is busy with other tests: reports may be slow by themselves, by less
/// than a page stalls them that is made to.
const SCRAPE: [&str; 9] =
    ["scrape", "--agents", "300", "--duration", "4s", "--slower", "300ms", "--late", "30s"];

/// How long 99 of 100 reports took while no page was asked for, in milliseconds.
fn quiet_ms(figures: &Value) -> f64 {
    let quiet = figures["answered"]["no_scrapes"].clone();
    assert!(quiet["count"].as_u64().unwrap() >= 300, "{figures:#}");
    quiet["p99_ms"].as_f64().unwrap()
}

#[test]
fn hard_scraping_slows_reports_or_not() {
    let stall_ms = STALL.as_secs_f64() * 1e3;
    let stalled = finds(&SCRAPE, "stall", &["reports_slowed"], &[]);
    assert!(quiet_ms(&stalled) < stall_ms, "the baseline is poisoned: {stalled:#}");
    let figures = judges(&SCRAPE, &[]);
    assert!(quiet_ms(&figures) < stall_ms, "{figures:#}");
    for encoding in ["plain", "gzip"] {
        assert!(figures["pages"][encoding]["count"].as_u64().unwrap() > 0, "{figures:#}");
        assert!(figures["answered"][encoding]["count"].as_u64().unwrap() >= 300, "{figures:#}");
    }
}

#[test]
fn pages_asked_for_back_to_back_are_all_judged() {
    let slow = ["--duration", "2s", "--slower", "30s"];
    let args = [&SCRAPE[..3], &slow, &SCRAPE[7..]].concat();
    // Lies about the form of pages are a table of the fault's own tests.
    thread::scope(|scope| {
        for (fault, must, may) in [
            ("swapped-labels", &["wrong_labels"][..], &[][..]),
            ("bad-trailer", &["scrape_failed", "nothing_measured"], &[]),
            ("cut", &["sessions_ended"], &["refused", "missing"]),
        ] {
            let args = &args;
            scope.spawn(move || finds(args, fault, must, may));
        }
    });
}

#[test]
fn a_soak_finds_what_grows() {
    let args = ["soak", "--agents", "40", "--late", "30s", "--duration", "8s", "--churn", "5%/s"];
    let figures = judges(&args, &[("leak", &["memory_grows"], &[])]);
    assert!(figures["sessions"]["begun"].as_u64().unwrap() > 40, "{figures:#}");
    assert!(figures["collectors"][0]["files_after"].as_u64().unwrap() > 0, "{figures:#}");
}

#[test]
fn attacks_are_refused_or_not() {
    let args =
        ["hostile", "--agents", "60", "--late", "30s", "--duration", "6s", "--rate", "200/s"];
    // At this rate a flood is one only where less is allowed. Beside other tests reports are late by themselves.
    let bounds = ["--collector-flag=--max-handshakes-per-address=5"];
    let bounds = [&bounds[..], &["--slower", "1000000"]].concat();
    let ended = ["sessions_ended", "misplaced", "missing", "refused", "refusals_uncounted"];
    let faults: [Fault<'_>; 2] = [
        ("same-host", &["attack_welcomed", "attack_not_refused"], &ended),
        ("leak", &["memory_over_bound"], &[]),
    ];
    let figures = judges(&[&args[..], &bounds].concat(), &faults);
    let attacks = figures["attacks"].as_object().unwrap();
    assert_eq!(attacks.len(), 10, "{figures:#}");
    assert!(attacks.values().all(|attack| attack["made"].as_u64().unwrap() > 0), "{figures:#}");
    assert!(figures["rejects"]["address_paused"].as_u64().unwrap() > 0, "{figures:#}");
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    for (args, flag) in [
        (&["deaths", "--agents", "60", "--each", "10"][..], "--each"),
        (&["deaths", "--agents", "20000"], "--agents"),
        (&["clones", "--agents", "1"], "--agents"),
        (&["hostile", "--agents", "60", "--late", "30s", "--duration", "2s"], "--duration"),
    ] {
        let output = loadtest(args).assert().code(64).get_output().clone();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(flag), "{args:?}: {said}");
    }
}
