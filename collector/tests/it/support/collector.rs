//! A collector in this process, on its own runtime.

use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use fleetgauge_collector::{Config, Listeners};
use tokio::sync::oneshot;

use super::http::{self, Answer};

#[derive(Debug)]
pub(crate) struct Collector {
    pub(crate) agents: SocketAddr,
    pub(crate) http: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A configuration with free ports and without drain time.
pub(crate) fn config() -> Config {
    Config { drain: Duration::ZERO, ..Config::default() }
}

/// Like [`config`], for agents that report as fast as they can.
pub(crate) fn unpaced() -> Config {
    let mut config = config();
    config.bounds.reports_per_interval = 1_000_000;
    config
}

impl Collector {
    pub(crate) fn start() -> Self {
        Self::with(config())
    }

    pub(crate) fn with(config: Config) -> Self {
        let listeners = Listeners::bind(&config).unwrap();
        Self::with_listeners(config, listeners)
    }

    /// Starts a collector whose kernel buffers do not grow. By default they take megabytes, which a
    /// busy machine needs over half a minute to fill.
    pub(crate) fn with_fixed_buffers(config: Config) -> Self {
        let listeners = Listeners::bind(&config).unwrap();
        for listener in listeners.agents.iter().chain([&listeners.http]) {
            // Accepted connections inherit both.
            let socket = socket2::SockRef::from(listener);
            socket.set_send_buffer_size(16 << 10).unwrap();
            socket.set_recv_buffer_size(16 << 10).unwrap();
        }
        Self::with_listeners(config, listeners)
    }

    fn with_listeners(config: Config, listeners: Listeners) -> Self {
        let agents = listeners.agent_addresses().unwrap()[0];
        let http = listeners.http.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_multi_thread();
            let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
            let stopped = async { drop(stopped.await) };
            runtime.block_on(fleetgauge_collector::run(config, listeners, stopped)).unwrap();
        });
        Self { agents, http, stop: Some(stop), thread: Some(thread) }
    }

    /// Tells the collector to stop, without waiting until it has stopped.
    pub(crate) fn stop(&mut self) {
        self.stop = None;
    }

    /// Waits until a collector that was told to stop has stopped.
    pub(crate) fn join(&mut self) {
        self.thread.take().unwrap().join().expect("the collector panicked");
    }

    pub(crate) fn get(&self, path: &str, headers: &[&str]) -> Answer {
        http::request(self.http, "GET", path, headers)
    }

    /// Returns a page in the text format, which must be complete.
    pub(crate) fn page_at(&self, path: &str) -> Page {
        let answer = self.get(path, &[]);
        assert_eq!((answer.status, answer.whole), (200, true), "{path}");
        Page(answer.text())
    }

    /// Returns the page with all agents' series.
    pub(crate) fn page(&self) -> Page {
        self.page_at("/metrics/agents")
    }

    /// Returns one of the collector's own metrics; 0 if it is missing.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        self.page_at("/metrics/self").value(series).unwrap_or_default()
    }

    /// Returns the memory that is charged to agents, and the limit, in bytes.
    pub(crate) fn memory(&self) -> (f64, f64) {
        (self.metric("fleetgauge_memory_bytes"), self.metric("fleetgauge_memory_limit_bytes"))
    }

    pub(crate) fn rejects(&self, code: &str) -> f64 {
        self.metric(&format!("fleetgauge_rejects_total{{code=\"{code}\"}}"))
    }

    pub(crate) fn closed(&self, reason: &str) -> f64 {
        self.metric(&format!("fleetgauge_connections_closed_total{{reason=\"{reason}\"}}"))
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.stop();
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(matches!(ended, Some(Ok(())) | None), "the collector panicked");
        }
    }
}

/// A page in the text format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page(pub(crate) String);

impl Page {
    /// Returns each series as written on the page, and its value.
    pub(crate) fn samples(&self) -> impl Iterator<Item = (&str, f64)> {
        let lines = self.0.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series, value.parse().unwrap())
        })
    }

    pub(crate) fn value(&self, series: &str) -> Option<f64> {
        self.samples().find(|(own, _)| *own == series).map(|(_, value)| value)
    }

    /// Returns the values of all series of an agent.
    pub(crate) fn values_of(&self, agent: &str) -> Vec<f64> {
        let label = format!("agent=\"{agent}\"");
        self.samples().filter(|(series, _)| series.contains(&label)).map(|(_, v)| v).collect()
    }

    pub(crate) fn shows(&self, agent: &str) -> bool {
        !self.values_of(agent).is_empty()
    }
}
