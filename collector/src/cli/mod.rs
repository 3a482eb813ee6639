//! The `fleetgauge-collector` command: arguments, log, runtime, signals and exit code.

mod help;
mod token;

use std::ffi::OsString;
use std::future::Future;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use fleetgauge_common::settings::{Environment, SettingError, SettingErrors};
use fleetgauge_common::{file_limit, log};
use tokio::sync::Notify;
use tracing::{error, info};

use crate::config::{Flags, Sources};
use crate::systemd::socket_activation::ActivatedSockets;
use crate::{Config, Listeners};
use token::TokenCommand;

/// Exit code for an invalid setting (EX_USAGE).
const BAD_SETTING: u8 = 64;

// A subcommand, or the settings of a collector. A doc comment would replace the program's
// description in --help.
#[derive(Debug, Parser)]
#[command(name = "fleetgauge-collector", version)]
#[command(about = help::ABOUT, long_about = help::LONG_ABOUT)]
#[command(after_help = help::AFTER, after_long_help = help::AFTER_LONG)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    flags: Flags,
}

/// Subcommands; without one the program runs the collector.
#[derive(Debug, Subcommand)]
enum Command {
    Token(TokenCommand),
}

/// Returns the command line, for its help.
#[must_use]
pub fn command() -> clap::Command {
    CommandLine::command()
}

/// Runs the command with these arguments, the program's name first.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let flags = match CommandLine::try_parse_from(arguments) {
        Ok(CommandLine { command: Some(Command::Token(token)), .. }) => return token.run(),
        Ok(CommandLine { command: None, flags }) => flags,
        Err(error) => return explain(&error),
    };
    // The default of max_connections is derived from this limit. If raising it fails, the lower
    // limit is used.
    let _ = file_limit::raise();
    let check = flags.check();
    let (config, activated) = match settings(flags) {
        Ok(settings) => settings,
        Err(errors) => return bad_settings(&errors),
    };
    if check {
        // Standard output may be closed.
        let _ = write!(std::io::stdout(), "{}", config.effective);
        say("all settings are valid");
        return ExitCode::SUCCESS;
    }
    let filter = match log::parse_filter(&config.log.filter) {
        Ok(filter) => filter,
        Err(problem) => return bad_settings(&SettingError::new("log", problem).into()),
    };
    log::start(filter, config.log.format);
    info!(version = env!("CARGO_PKG_VERSION"), "starting");
    match serve(config, activated) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(error = %format_args!("{error:#}"), "collector failed");
            ExitCode::FAILURE
        }
    }
}

/// Reads the settings. Activated sockets replace the configured addresses before they are
/// validated.
fn settings(mut flags: Flags) -> Result<(Config, ActivatedSockets), SettingErrors> {
    let activated = ActivatedSockets::from_env()?;
    activated.replace_addresses(&mut flags)?;
    let environment = Environment::of_process();
    Ok((Config::try_new(Sources { flags, environment })?, activated))
}

fn bad_settings(errors: &SettingErrors) -> ExitCode {
    for error in errors.iter() {
        say(&error.to_string());
    }
    ExitCode::from(BAD_SETTING)
}

/// Prints a line to standard error. Ignores failures, because standard error may be closed.
fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "fleetgauge-collector: {what}");
}

fn explain(error: &clap::Error) -> ExitCode {
    // The terminal may be closed.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(BAD_SETTING),
    }
}

fn serve(config: Config, activated: ActivatedSockets) -> anyhow::Result<()> {
    let listeners = Listeners::from_activated(activated, &config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        crate::run_reloading(config, listeners, stop_signal(), reload_signal()).await
    });
    // Does not wait for blocking tasks, because they may wait for a disk or a client that hangs.
    runtime.shutdown_background();
    served?;
    info!("stopped");
    Ok(())
}

/// Installs the handlers of SIGTERM and SIGINT (Ctrl-C on Windows). Completes at the first signal.
fn stop_signal() -> impl Future<Output = ()> {
    #[cfg(unix)]
    let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
    #[cfg(unix)]
    let interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt());
    async move {
        #[cfg(unix)]
        if let (Ok(mut terminate), Ok(mut interrupt)) = (terminate, interrupt) {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
            }
        }
        let _ = tokio::signal::ctrl_c().await;
    }
}

/// Installs the handler of SIGHUP. The returned [`Notify`] is notified at each signal.
fn reload_signal() -> Arc<Notify> {
    let reload = Arc::new(Notify::new());
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let notify = Arc::clone(&reload);
        match signal(SignalKind::hangup()) {
            Ok(mut hangup) => drop(tokio::spawn(async move {
                while hangup.recv().await.is_some() {
                    notify.notify_one();
                }
            })),
            Err(error) => {
                tracing::warn!(%error, "cannot handle SIGHUP; only a changed file causes a reload")
            }
        }
    }
    reload
}
