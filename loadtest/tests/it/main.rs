//! The load test as a program: it passes a collector that is right and finds out one that is not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod blind;
mod demo;
mod flags;
mod liar;
#[cfg(target_os = "linux")]
mod many;
mod runs;
mod scenarios;

use std::time::Duration;

use assert_cmd::Command;

/// Longer than any run here takes on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(120);

/// The load test with these arguments.
fn loadtest(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetgauge-loadtest"));
    command.args(args).timeout(PATIENCE);
    command
}
