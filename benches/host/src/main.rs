//! The `fleetgauge-host-cost` command. Started as a child with `agent` or `collector`, it runs
//! that program. It has the allocator of the agent, whose memory is measured.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    use fleetgauge_host_cost::{cli, programs};
    let mut arguments = std::env::args_os();
    let first = arguments.nth(1);
    let program = |name: &str| std::iter::once(name.into()).chain(arguments);
    match first.as_deref().and_then(|first| first.to_str()) {
        Some(programs::AGENT) => fleetgauge_agent::cli::main(program("fleetgauge-agent")),
        Some(programs::COLLECTOR) => {
            fleetgauge_collector::cli::main(program("fleetgauge-collector"))
        }
        _ => cli::main(),
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("fleetgauge-host-cost: needs Linux: resource usage is read from /proc");
    ExitCode::FAILURE
}
