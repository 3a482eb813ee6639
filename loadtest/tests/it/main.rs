//! Tests of the program: a correct collector passes, and each fault is found.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod demo;
mod faults;
mod flags;
mod forward;
mod page_independent_faults;
mod page_proxy;
#[cfg(target_os = "linux")]
mod processes;
mod runs;
mod scenarios;
mod wide_hosts;

use std::time::Duration;

use assert_cmd::Command;

/// Timeout of a run on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// Flags for a machine that runs other tests, too: collectors and workers may be delayed by
/// seconds. `tests/ops/quiet.rs` asserts the real bounds.
const BUSY: [&str; 6] = ["--interval", "5s", "--max-lag", "30s", "--tolerance", "5s"];

/// Returns the load test's command with these arguments.
fn loadtest(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetgauge-loadtest"));
    command.args(args).timeout(PATIENCE);
    command
}
