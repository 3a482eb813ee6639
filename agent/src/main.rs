//! The agent's program: settings, logging, signals; everything else is the library.

mod signals;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Parser;
use fleetgauge_agent::config::{BadSetting, Config, Flags};
use fleetgauge_agent::identity::Host;
use fleetgauge_agent::run::{Agent, run};
use tracing::info;
use tracing::level_filters::LevelFilter;

/// sysexits.h EX_USAGE: a setting is wrong, and starting again will not help.
const EXIT_BAD_SETTING: u8 = 64;
/// Threads for what may hang, which is resolving names and reading files: one, and one for when it does.
const BLOCKING_THREADS: usize = 2;

fn main() -> ExitCode {
    let flags = match Flags::try_parse() {
        Ok(flags) => flags,
        Err(other) => {
            // Asking for help or the version is not wrong. A closed stderr is no reason to panic.
            let _ = other.print();
            return ExitCode::from(if other.use_stderr() { EXIT_BAD_SETTING } else { 0 });
        }
    };
    match settings(&flags) {
        Err(bad) => fail(EXIT_BAD_SETTING, &bad),
        Ok((config, agent)) if flags.check => match config.in_date(SystemTime::now()) {
            Err(bad) => fail(EXIT_BAD_SETTING, &bad),
            Ok(()) => check(&config, &agent),
        },
        Ok((config, agent)) => match serve(&config, agent) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(1, &error),
        },
    }
}

fn settings(flags: &Flags) -> Result<(Config, Agent), BadSetting> {
    let config = Config::load(flags, |name| {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    })?;
    let agent = Agent::new(&config, &Host::read())?;
    Ok((config, agent))
}

fn check(config: &Config, agent: &Agent) -> ExitCode {
    let (id, interval) = (&agent.profile.id, config.interval);
    let text = format!("{id} reports to {} every {interval:?}", config.collector);
    let _ = writeln!(std::io::stdout(), "{text}");
    ExitCode::SUCCESS
}

fn serve(config: &Config, agent: Agent) -> anyhow::Result<()> {
    log_to_stderr(config.log);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()?;
    let served = runtime.block_on(async {
        let stop = signals::stop()?;
        let (version, id) = (env!("CARGO_PKG_VERSION"), agent.profile.id.as_str());
        info!(version, id, collector = %config.collector, interval = ?config.interval, "started");
        run(agent, stop).await;
        Ok(())
    });
    // A name that is still being resolved is not waited for.
    runtime.shutdown_background();
    served
}

/// Lines that cannot be written are dropped: a full disk or a closed stderr must not end the agent.
fn log_to_stderr(level: LevelFilter) {
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .log_internal_errors(false)
        .init();
}

fn fail(code: u8, error: &dyn std::fmt::Display) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "fleetgauge-agent: {error}");
    ExitCode::from(code)
}
