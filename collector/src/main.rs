//! The `fleetgauge-collector` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    fleetgauge_collector::cli::main(std::env::args_os())
}
