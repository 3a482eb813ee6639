//! The command: settings, log, runtime, signals, exit code.

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

use crate::activation::Handed;
use crate::config::{BadSetting, Flags};
use crate::{Config, Listeners};
use token::TokenCommand;

/// Exit code of a setting that cannot be (EX_USAGE).
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
    let (config, handed) = match settings(flags) {
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
    match serve(config, handed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The settings, and the sockets that take the place of some: what holds for an address holds for those as well.
fn settings(mut flags: Flags) -> Result<(Config, Handed), BadSetting> {
    let handed = Handed::take()?;
    handed.take_the_place_of(&mut flags.listen, &mut flags.http)?;
    Ok((Config::try_new(flags)?, handed))
}

/// Says something to whoever started the command; that nobody listens is no reason to fail.
fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "fleetgauge-collector: {what}");
}

fn explain(error: &clap::Error) -> ExitCode {
    // A closed terminal is no reason to fail.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(BAD_SETTING),
    }
}

fn serve(config: Config, handed: Handed) -> anyhow::Result<()> {
    let listeners = Listeners::complete(handed, &config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        crate::run_reloading(config, listeners, stop_signal(), reload_signal()).await
    });
    // A disk or a reader that hangs is not waited for.
    runtime.shutdown_background();
    served?;
    info!("stopped");
    Ok(())
}

/// Done at the first SIGTERM or SIGINT (Ctrl-C where there are no signals), heeded from now on.
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

/// Notified at each SIGHUP, which ends nothing from now on.
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

/// A level, or filters of the form target=level: a word alone would be taken for a target and silence the rest.
fn log_filter(text: &str) -> Option<EnvFilter> {
    let legal = |one: &str| one.contains('=') || one.trim().parse::<LevelFilter>().is_ok();
    if !text.split(',').all(legal) {
        return None;
    }
    EnvFilter::builder().parse(text).ok()
}

/// Logs to standard error; a log that cannot be written is no reason to stop.
fn log_to_stderr(filter: EnvFilter) {
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .log_internal_errors(false);
    // Somebody who runs the collector within their own program has a log already.
    let _ = log.try_init();
}

/// Raises the soft limit on open files to the hard one: every agent is a file.
fn raise_file_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut files = getrlimit(Resource::Nofile);
        files.current = files.maximum;
        // Without it, fewer agents are admitted: the bound follows the limit that holds.
        let _ = setrlimit(Resource::Nofile, files);
    }
}
