//! The programs under comparison and the agent's collector, as child processes on free loopback
//! ports. Dropping one kills it.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::http::Client;

/// First argument with which this executable runs the agent.
pub const AGENT: &str = "agent";
/// First argument with which this executable runs the collector.
pub const COLLECTOR: &str = "collector";
/// Names of node_exporter's executable: in Debian, and upstream.
const EXPORTERS: [&str; 2] = ["prometheus-node-exporter", "node_exporter"];
/// Id of the agent.
const ID: &str = "host";
/// Maximum time until a program responds or the agent reports.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Interval between two attempts.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A running program.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    fn start(mut command: Command, dir: &Path, name: &str) -> anyhow::Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let file = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("starting {name}"))?;
        Ok(Self { child, name: name.to_owned(), log })
    }

    /// Calls this until it returns a value, for a limited time.
    fn wait_for<T>(
        &mut self,
        limit: Duration,
        mut attempt: impl FnMut() -> Option<T>,
    ) -> anyhow::Result<T> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(done) = attempt() {
                return Ok(done);
            }
            let status = self.child.try_wait()?;
            if status.is_some() || Instant::now() >= deadline {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                let last = log.lines().last().unwrap_or("none");
                let what = status.map_or("does not respond".to_owned(), |status| {
                    format!("has exited with {status}")
                });
                bail!("{} {what}; last line of its log: {last}", self.name);
            }
            sleep(POLL_INTERVAL);
        }
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// node_exporter, and a connection that scrapes it.
#[derive(Debug)]
pub struct Exporter {
    /// The exporter.
    pub process: Process,
    /// Connection to the exporter.
    pub client: Client,
}

impl Exporter {
    /// Returns the command and version of the installed exporter; `None` if there is none.
    #[must_use]
    pub fn find() -> Option<(&'static str, String)> {
        EXPORTERS.into_iter().find_map(|name| {
            let output = Command::new(name).arg("--version").output().ok()?;
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&text).into_owned();
            let version = text.split_once("version ")?.1.split_whitespace().next()?;
            Some((name, version.to_owned()))
        })
    }

    /// Starts the exporter without the metrics about itself.
    ///
    /// # Errors
    /// If it does not respond.
    pub fn start(name: &str, dir: &Path) -> anyhow::Result<Self> {
        let [address] = free_addresses()?;
        let mut command = Command::new(name);
        command.arg(format!("--web.listen-address={address}"));
        command.arg("--web.disable-exporter-metrics");
        let mut process = Process::start(command, dir, name)?;
        let client = process.wait_for(TIMEOUT, || Client::connect(address).ok())?;
        Ok(Self { process, client })
    }

    /// Scrapes the exporter as Prometheus does.
    ///
    /// # Errors
    /// If it does not respond.
    pub fn scrape(&mut self) -> anyhow::Result<()> {
        self.client.get("/metrics", true).map(drop).context("scraping the exporter")
    }
}

/// The agent and its collector.
#[derive(Debug)]
pub struct Agent {
    /// The agent.
    pub process: Process,
    /// HTTP address of the collector.
    http: SocketAddr,
    _collector: Process,
}

/// What the collector has received from the agent.
#[derive(Debug, Clone, Copy)]
pub struct Received {
    /// Number of reports.
    pub reports: u64,
    /// Bytes in both directions.
    pub bytes: u64,
}

impl Agent {
    /// Starts a collector, and the agent with a set of metrics. Their logs are in `dir`.
    ///
    /// # Errors
    /// If the collector does not respond.
    pub fn start(
        interval: Duration,
        metrics: &str,
        exporter: Option<SocketAddr>,
        dir: &Path,
    ) -> anyhow::Result<Self> {
        let [agents, http] = free_addresses()?;
        let this = std::env::current_exe()?;
        let mut command = Command::new(&this);
        command.arg(COLLECTOR);
        command.args(["--listen", &agents.to_string(), "--http-listen", &http.to_string()]);
        let mut collector = Process::start(command, dir, COLLECTOR)?;
        collector.wait_for(TIMEOUT, || Client::connect(http).ok())?;
        let mut command = Command::new(&this);
        command.args([AGENT, "--id", ID, "--metrics", metrics]);
        if let Some(exporter) = exporter {
            let file = dir.join("agent.toml");
            let url = format!("http://{exporter}/metrics");
            fs::write(&file, format!("[[scrape]]\nurl = \"{url}\"\njob = \"exporter\"\n"))?;
            command.arg("--config").arg(file);
        }
        command.args(["--collector", &agents.to_string()]);
        command.arg(format!("--interval={}ms", interval.as_millis()));
        let process = Process::start(command, dir, AGENT)?;
        Ok(Self { process, http, _collector: collector })
    }

    /// Waits until the agent has sent this many more reports. Returns what was received by then.
    ///
    /// # Errors
    /// If they do not arrive in time.
    pub fn wait_for_reports(&mut self, reports: u64, each: Duration) -> anyhow::Result<Received> {
        let Self { process, http, .. } = self;
        let target = received(*http)?.reports + reports;
        let limit = TIMEOUT + each * u32::try_from(reports)?;
        process
            .wait_for(limit, || received(*http).ok().filter(|received| received.reports >= target))
    }

    /// Returns what the collector has received.
    ///
    /// # Errors
    /// If the collector does not respond.
    pub fn received(&self) -> anyhow::Result<Received> {
        received(self.http)
    }

    /// Returns the page of the agent.
    ///
    /// # Errors
    /// If the collector does not respond or the agent is not connected.
    pub fn page(&self) -> anyhow::Result<String> {
        text(self.http, &format!("/metrics/agents/{ID}"))
    }
}

fn received(http: SocketAddr) -> anyhow::Result<Received> {
    let page = text(http, "/metrics/self")?;
    let value = |name: &str| {
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse::<f64>().ok()).unwrap_or(0.0) as u64
    };
    let bytes = value("fleetgauge_received_bytes_total") + value("fleetgauge_sent_bytes_total");
    Ok(Received { reports: value("fleetgauge_reports_total"), bytes })
}

/// Fetches a page over a new connection: the collector closes idle ones.
fn text(http: SocketAddr, path: &str) -> anyhow::Result<String> {
    let body = Client::connect(http).and_then(|mut client| client.get(path, false));
    let body = body.context("the collector does not respond")?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// Returns addresses whose ports were free a moment ago: node_exporter does not tell the port that
/// it bound.
fn free_addresses<const N: usize>() -> anyhow::Result<[SocketAddr; N]> {
    let mut listeners = Vec::new();
    for _ in 0..N {
        listeners.push(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?);
    }
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for (address, listener) in addresses.iter_mut().zip(&listeners) {
        *address = listener.local_addr()?;
    }
    Ok(addresses)
}
