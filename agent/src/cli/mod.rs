//! The `fleetgauge-agent` command: arguments, log, runtime, signals and exit code.

mod help;
#[cfg(unix)]
mod join;
mod signals;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use fleetgauge_common::file_limit;
use fleetgauge_common::log::{self, FilterHandle};
use fleetgauge_common::settings::{Environment, SettingError, SettingErrors};
use tracing::{error, info};

use crate::config::{Config, Flags, MAX_SCRAPES};
use crate::identity::Host;
use crate::run::{Agent, Reload, Settings, run_reloading};

/// Exit code for an invalid setting (EX_USAGE of sysexits.h).
const BAD_SETTING: u8 = 64;
/// Maximum number of threads for blocking work: name resolution, reading the token and TLS files,
/// and a reload. Two more for each exporter, so that none that hangs delays these: its name
/// resolution and its files.
const BLOCKING_THREADS: usize = 3 + 2 * MAX_SCRAPES;

/// Number of open files that the agent may need: 512 kept files of procfs and sysfs, directories,
/// and connections.
const NEEDED_FILES: u64 = 1024;

// A subcommand, or the settings of an agent. A doc comment would replace the program's description
// in --help.
#[derive(Debug, Parser)]
#[command(name = "fleetgauge-agent", version, about = help::ABOUT, long_about = help::LONG_ABOUT)]
#[command(after_help = help::AFTER, after_long_help = help::AFTER_LONG)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    flags: Flags,
}

/// Subcommands; without one the program runs the agent.
#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(unix)]
    Join(join::JoinCommand),
}

/// Returns the clap command, for example to render its help.
#[must_use]
pub fn command() -> clap::Command {
    CommandLine::command()
}

/// Runs the command with these arguments, the program's name first.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let flags = match CommandLine::try_parse_from(arguments) {
        #[cfg(unix)]
        Ok(CommandLine { command: Some(Command::Join(join)), .. }) => return join.run(),
        Ok(CommandLine { flags, .. }) => flags,
        Err(error) => return explain(&error),
    };
    let (config, agent) = match settings(&flags) {
        Ok(settings) => settings,
        Err(errors) => return bad_settings(&errors),
    };
    if flags.check() {
        return check(&config, &agent);
    }
    let filter = match log::parse_filter(&config.log.filter) {
        Ok(filter) => filter,
        Err(problem) => return bad_settings(&SettingError::new("log", problem).into()),
    };
    let handle = log::start(filter, config.log.format);
    if file_limit::current().is_some_and(|files| files < NEEDED_FILES) {
        // With fewer files, some sources fail and say so.
        let _ = file_limit::raise();
    }
    info!(
        version = env!("CARGO_PKG_VERSION"),
        id = agent.profile.id.as_str(),
        collector = %config.collector,
        interval = ?config.interval,
        "starting"
    );
    match serve(flags, &config, agent, handle) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(error = %format_args!("{error:#}"), "agent failed");
            ExitCode::FAILURE
        }
    }
}

/// Reads the settings and creates the agent for this host.
fn settings(flags: &Flags) -> Result<(Config, Agent), SettingErrors> {
    let config = Config::load(flags, &Environment::of_process())?;
    let agent = Agent::new(&config, &Host::read())?;
    Ok((config, agent))
}

/// Handles `--check`: prints the settings in force, or an error if the client certificate is not
/// valid now.
fn check(config: &Config, agent: &Agent) -> ExitCode {
    if let Err(errors) = config.check_validity(SystemTime::now()) {
        return bad_settings(&errors);
    }
    // Standard output may be closed.
    let _ = write!(std::io::stdout(), "# agent id: {}\n{}", agent.profile.id, config.effective);
    say("all settings are valid");
    ExitCode::SUCCESS
}

fn serve(flags: Flags, config: &Config, agent: Agent, log: FilterHandle) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()?;
    let filter = Mutex::new(config.log.filter.clone());
    let served = runtime.block_on(async {
        let (stop, requested) = (signals::stop()?, signals::reload()?);
        let load = Arc::new(move || reload(&flags, &log, &filter));
        run_reloading(agent, Some(Reload { requested, load }), stop).await;
        Ok(())
    });
    // Does not wait for a hung name resolution.
    runtime.shutdown_background();
    info!("stopped");
    served
}

/// Reads the settings again. Applies the log filter once all settings are valid.
fn reload(
    flags: &Flags,
    log: &FilterHandle,
    current: &Mutex<String>,
) -> Result<Settings, SettingErrors> {
    let (config, agent) = settings(flags)?;
    let filter = log::parse_filter(&config.log.filter)
        .map_err(|problem| SettingError::new("log", problem))?;
    let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
    let log_changed = *current != config.log.filter;
    *current = config.log.filter;
    // Fails only if the log has been shut down.
    let _ = log.reload(filter);
    Ok(Settings { agent, log_changed })
}

fn bad_settings(errors: &SettingErrors) -> ExitCode {
    for error in errors.iter() {
        say(&error.to_string());
    }
    ExitCode::from(BAD_SETTING)
}

/// Prints a line to standard error. Ignores failures: standard error may be closed.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "fleetgauge-agent: {text}");
}

fn explain(error: &clap::Error) -> ExitCode {
    // The terminal may be closed.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(BAD_SETTING),
    }
}
