//! An invalid flag exits 64, and the message names the flag and what is allowed.

use crate::loadtest;

fn refused(args: &[&str], flag: &str, advice: &str) {
    let output = loadtest(args).assert().code(64).get_output().clone();
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(printed.contains(flag) && printed.contains(advice), "{args:?}: {printed}");
}

#[test]
fn addresses_beyond_loopback_are_refused() {
    let advice = "not a loopback address";
    for address in ["192.0.2.1:45678", "0.0.0.0:45678", "[2001:db8::1]:45678"] {
        let run = ["run", "--agents", "1", "--collector", address, "--http", "127.0.0.1:1"];
        refused(&run, "--collector", advice);
        let run = ["run", "--agents", "1", "--collector", "127.0.0.1:1", "--http", address];
        refused(&run, "--http", advice);
    }
}

#[test]
fn invalid_flag_exits_64_and_is_named() {
    refused(&["run"], "--agents", "required");
    refused(&["run", "--agents", "0"], "--agents", "from 1 to 1000000");
    refused(&["run", "--agents", "1", "--interval", "1"], "--interval", "has no unit");
    refused(&["run", "--agents", "1", "--interval", "1ms"], "--interval", "1s to 5m");
    refused(&["run", "--agents", "1", "--duration", "0s"], "--duration", "1s to");
    refused(&["run", "--agents", "1", "--ramp", "0/s"], "--ramp", "from 1/s");
    refused(&["churn", "--agents", "1", "--churn", "101%/s"], "--churn", "0%/s to 100%/s");
    refused(&["run", "--agents", "1", "--collector", "127.0.0.1:1"], "--http", "required");
    for command in ["run", "churn", "storm", "scrape", "soak"] {
        refused(&[command, "--agents", "1", "--collectors", "2"], "--agents", "at least 2");
    }
    refused(&["run", "--agents", "1", "--report", "/nowhere/at/all.json"], "--report", "cannot");
    let baseline = ["run", "--agents", "1", "--baseline"];
    refused(&[&baseline[..], &["/nowhere/at/all.json"]].concat(), "--baseline", "cannot open");
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    refused(&[&baseline[..], &[manifest]].concat(), "--baseline", "not a report");
    refused(&["demo", "--profile", "node", "--classic"], "--profile", "cannot be used");
    let forward = ["forward", "--agents", "4"];
    for (flags, flag, advice) in [
        (&["--clock-offset", "2s"][..], "--clock-offset", "--collectors 2"),
        (&["--backlog", "6h"], "--backlog", "at most 5 h"),
        (&["--in-order-only", "--out-of-order"], "--in-order-only", "--out-of-order"),
    ] {
        refused(&[&forward[..], flags].concat(), flag, advice);
    }
    refused(&["demo", "--agents", "none"], "--agents", "from 1 to 1000000");
}

#[test]
fn too_large_fleet_is_refused_with_a_remedy() {
    let output = loadtest(&["run", "--agents", "1000000"]).assert().code(1).get_output().clone();
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(printed.contains("too small for 1000000 agents"), "{printed}");
    assert!(printed.contains("ulimit -Hn 1000256"), "{printed}");
}

#[test]
fn help_exits_0() {
    loadtest(&["--help"]).assert().code(0);
    loadtest(&["run", "--help"]).assert().code(0);
}
