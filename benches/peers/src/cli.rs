//! The command's flags, and what it does.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use fleetgauge_common::file_limit;
use tokio::signal::unix::{SignalKind, signal};

use crate::address;
use crate::peer::Peer;
use crate::results::Results;
use crate::run::run;
use crate::table;

/// Runs the same fleet through fleetgauge's collector and what people use today, and writes what each cost.
///
/// Nothing is installed: what is missing is named with the Debian package that has it.
#[derive(Debug, Parser)]
#[command(name = "fleetgauge-peers", version)]
pub struct Cli {
    /// Sizes of the fleet
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1_000, 10_000], value_parser = fleet_size)]
    pub hosts: Vec<usize>,
    /// Host reports a second, over the whole fleet
    #[arg(long, value_name = "N", default_value_t = 1_000.0, value_parser = at_least_one)]
    pub rate: f64,
    /// Seconds for which reports are measured; idling, for half as long
    #[arg(long, value_name = "N", default_value_t = 10.0, value_parser = at_least_one)]
    pub seconds: f64,
    /// Only programs and settings that contain this, whatever the case; may be given several times
    #[arg(long, value_name = "TEXT")]
    pub only: Vec<String>,
    /// Seconds to wait for a vanished host's series to be gone; 0 leaves that out
    #[arg(long, value_name = "N", default_value_t = 350.0, value_parser = seconds)]
    pub vanish_wait: f64,
    /// Seconds between a host's reports while that is watched
    #[arg(long, value_name = "N", default_value_t = 5.0, value_parser = at_least_one)]
    pub vanish_interval: f64,
    /// Write the tables between the marks of this Markdown file
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// Write all figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl Cli {
    /// Whether the program at its setting is wanted.
    #[must_use]
    pub fn wants(&self, peer: &dyn Peer) -> bool {
        let what = format!("{}: {}", peer.product().name, peer.setting()).to_lowercase();
        self.only.is_empty() || self.only.iter().any(|only| what.contains(&only.to_lowercase()))
    }

    /// Writes the results to where they are wanted, and the tables to standard output.
    ///
    /// # Errors
    /// A file cannot be written, or has no place for the tables.
    pub fn write(&self, results: &Results) -> anyhow::Result<()> {
        let tables = results.to_string();
        if let Some(file) = &self.json {
            let json = serde_json::to_string_pretty(results)?;
            fs::write(file, json + "\n").with_context(|| format!("writing {}", file.display()))?;
        }
        if let Some(file) = &self.write {
            let page = fs::read_to_string(file).and_then(|page| {
                fs::write(file, table::replace(&page, &tables).ok_or(ErrorKind::InvalidData)?)
            });
            page.with_context(|| {
                format!("writing between {} and {} in {}", table::BEGIN, table::END, file.display())
            })?;
        }
        let _ = write!(io::stdout(), "{tables}");
        Ok(())
    }
}

/// sysexits.h EX_USAGE: a flag is wrong.
const EXIT_BAD_FLAG: u8 = 64;
/// What a shell makes of a program that Ctrl-C has ended.
const EXIT_INTERRUPTED: u8 = 130;
/// The same for SIGTERM.
const EXIT_TERMINATED: u8 = 143;

/// Runs the command.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(other) => {
            let _ = other.print();
            return ExitCode::from(if other.use_stderr() { EXIT_BAD_FLAG } else { 0 });
        }
    };
    match serve(&cli) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "fleetgauge-peers: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// One thread: the CPUs are for the servers.
#[tokio::main(flavor = "current_thread")]
async fn serve(cli: &Cli) -> anyhow::Result<ExitCode> {
    file_limit::raise()?;
    let mut terminated = signal(SignalKind::terminate())?;
    // The servers end with the run that they are dropped with.
    tokio::select! {
        results = run(cli) => cli.write(&results?)?,
        _ = tokio::signal::ctrl_c() => return Ok(ExitCode::from(EXIT_INTERRUPTED)),
        _ = terminated.recv() => return Ok(ExitCode::from(EXIT_TERMINATED)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Open files of a server and of this program for everything but hosts.
const OTHER_FILES: u64 = 256;

fn fleet_size(text: &str) -> Result<usize, String> {
    let hosts = text.parse().map_err(|error| format!("{error}"))?;
    let files = file_limit::maximum().map_or(u64::MAX, |files| files - OTHER_FILES);
    let most = files.min(address::MOST_HOSTS as u64);
    if (1..=most).contains(&(hosts as u64)) {
        Ok(hosts)
    } else {
        Err(format!(
            "1 to {most}: each host is an open file (ulimit -Hn) and an address of 127.10.0.0/16"
        ))
    }
}

fn at_least_one(text: &str) -> Result<f64, String> {
    number(text, 1.0)
}

fn seconds(text: &str) -> Result<f64, String> {
    number(text, 0.0)
}

/// A number from `least` to a million.
fn number(text: &str, least: f64) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|error| format!("{error}"))?;
    let allowed = least..=1e6;
    allowed.contains(&number).then_some(number).ok_or_else(|| format!("{least} to 1000000"))
}
