//! The `fleetgauge-peers` command. Started as a child with `collector`, it runs the collector.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: fleetgauge_collector::Allocator = fleetgauge_collector::Allocator;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    use fleetgauge_peers::{cli, peers};
    let mut arguments = std::env::args_os();
    if arguments.nth(1).is_some_and(|first| first == peers::COLLECTOR) {
        let name = "fleetgauge-collector".into();
        return fleetgauge_collector::cli::main(std::iter::once(name).chain(arguments));
    }
    cli::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("fleetgauge-peers: needs Linux: resource usage is read from /proc");
    ExitCode::FAILURE
}
