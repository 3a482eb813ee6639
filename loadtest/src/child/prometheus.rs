//! A Prometheus that receives remote write, under a child process that ends it.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::time::timeout;

use super::own_command;
use crate::prometheus_main::{PROGRAM, READY_TIMEOUT};

/// Maximum time for the child to print an address: it gives up by itself before.
const START_TIMEOUT: Duration = READY_TIMEOUT.saturating_add(Duration::from_secs(10));
/// Maximum time for the child to exit after its standard input has ended.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// A Prometheus on a free loopback port, whose data is deleted when it ends.
pub struct PrometheusProcess {
    process: Child,
    address: SocketAddr,
}

impl PrometheusProcess {
    /// Starts Prometheus and waits until it is ready.
    ///
    /// # Errors
    /// If the program is not installed or does not start.
    pub async fn start() -> anyhow::Result<Self> {
        if !is_on_path(PROGRAM) {
            bail!(
                "the program {PROGRAM} is not installed (no directory of PATH has it); \
                 install it, for example with: apt-get install prometheus"
            );
        }
        // Killing the child would leave Prometheus behind. The child exits when its input ends.
        let mut command = own_command(&[], "prometheus")?;
        let mut process = command.kill_on_drop(false).stdout(Stdio::piped()).spawn()?;
        let stdout = process.stdout.take().context("the child has no standard output")?;
        let mut line = String::new();
        timeout(START_TIMEOUT, BufReader::new(stdout).read_line(&mut line))
            .await
            .with_context(|| format!("{PROGRAM} did not start in time"))??;
        match line.trim().parse() {
            Ok(address) => Ok(Self { process, address }),
            Err(_) => bail!("{PROGRAM} did not start; the error above says why"),
        }
    }

    /// Returns the address of its HTTP port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends Prometheus and waits until its data is deleted.
    pub async fn stop(mut self) {
        drop(self.process.stdin.take());
        // The child still exits if this takes longer.
        let _ = timeout(STOP_TIMEOUT, self.process.wait()).await;
    }
}

/// Whether a directory of `PATH` has this program.
fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}
