//! The `fleetgauge-collector` command: arguments, log, runtime, signals and exit code.

mod token;

use std::ffi::OsString;
use std::future::Future;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use tokio::sync::Notify;
use tracing::{error, info};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::config::Flags;
use crate::config::error::BadSetting;
use crate::systemd::socket_activation::ActivatedSockets;
use crate::{Config, Listeners};
use token::TokenCommand;

/// Exit code for an invalid setting (EX_USAGE).
const BAD_SETTING: u8 = 64;

// A subcommand, or the settings of a collector. A doc comment would replace the program's
// description in --help.
#[derive(Debug, Parser)]
#[command(name = "fleetgauge-collector", version)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    flags: Flags,
}

/// What the program does besides collecting.
#[derive(Debug, Subcommand)]
enum Command {
    Token(TokenCommand),
}

/// Runs the command with these arguments, the program's name first.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let flags = match CommandLine::try_parse_from(arguments) {
        Ok(CommandLine { command: Some(Command::Token(token)), .. }) => return token.run(),
        Ok(CommandLine { command: None, flags }) => flags,
        Err(error) => return explain(&error),
    };
    let check = flags.check;
    raise_file_limit();
    let (config, activated) = match settings(flags) {
        Ok(settings) => settings,
        Err(bad) => {
            say(&bad.to_string());
            return ExitCode::from(BAD_SETTING);
        }
    };
    let Some(filter) = log_filter(&config.log) else {
        let known =
            "error, warn, info, debug, trace or off, or filters such as fleetgauge_collector=debug";
        say(&format!("log: {:?} is not a level; use {known}", config.log));
        return ExitCode::from(BAD_SETTING);
    };
    log_to_stderr(filter);
    if check {
        say("the settings are fine");
        return ExitCode::SUCCESS;
    }
    match serve(config, activated) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the settings. Activated sockets replace the configured addresses before they are
/// validated.
fn settings(mut flags: Flags) -> Result<(Config, ActivatedSockets), BadSetting> {
    let activated = ActivatedSockets::from_env()?;
    activated.replace_addresses(&mut flags.listen, &mut flags.http)?;
    Ok((Config::try_new(flags)?, activated))
}

/// Prints a line to standard error, and ignores failures: it may be closed.
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
    // Does not wait for blocking tasks, whose disk or client may hang.
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

/// Installs the handler of SIGHUP, which notifies at each signal.
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
            Err(error) => tracing::warn!(%error, "SIGHUP cannot be heeded"),
        }
    }
    reload
}

/// Parses a level or `target=level` filters. A bare word is rejected: it would be taken for a
/// target and disable all others.
fn log_filter(text: &str) -> Option<EnvFilter> {
    let legal = |one: &str| one.contains('=') || one.trim().parse::<LevelFilter>().is_ok();
    if !text.split(',').all(legal) {
        return None;
    }
    EnvFilter::builder().parse(text).ok()
}

/// Logs to standard error and ignores write errors.
fn log_to_stderr(filter: EnvFilter) {
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .log_internal_errors(false);
    // An embedding program may have installed a subscriber.
    let _ = log.try_init();
}

/// Raises the soft limit of open files to the hard limit: every agent needs one.
fn raise_file_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut files = getrlimit(Resource::Nofile);
        files.current = files.maximum;
        // On failure the connection limit follows the lower file limit.
        let _ = setrlimit(Resource::Nofile, files);
    }
}
