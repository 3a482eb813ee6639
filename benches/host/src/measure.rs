//! Runs the rounds.
//!
//! ```text
//! start ─ warm up ─ window ──────────────── pages ── under strace ─ stop
//!                   CPU, memory, bytes      series   system calls
//! ```

use std::io::{self, Write};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use fleetgauge_peers::machine::Machine;
use fleetgauge_peers::usage::{self, Usage};

use crate::cli::Cli;
use crate::cpu_time;
use crate::figures::{Figures, Forwarding};
use crate::forwarding::Forwarder;
use crate::page::Results;
use crate::programs::{Agent, Exporter, Received};
use crate::system_calls;

/// Samples before the window: the first one opens files and allocates.
pub(crate) const WARM_UP_SAMPLES: u32 = 5;

/// Runs all rounds.
///
/// # Errors
/// If a program does not start or respond.
pub fn run(cli: &Cli) -> anyhow::Result<Results> {
    let exporter = Exporter::find();
    let forwarder = (cli.forwarded_pages > 0).then(Forwarder::start).transpose()?;
    let (mut agents, mut exporters) = (Vec::new(), Vec::new());
    let mut forwarding: [Vec<Forwarding>; 2] = Default::default();
    for number in 1..=cli.rounds {
        let round = round(cli, exporter.as_ref().map(|(name, _)| *name))?;
        agents.push(round.agent);
        exporters.extend(round.exporter);
        // Progress only: a closed standard error is no failure.
        let _ = writeln!(io::stderr(), "round {number} of {}: {round:?}", cli.rounds);
        if let Some(forwarder) = &forwarder {
            let round = forwarder.round(cli)?;
            forwarding.iter_mut().zip(round).for_each(|(rounds, round)| rounds.push(round));
            let _ = writeln!(io::stderr(), "forwarding, plain and gzip: {round:?}");
        }
    }
    Ok(Results {
        machine: Machine::this(),
        samples: cli.samples,
        interval: cli.interval,
        rounds: cli.rounds,
        exporter_version: exporter.map(|(_, version)| version),
        agent: Figures::medians(&agents),
        exporter: Figures::medians(&exporters),
        forwarded_pages: cli.forwarded_pages,
        forwarding: forwarding.map(|rounds| Forwarding::medians(&rounds)),
    })
}

#[derive(Debug)]
struct Round {
    agent: Figures,
    exporter: Option<Figures>,
}

/// Resource usage and bytes at one end of the window.
struct Reading {
    agent: Usage,
    received: Received,
    exporter: Option<(Usage, u64)>,
}

fn round(cli: &Cli, exporter: Option<&str>) -> anyhow::Result<Round> {
    let dir = tempfile::tempdir()?;
    let mut exporter = exporter.map(|name| Exporter::start(name, dir.path())).transpose()?;
    let mut agent = Agent::start(cli.interval, "node", None, dir.path())?;
    agent.wait_for_reports(1, cli.interval)?;
    scrape(exporter.as_mut(), WARM_UP_SAMPLES, cli.interval)?;
    let before = read(&agent, exporter.as_ref())?;
    scrape(exporter.as_mut(), cli.samples, cli.interval)?;
    let after = read(&agent, exporter.as_ref())?;
    let reports = (after.received.reports - before.received.reports).max(1) as f64;
    let series = series(&agent.page()?);
    let agent_figures = Figures {
        cpu_ms: cpu_ms(before.agent, after.agent) / reports,
        resident_bytes: after.agent.resident as f64,
        system_calls: agent_calls(cli, &mut agent, dir.path())?,
        series,
        wire_bytes: (after.received.bytes - before.received.bytes) as f64 / reports,
    };
    let mut exporter_figures = None;
    if let (Some(exporter), Some(before), Some(after)) =
        (&mut exporter, before.exporter, after.exporter)
    {
        let scrapes = f64::from(cli.samples);
        let page = exporter.client.get("/metrics", false)?;
        exporter_figures = Some(Figures {
            cpu_ms: cpu_ms(before.0, after.0) / scrapes,
            resident_bytes: after.0.resident as f64,
            system_calls: exporter_calls(cli, exporter, dir.path())?,
            series: self::series(&String::from_utf8_lossy(&page)),
            wire_bytes: (after.1 - before.1) as f64 / scrapes,
        });
    }
    Ok(Round { agent: agent_figures, exporter: exporter_figures })
}

/// Scrapes the exporter, if any, this many times, and sleeps after each scrape until the next one.
fn scrape(mut exporter: Option<&mut Exporter>, count: u32, each: Duration) -> anyhow::Result<()> {
    let start = Instant::now();
    for number in 1..=count {
        if let Some(exporter) = &mut exporter {
            exporter.scrape()?;
        }
        sleep((start + each * number).saturating_duration_since(Instant::now()));
    }
    Ok(())
}

fn read(agent: &Agent, exporter: Option<&Exporter>) -> anyhow::Result<Reading> {
    let of_exporter =
        |exporter: &Exporter| anyhow::Ok((usage(exporter.process.pid())?, exporter.client.bytes()));
    Ok(Reading {
        agent: usage(agent.process.pid())?,
        received: agent.received()?,
        exporter: exporter.map(of_exporter).transpose()?,
    })
}

/// Reads the resource usage of a process, with its exact CPU time.
pub(crate) fn usage(pid: u32) -> anyhow::Result<Usage> {
    Ok(Usage { cpu: cpu_time::of(pid)?, ..usage::of(pid)? })
}

pub(crate) fn cpu_ms(before: Usage, after: Usage) -> f64 {
    after.cpu.saturating_sub(before.cpu).as_secs_f64() * 1e3
}

/// Number of samples on a page.
fn series(page: &str) -> f64 {
    page.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count() as f64
}

fn agent_calls(cli: &Cli, agent: &mut Agent, dir: &Path) -> anyhow::Result<Option<f64>> {
    if cli.traced_samples == 0 {
        return Ok(None);
    }
    let counted = system_calls::count(agent.process.pid(), dir, || {
        let before = agent.received()?.reports;
        let after = agent.wait_for_reports(u64::from(cli.traced_samples), cli.interval)?;
        Ok(after.reports - before)
    })?;
    Ok(counted.map(|(calls, reports)| calls as f64 / reports.max(1) as f64))
}

fn exporter_calls(cli: &Cli, exporter: &mut Exporter, dir: &Path) -> anyhow::Result<Option<f64>> {
    if cli.traced_samples == 0 {
        return Ok(None);
    }
    let counted = system_calls::count(exporter.process.pid(), dir, || {
        scrape(Some(exporter), cli.traced_samples, cli.interval)
    });
    Ok(counted?.map(|(calls, ())| calls as f64 / f64::from(cli.traced_samples)))
}
