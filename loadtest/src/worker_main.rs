//! A worker process: an [`Engine`] that takes commands from standard input.

use std::io::{self, BufRead, Write};
use std::thread;

use anyhow::Context;
use fleetgauge_common::file_limit;

use crate::engine::{Engine, FleetModel, Handle, NodeFleet, TracedFleet};
use crate::host_profile::HostProfile;
use crate::worker_protocol::{Command, Event, WorkerConfig};

/// Reads the configuration from standard input, runs the engine, and returns when the input ends.
///
/// # Errors
/// If a line cannot be parsed or a system call fails.
pub fn run() -> anyhow::Result<()> {
    file_limit::raise()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let config: WorkerConfig =
        serde_json::from_str(&line).context("invalid worker configuration")?;
    match config.hosts.profile {
        HostProfile::Basic => {
            let fleet = TracedFleet::new(&config)?;
            simulate(config, fleet)
        }
        HostProfile::Node | HostProfile::NodeLarge => {
            let fleet = NodeFleet::new(&config)?;
            simulate(config, fleet)
        }
    }
}

/// Runs the engine until the input ends.
fn simulate(config: WorkerConfig, fleet: impl FleetModel) -> anyhow::Result<()> {
    let (engine, handle) = Engine::new(config, fleet, print_event)?;
    let reader = thread::Builder::new().spawn(move || forward_commands(&handle))?;
    engine.run()?;
    reader.join().map_err(|_| anyhow::anyhow!("the thread that reads commands panicked"))?
}

/// Forwards commands until the input ends, then stops the engine.
fn forward_commands(engine: &Handle) -> anyhow::Result<()> {
    let result = forward_until_end(engine);
    engine.stop();
    result
}

fn forward_until_end(engine: &Handle) -> anyhow::Result<()> {
    for line in io::stdin().lock().lines() {
        let line = line?;
        let command: Command = serde_json::from_str(&line).context("invalid command")?;
        engine.send(command);
    }
    Ok(())
}

fn print_event(event: Event) {
    let mut line = serde_json::to_vec(&event).unwrap_or_default();
    line.push(b'\n');
    // Fails if the parent has exited; then the input has ended, too.
    let _ = io::stdout().lock().write_all(&line);
}
