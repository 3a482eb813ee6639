//! Faults of real programs: stopped, disconnected, or with a wrong clock.
//!
//! `docs/faults.md` says what each fault may cost, and what these tests measured.

mod bad_links;
mod clocks;
mod frozen;
mod half_open;
mod hung_mount;
mod rebooted_host;

use std::time::{Duration, Instant};

use crate::network::Network;
use crate::programs::{Program, built, wait_for};

/// Address of the collector in its namespace.
const COLLECTOR: &str = "192.0.2.1:45678";

/// Starts a collector in this namespace and waits until it responds.
fn collector(network: &Network, namespace: &str) -> Program {
    let mut command = network.command(namespace, built("fleetgauge-collector"));
    command.args(["--listen", "0.0.0.0:45678", "--insecure"]);
    let program = Program::start(command);
    wait_for("a collector that answers", 10, || network.page(namespace, "/readyz"));
    program
}

/// Starts a real agent in this namespace.
fn agent(network: &Network, namespace: &str, id: &str, interval: &str) -> Program {
    let mut command = network.command(namespace, built("fleetgauge-agent"));
    command.args(["--id", id, "--collector", COLLECTOR, "--interval", interval]);
    Program::start(command)
}

/// Whether a page shows this agent.
fn shows(page: &str, id: &str) -> bool {
    page.contains(&format!("{{agent=\"{id}\"}}"))
}

/// Waits until the condition holds. Panics after `seconds`. Returns how long the wait took.
fn until(what: &str, seconds: u64, mut so: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    wait_for(what, seconds, || so().then_some(()));
    begun.elapsed()
}

/// Value of a series on a page.
fn value(page: &str, series: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {page}")).parse().unwrap()
}
