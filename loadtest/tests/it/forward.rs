//! Scenario `forward`: a correct collector passes, and each change to what it sends is found.

use std::thread;

use crate::scenarios::{finds_in, passes};

/// A small fleet that reports every second, with bounds for a busy machine.
const SMALL: [&str; 11] = [
    "forward",
    "--agents",
    "20",
    "--interval",
    "1s",
    "--duration",
    "4s",
    "--tolerance",
    "20s",
    "--max-lag",
    "30s",
];

#[test]
fn forward_passes_a_correct_collector_while_the_engine_is_away() {
    let args = [&SMALL[..], &["--profile", "node", "--faults", "engine-away"]].concat();
    let figures = passes(&[&args[..], &["--fault-time", "1s"]].concat());
    assert!(figures["samples"].as_u64().unwrap() > 20 * 450, "{figures:#}");
    assert_eq!(figures["marked_after"]["count"], 20, "{figures:#}");
}

#[test]
fn forward_loses_nothing_if_the_collector_is_killed() {
    let args = ["--faults", "collector-killed", "--fault-time", "1s"];
    let figures = passes(&[&SMALL[..], &args].concat());
    assert!(figures["replayed"].as_u64().unwrap() > 0, "{figures:#}");
}

/// A rolling restart of two collectors, with bounds for a busy machine.
const ROLLING: [&str; 15] = [
    "forward",
    "--agents",
    "30",
    "--interval",
    "1s",
    "--collectors",
    "2",
    "--faults",
    "collectors-restarted",
    "--duration",
    "20s",
    "--max-lag",
    "30s",
    "--tolerance",
    "5s",
];

#[test]
fn rolling_restart_leaves_no_gap_and_hides_no_agent() {
    let figures = passes(&[&ROLLING[..], &["--profile", "node", "--fault-time", "1s"]].concat());
    assert!(figures["roster"]["looks"].as_u64().unwrap() > 0, "{figures:#}");
}

#[test]
fn agents_that_are_missing_while_collectors_restart_are_found() {
    thread::scope(|scope| {
        for (fault, length, must, may) in [
            // Longer than the interval, the delay and the tolerance.
            ("no-drain", "10s", "missing_from_roster", &[][..]),
            ("early-marker", "1s", "early_marker", &["out_of_order"]),
        ] {
            let args = ["--judge-fault", fault, "--fault-time", length];
            let args = [&ROLLING[..], &args].concat();
            scope.spawn(move || finds_in(&args, None, &[must], may));
        }
    });
}

/// Requests wait longer than a millisecond for further samples.
#[test]
fn forward_finds_live_samples_that_are_late() {
    let args = ["--backlog", "1m", "--out-of-order", "--max-live-age", "1ms"];
    finds_in(&[&SMALL[..], &args].concat(), None, &["live_late"], &[]);
}

/// Prometheus without an out-of-order window refuses a request with one such sample as a whole, so
/// repeats of older samples are refused, too.
#[test]
fn forward_loses_nothing_if_the_engine_takes_samples_only_in_order() {
    let faults = "engine-away,engine-429,engine-500,engine-hangs,engine-cut,agents-cut,\
                  collector-killed,agents-moved,poisoned-series";
    let args = ["--faults", faults, "--fault-time", "1s", "--duration", "20s"];
    let args = [&SMALL[..5], &SMALL[7..], &args, &["--in-order-only", "--collectors", "2"]];
    let figures = passes(&args.concat());
    assert!(figures["samples"].as_u64().unwrap() > 20 * 7 * 10, "{figures:#}");
}

#[test]
#[ignore = "needs libfaketime"]
fn forward_loses_nothing_if_the_clocks_of_two_collectors_are_apart() {
    let faults = ["--faults", "agents-moved", "--fault-time", "3s", "--duration", "8s"];
    let clocks = ["--collectors", "2", "--clock-offset", "2s"];
    let args = [&SMALL[..5], &SMALL[7..], &faults, &clocks].concat();
    let figures = passes(&args);
    assert!(figures["samples"].as_u64().unwrap() > 20 * 7 * 4, "{figures:#}");
    passes(&[&args[..], &["--in-order-only"]].concat());
}

#[test]
fn forward_has_the_logs_of_all_agents_after_an_outage() {
    let args = ["5s", "--duration", "6s", "--backlog", "5m", "--profile", "node"];
    let args = [&SMALL[..4], &args, &SMALL[7..]].concat();
    for order in [&[][..], &["--out-of-order", "--max-live-age", "30s"]] {
        let figures = passes(&[&args[..], order].concat());
        let backlog = &figures["backlog"];
        assert_eq!(backlog["reports_per_agent"], 60, "{figures:#}");
        assert!(backlog["samples"].as_u64().unwrap() > 20 * 60 * 450, "{figures:#}");
        assert!(backlog["age"]["count"].as_u64().unwrap() > 0, "{figures:#}");
    }
}

#[test]
fn forward_compresses_as_it_is_told() {
    let bytes = thread::scope(|scope| {
        let runs = ["snappy", "zstd"].map(|name| {
            let args = ["--profile", "node", "--compression", name];
            scope.spawn(move || passes(&[&SMALL[..], &args].concat()))
        });
        runs.map(|run| run.join().unwrap()["bytes_per_sample"].as_f64().unwrap())
    });
    assert!(bytes[1] < 0.8 * bytes[0], "snappy and zstd: {bytes:?} bytes per sample");
}

/// What a busy machine may cause besides, because the test does not wait for it.
const LATE: [&str; 2] = ["marked_late", "not_acknowledged"];

#[test]
fn forward_finds_what_the_engine_lacks_and_what_differs() {
    thread::scope(|scope| {
        for (fault, must, may) in [
            ("lost", &["lost"][..], &["missing_marker"][..]),
            ("wrong", &["wrong_value"], &[]),
            ("conflicting", &["conflicting"], &[]),
            ("swapped", &["out_of_order"], &[]),
            ("late-marker", &["misplaced_marker", "not_marked"], &[]),
            ("no-marker", &["not_marked"], &[]),
            ("ghost", &["unknown_sample", "not_marked"], &[]),
        ] {
            let args = ["--judge-fault", fault, "--recovery-timeout", "1s", "--tolerance", "0s"];
            let args = [&SMALL[..7], &args, &["--max-lag", "30s"]].concat();
            let may = [may, &LATE].concat();
            scope.spawn(move || finds_in(&args, None, must, &may));
        }
    });
}
