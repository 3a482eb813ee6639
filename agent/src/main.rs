//! The `fleetgauge-agent` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    fleetgauge_agent::cli::main(std::env::args_os())
}
