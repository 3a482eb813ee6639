//! The command line.

use std::fmt::Display;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use fleetgauge_common::file_limit;
use fleetgauge_common::units::parse_duration;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::address;
use crate::fleet_kind::FleetKind;
use crate::forwarding::{self, ForwardArgs};
use crate::peer::Peer;
use crate::run::run;
use crate::table;

/// Compare the cost of fleetgauge and other servers with the same fleet
///
/// Installs nothing: a missing program is listed with its Debian package.
#[derive(Debug, Parser)]
#[command(name = "fleetgauge-peers", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// Simulate hosts of this kind
    #[arg(long, value_name = "KIND", value_enum, default_value_t)]
    pub fleet: FleetKind,
    /// Simulate fleets of N hosts (comma-separated) [default: 1000,10000; wide: 1000]
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = fleet_size)]
    hosts: Vec<usize>,
    /// Send N reports per second in total [default: 1000; wide: 66.7, one report per host every
    /// 15 s]
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// Measure reports for this long, and an idle program for half as long [default: 10s; wide:
    /// 45s]
    #[arg(long, value_name = "DURATION", value_parser = at_least_1s)]
    duration: Option<Duration>,
    /// Only measure programs and settings that contain TEXT, ignoring case (repeatable)
    #[arg(long, value_name = "TEXT")]
    pub only: Vec<String>,
    /// Maximum wait for the series of vanished hosts to disappear; 0s skips the test
    #[arg(long, value_name = "DURATION", default_value = "350s", value_parser = parse_duration)]
    pub vanish_wait: Duration,
    /// Report interval of hosts in that test
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = at_least_1s)]
    pub vanish_interval: Duration,
    /// Where the results go
    #[command(flatten)]
    pub files: OutputFiles,
    /// Another comparison
    #[command(subcommand)]
    pub command: Option<Comparison>,
}

/// Comparisons other than that of servers.
#[derive(Debug, Subcommand)]
pub enum Comparison {
    /// Compare programs that forward samples by remote write
    Forward(ForwardArgs),
}

impl Cli {
    /// Sizes of the fleets, in hosts.
    #[must_use]
    pub fn hosts(&self) -> Vec<usize> {
        if self.hosts.is_empty() { self.fleet.default_hosts() } else { self.hosts.clone() }
    }

    /// Reports per second in total.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate.unwrap_or(self.fleet.default_rate())
    }

    /// Length of the measurement window, in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.duration.map_or(self.fleet.default_seconds(), |duration| duration.as_secs_f64())
    }

    /// Whether `--only` selects the program with its setting.
    #[must_use]
    pub fn selects(&self, peer: &dyn Peer) -> bool {
        let name = format!("{}: {}", peer.product().name, peer.setting()).to_lowercase();
        self.only.is_empty() || self.only.iter().any(|only| name.contains(&only.to_lowercase()))
    }
}

/// Files to write results to.
#[derive(Debug, Args)]
pub struct OutputFiles {
    /// Replace the tables of this kind between their marks in this Markdown file
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// Write all figures to FILE as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl OutputFiles {
    /// Writes the results to the requested files, and the tables to standard output. `name` is that
    /// of the marks.
    ///
    /// # Errors
    /// If a file cannot be written, or lacks the marks for the tables.
    pub fn write(&self, name: &str, results: &(impl Serialize + Display)) -> anyhow::Result<()> {
        let tables = results.to_string();
        if let Some(file) = &self.json {
            let json = serde_json::to_string_pretty(results)?;
            fs::write(file, json + "\n").with_context(|| format!("writing {}", file.display()))?;
        }
        if let Some(file) = &self.write {
            let page = fs::read_to_string(file).and_then(|page| {
                let page = table::replace(&page, name, &tables);
                fs::write(file, page.ok_or(ErrorKind::InvalidData)?)
            });
            page.with_context(|| {
                let [begin, end] = table::marks(name);
                format!("writing between {begin} and {end} in {}", file.display())
            })?;
        }
        let _ = write!(io::stdout(), "{tables}");
        Ok(())
    }
}

/// Exit code EX_USAGE of sysexits.h: an invalid flag.
const EXIT_BAD_FLAG: u8 = 64;
/// Exit code of a program that Ctrl-C ended, as shells report it.
const EXIT_INTERRUPTED: u8 = 130;
/// Exit code of a program that SIGTERM ended, as shells report it.
const EXIT_TERMINATED: u8 = 143;

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
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "fleetgauge-peers: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the comparison on a single thread, to leave the CPUs to the servers.
#[tokio::main(flavor = "current_thread")]
async fn execute(cli: &Cli) -> anyhow::Result<ExitCode> {
    file_limit::raise().context("cannot raise the limit on open files")?;
    let mut terminated = signal(SignalKind::terminate())?;
    // Dropping the run kills its servers.
    tokio::select! {
        done = compare(cli) => done?,
        _ = tokio::signal::ctrl_c() => return Ok(ExitCode::from(EXIT_INTERRUPTED)),
        _ = terminated.recv() => return Ok(ExitCode::from(EXIT_TERMINATED)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs the comparison that the command line asks for, and writes its results.
async fn compare(cli: &Cli) -> anyhow::Result<()> {
    match &cli.command {
        Some(Comparison::Forward(args)) => {
            args.files.write(forwarding::MARKS, &forwarding::run(args).await?)
        }
        None => cli.files.write(cli.fleet.name(), &run(cli).await?),
    }
}

/// Open files that a server or this program needs besides its hosts.
const OTHER_FILES: u64 = 256;

pub(crate) fn fleet_size(text: &str) -> Result<usize, String> {
    let hosts = text.parse().map_err(|error| format!("{error}"))?;
    let files = file_limit::maximum().map_or(u64::MAX, |files| files - OTHER_FILES);
    let max = files.min(address::MAX_HOSTS as u64);
    if (1..=max).contains(&(hosts as u64)) {
        Ok(hosts)
    } else {
        Err(format!(
            "must be 1 to {max}: each host needs an open file (ulimit -Hn) and an address of \
             127.10.0.0/16"
        ))
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|error| format!("{error}"))?;
    let allowed = (1.0..=1e6).contains(&rate);
    allowed.then_some(rate).ok_or_else(|| "must be 1 to 1000000".to_owned())
}

pub(crate) fn at_least_1s(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    let allowed = duration >= Duration::from_secs(1);
    allowed.then_some(duration).ok_or_else(|| "must be at least 1s".to_owned())
}
