//! The program: runs a command and maps its outcome to an exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use fleetgauge_loadtest::cli::{ChurnArgs, Cli, Command, RunArgs};
use fleetgauge_loadtest::results::Results;
use fleetgauge_loadtest::results::output::{OutputArgs, OutputFiles};
use fleetgauge_loadtest::{
    child_main, demo, prometheus_main, run, scenarios, warnings, worker_main,
};

/// Exit code EX_USAGE of sysexits.h: an invalid flag.
const EXIT_BAD_FLAG: u8 = 64;
/// Exit code of a program that Ctrl-C ended, as shells report it.
const EXIT_INTERRUPTED: u8 = 130;

/// The collector's allocator, because this program also runs collectors.
#[global_allocator]
static ALLOCATOR: fleetgauge_collector::Allocator = fleetgauge_collector::Allocator;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(other) => {
            let _ = other.print();
            return ExitCode::from(if other.use_stderr() { EXIT_BAD_FLAG } else { 0 });
        }
    };
    warnings::log_to_stderr();
    let done = match cli.command {
        // The worker's engine does not use the Tokio runtime.
        Command::Worker => worker_main::run().map(|()| ExitCode::SUCCESS),
        other => serve(other),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "fleetgauge-loadtest: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn serve(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(RunArgs { fleet }) => {
            let test = run::run("run", &fleet, 0.0);
            return judged("run", fleet.check(), &fleet.output, test).await;
        }
        Command::Churn(ChurnArgs { fleet, churn }) => {
            let test = run::run("churn", &fleet, churn);
            return judged("churn", fleet.check(), &fleet.output, test).await;
        }
        Command::Scenario(scenario) => {
            let test = scenarios::run(&scenario);
            return judged(scenario.name(), scenario.check(), scenario.output(), test).await;
        }
        Command::Demo(args) => demo::demo(&args).await?,
        Command::Collector(args) => child_main::collector(*args).await?,
        Command::Worker => worker_main::run()?,
        Command::Agent(args) => child_main::agent(&args).await?,
        Command::Prometheus => prometheus_main::prometheus().await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a test if its flags are valid, and writes its results. Returns success as the exit code
/// only if the test passed.
async fn judged(
    name: &str,
    valid: Result<(), String>,
    output: &OutputArgs,
    test: impl Future<Output = anyhow::Result<Results>>,
) -> anyhow::Result<ExitCode> {
    let create = || OutputFiles::create(output, name).map_err(|error| format!("{error:#}"));
    let mut files = match valid.and_then(|()| create()) {
        Ok(files) => files,
        Err(error) => {
            let _ = writeln!(io::stderr(), "fleetgauge-loadtest: {error}");
            return Ok(ExitCode::from(EXIT_BAD_FLAG));
        }
    };
    let mut results = tokio::select! {
        results = test => results?,
        _ = tokio::signal::ctrl_c() => {
            let _ = writeln!(io::stderr(), "fleetgauge-loadtest: stopped by Ctrl-C; no verdict");
            return Ok(ExitCode::from(EXIT_INTERRUPTED));
        }
    };
    if let Some(baseline) = files.baseline.take() {
        results.compare(baseline);
    }
    let _ = writeln!(io::stdout(), "{results}");
    let passed = results.verdict.passed;
    files.write(&results)?;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
