//! Child processes of the load test: this program started again as a collector, worker or agent.
//!
//! Separate processes make their CPU time and memory measurable one by one, and let a scenario kill
//! them. A child exits when its parent does, because its standard input is closed.

pub mod collector;
pub mod prometheus;
pub mod shifted_clock;
pub mod worker;

use std::net::SocketAddr;
use std::process::Stdio;

use tokio::process::{Child, Command};

/// Starts this host's agent for the demo.
///
/// # Errors
/// If the process does not start.
pub fn start_agent(collector: SocketAddr, classic: bool) -> anyhow::Result<Child> {
    let mut command = own_command(&[], "agent")?;
    command.arg("--collector").arg(collector.to_string());
    if classic {
        command.arg("--classic");
    }
    Ok(command.stdout(Stdio::null()).spawn()?)
}

/// Command that runs `subcommand` of this program, wrapped in the command line `prefix` if there is
/// one.
fn own_command(prefix: &[String], subcommand: &str) -> anyhow::Result<Command> {
    let own = std::env::current_exe()?;
    let mut command = match prefix {
        [] => Command::new(own),
        [wrapper, arguments @ ..] => {
            let mut command = Command::new(wrapper);
            command.args(arguments).arg(own);
            command
        }
    };
    command.arg(subcommand).stdin(Stdio::piped()).kill_on_drop(true);
    // A process group of its own: Ctrl-C must reach only the parent, which stops its children.
    #[cfg(unix)]
    command.process_group(0);
    Ok(command)
}
