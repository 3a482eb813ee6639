//! Measures what it costs the agent to forward an exporter's page.

use std::net::SocketAddr;
use std::thread::sleep;

use anyhow::ensure;
use fleetgauge_peers::usage::Usage;
use tempfile::TempDir;

use crate::cli::Cli;
use crate::figures::Forwarding;
use crate::measure::{WARM_UP_SAMPLES, cpu_ms, usage};
use crate::programs::{Agent, Received};
use crate::served_page::{SERIES, serve};

/// The exporters whose page is forwarded.
#[derive(Debug)]
pub struct Forwarder {
    plain: SocketAddr,
    gzip: SocketAddr,
}

/// An agent, with the directory of its files.
struct Measured {
    agent: Agent,
    _dir: TempDir,
}

impl Forwarder {
    /// Starts the exporters.
    ///
    /// # Errors
    /// If no port or thread is available.
    pub fn start() -> anyhow::Result<Self> {
        Ok(Self { plain: serve(false)?, gzip: serve(true)? })
    }

    /// Runs a round. Returns the cost of a plain page and of one with gzip.
    ///
    /// # Errors
    /// If a program does not start or respond, or the page is not forwarded.
    pub fn round(&self, cli: &Cli) -> anyhow::Result<[Forwarding; 2]> {
        let mut agents = Vec::new();
        for exporter in [None, Some(self.plain), Some(self.gzip)] {
            let dir = tempfile::tempdir()?;
            let agent = Agent::start(cli.interval, "basic", exporter, dir.path())?;
            agents.push(Measured { agent, _dir: dir });
        }
        for Measured { agent, .. } in &mut agents {
            agent.wait_for_reports(1, cli.interval)?;
        }
        sleep(cli.interval * WARM_UP_SAMPLES);
        let before = read(&agents)?;
        sleep(cli.interval * cli.forwarded_pages);
        let after = read(&agents)?;
        for Measured { agent, .. } in &agents[1..] {
            let lines = agent.page()?.matches("\nexporter_").count();
            ensure!(lines >= SERIES, "{lines} of {SERIES} series of the exporter are reported");
        }
        let costs: Vec<_> = before.iter().zip(&after).map(cost).collect();
        let [none, plain, gzip] = costs[..] else { anyhow::bail!("three agents") };
        Ok([difference(plain, none), difference(gzip, none)])
    }
}

fn read(agents: &[Measured]) -> anyhow::Result<Vec<(Usage, Received)>> {
    let read = |measured: &Measured| {
        let agent = &measured.agent;
        Ok((usage(agent.process.pid())?, agent.received()?))
    };
    agents.iter().map(read).collect()
}

/// Returns the cost of a report.
fn cost((before, after): (&(Usage, Received), &(Usage, Received))) -> Forwarding {
    let reports = (after.1.reports - before.1.reports).max(1) as f64;
    Forwarding {
        cpu_ms: cpu_ms(before.0, after.0) / reports,
        resident_bytes: after.0.resident as f64,
        wire_bytes: (after.1.bytes - before.1.bytes) as f64 / reports,
    }
}

fn difference(with: Forwarding, without: Forwarding) -> Forwarding {
    Forwarding {
        cpu_ms: with.cpu_ms - without.cpu_ms,
        resident_bytes: with.resident_bytes - without.resident_bytes,
        wire_bytes: with.wire_bytes - without.wire_bytes,
    }
}
