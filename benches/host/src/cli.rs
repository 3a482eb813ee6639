//! The command line.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use fleetgauge_common::units::parse_duration;

use crate::measure::run;

/// Compare the cost of the agent and of node_exporter on this host
///
/// Installs nothing: if node_exporter or strace is missing, its figures are.
#[derive(Debug, Parser)]
#[command(name = "fleetgauge-host-cost", version)]
pub struct Cli {
    /// Sample the host N times in each round
    #[arg(long, value_name = "N", default_value_t = 120)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub samples: u32,
    /// Sampling interval, 1s to 5m
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = interval)]
    pub interval: Duration,
    /// Run N rounds, and print the medians
    #[arg(long, value_name = "N", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Count system calls over N samples; 0 does not count them
    #[arg(long, value_name = "N", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub traced_samples: u32,
    /// Forward an exporter's page N times in each round; 0 does not forward it
    #[arg(long, value_name = "N", default_value_t = 40)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub forwarded_pages: u32,
    /// Write a page with the table and the method to this Markdown file
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
}

/// Exit code EX_USAGE of sysexits.h: an invalid flag.
const EXIT_BAD_FLAG: u8 = 64;

/// Parses the command line, runs the comparison and returns the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(other) => {
            let _ = other.print();
            return ExitCode::from(if other.use_stderr() { EXIT_BAD_FLAG } else { 0 });
        }
    };
    match execute(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "fleetgauge-host-cost: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: &Cli) -> anyhow::Result<()> {
    let results = run(cli)?;
    let _ = write!(io::stdout(), "{}", results.table());
    let Some(file) = &cli.write else { return Ok(()) };
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let page = results.page(&arguments);
    fs::write(file, page).with_context(|| format!("writing {}", file.display()))
}

fn interval(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    let allowed = Duration::from_secs(1)..=Duration::from_secs(300);
    let is_allowed = allowed.contains(&duration);
    is_allowed.then_some(duration).ok_or_else(|| "must be 1s to 5m".to_owned())
}
