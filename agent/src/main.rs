//! The agent's program: settings, logging, signals; everything else is the library.

mod signals;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use clap::Parser;
use fleetgauge_agent::config::{BadSetting, Config, Flags};
use fleetgauge_agent::identity::Host;
use fleetgauge_agent::run::{Agent, Reload, Settings, run_reloading};
use tracing::info;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload as filter};

/// sysexits.h EX_USAGE: a setting is wrong, and starting again will not help.
const EXIT_BAD_SETTING: u8 = 64;
/// Threads for what may hang: resolving names, reading files for a connection, and reading the
/// settings anew.
const BLOCKING_THREADS: usize = 3;

/// Changes the level of the log.
type Level = filter::Handle<LevelFilter, Registry>;

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
        Ok((config, agent)) => match serve(flags, &config, agent) {
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

fn serve(flags: Flags, config: &Config, agent: Agent) -> anyhow::Result<()> {
    let level = log_to_stderr(config.log);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()?;
    let served = runtime.block_on(async {
        let (stop, asked) = (signals::stop()?, signals::reload()?);
        let reload = Reload { requested: asked, load: Arc::new(move || reload(&flags, &level)) };
        info!(
            version = env!("CARGO_PKG_VERSION"),
            id = agent.profile.id.as_str(),
            collector = %config.collector,
            interval = ?config.interval,
            "agent started"
        );
        run_reloading(agent, Some(reload), stop).await;
        Ok(())
    });
    // A name that is still being resolved is not waited for.
    runtime.shutdown_background();
    served
}

/// The settings as they are now. Applies the log level once they and their files have proved good.
fn reload(flags: &Flags, level: &Level) -> Result<Settings, BadSetting> {
    let (config, agent) = settings(flags)?;
    let log_changed = level.clone_current().is_some_and(|current| current != config.log);
    // Fails only if the log has been shut down.
    let _ = level.reload(config.log);
    Ok(Settings { agent, log_changed })
}

/// Lines that cannot be written are dropped: a full disk or a closed stderr must not end the agent.
fn log_to_stderr(level: LevelFilter) -> Level {
    let (filter, level) = filter::Layer::new(level);
    let lines = tracing_subscriber::fmt::layer()
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    tracing_subscriber::registry().with(filter).with(lines).init();
    level
}

fn fail(code: u8, error: &dyn std::fmt::Display) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "fleetgauge-agent: {error}");
    ExitCode::from(code)
}
