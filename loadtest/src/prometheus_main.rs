//! Child process that runs a Prometheus until standard input ends, so that Prometheus ends with the
//! program that wanted it, also if that program is killed.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use fleetgauge_receiver::ReservedAddress;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::child_main::stop_requested;

/// Name of the program.
pub const PROGRAM: &str = "prometheus";
/// Maximum time until Prometheus answers.
pub const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// Interval between two questions whether Prometheus is ready.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Maximum time of one such question.
const POLL_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for which samples are kept, and their maximum size: a demo fills no disk.
const RETENTION: [&str; 2] =
    ["--storage.tsdb.retention.time=1d", "--storage.tsdb.retention.size=1GB"];
/// Maximum bytes of Prometheus's log in an error message.
const MAX_LOG_BYTES: usize = 2_000;

/// Runs a Prometheus on a free loopback port, with its data in a temporary directory. Prints its
/// address to standard output when it is ready.
///
/// # Errors
/// If Prometheus does not start, or ends.
pub async fn prometheus() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let log = directory.path().join("log");
    // Prometheus does not say which port it has chosen.
    let reserved = ReservedAddress::on_loopback()?;
    let address = reserved.address();
    let mut process = start(address, directory.path(), &log)?;
    let serve = async {
        let ready = tokio::select! {
            ready = timeout(READY_TIMEOUT, ready(address)) => ready.is_ok(),
            _ = process.wait() => true,
        };
        if !ready {
            bail!("{PROGRAM} is not ready within {} s:\n{}", READY_TIMEOUT.as_secs(), tail(&log));
        }
        if process.try_wait()?.is_none() {
            let mut stdout = std::io::stdout();
            writeln!(stdout, "{address}")?;
            stdout.flush()?;
        }
        let status = process.wait().await?;
        bail!("{PROGRAM} has ended ({status}):\n{}", tail(&log))
    };
    let ended = tokio::select! {
        ended = pin!(serve) => ended,
        () = stop_requested() => Ok(()),
    };
    // Its data is not needed any more. It has to end before the directory is deleted.
    process.kill().await?;
    ended
}

fn start(address: SocketAddr, directory: &Path, log: &Path) -> anyhow::Result<Child> {
    let config = directory.join("prometheus.yml");
    // Nothing to scrape.
    std::fs::write(&config, "")?;
    let log = std::fs::File::create(log)?;
    Command::new(PROGRAM)
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .args(["--web.enable-remote-write-receiver", "--log.level=warn"])
        .args(RETENTION)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {PROGRAM}"))
}

/// Completes once Prometheus is ready.
async fn ready(address: SocketAddr) {
    let mut next = Instant::now();
    while !matches!(timeout(POLL_TIMEOUT, is_ready(address)).await, Ok(Ok(true))) {
        next += POLL_INTERVAL;
        sleep(next.saturating_duration_since(Instant::now())).await;
    }
}

async fn is_ready(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /-/ready HTTP/1.0\r\n\r\n").await?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await?;
    Ok(status.ends_with(b" 200"))
}

/// Returns the end of the log.
fn tail(log: &Path) -> String {
    let log = std::fs::read(log).unwrap_or_default();
    let start = log.len().saturating_sub(MAX_LOG_BYTES);
    String::from_utf8_lossy(&log[start..]).into_owned()
}
