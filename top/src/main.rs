//! The `fleetgauge-top` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    fleetgauge_top::cli::main(std::env::args_os())
}
