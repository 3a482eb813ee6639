//! The `fleetgauge-collector` command.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: fleetgauge_collector::Allocator = fleetgauge_collector::Allocator;

fn main() -> ExitCode {
    fleetgauge_collector::cli::main(std::env::args_os())
}
