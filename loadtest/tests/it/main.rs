//! The load test as a program: it passes a collector that is right and finds out one that is not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod demo;
mod faults;
mod flags;
mod page_independent_faults;
mod page_proxy;
#[cfg(target_os = "linux")]
mod processes;
mod runs;
mod scenarios;

use std::time::Duration;

use assert_cmd::Command;

/// Longer than any run here takes on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(300);

/// Flags for a machine that is busy with other tests: a collector or a worker that waits seconds
/// for its turn is no finding. `tests/ops/quiet.rs` asserts the real bounds.
const BUSY: [&str; 6] = ["--interval", "5s", "--late", "30s", "--tolerance", "5s"];

/// The load test with these arguments.
fn loadtest(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetgauge-loadtest"));
    command.args(args).timeout(PATIENCE);
    command
}
