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
    assert_eq!(figures["roster"]["fewest_shown"], 30, "{figures:#}");
}

#[test]
fn agents_that_are_missing_while_collectors_restart_are_found() {
    thread::scope(|scope| {
        for (fault, length, must, may) in [
            // Longer than the interval, the delay and the tolerance.
            ("no-drain", "10s", "missing_from_roster", &[][..]),
            ("early-marker", "1s", "early_marker", &["mixed_requests", "out_of_order"]),
        ] {
            let args = ["--judge-fault", fault, "--fault-time", length];
            let args = [&ROLLING[..], &args].concat();
            scope.spawn(move || finds_in(&args, None, &[must], may));
        }
    });
}

#[test]
fn forward_finds_what_the_engine_lacks_and_what_differs() {
    thread::scope(|scope| {
        for (fault, must, may) in [
            ("lost", &["lost"][..], &["missing_marker"][..]),
            ("wrong", &["wrong_value"], &[]),
            ("conflicting", &["conflicting"], &[]),
            ("late-marker", &["misplaced_marker", "not_marked"], &[]),
            ("no-marker", &["not_marked"], &[]),
            ("ghost", &["unknown_sample", "not_marked"], &[]),
        ] {
            let args = ["--judge-fault", fault, "--recovery-timeout", "1s", "--tolerance", "0s"];
            let args = [&SMALL[..7], &args, &["--max-lag", "30s"]].concat();
            scope.spawn(move || finds_in(&args, None, must, may));
        }
    });
}
