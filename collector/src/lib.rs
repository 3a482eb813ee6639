//! The fleetgauge collector: receives the reports of agents and exposes their newest values to
//! Prometheus.
//!
//! The binary, the tests, the demo and the load test all call [`run`]. The caller owns the
//! listeners, the runtime and the decision to stop. `ARCHITECTURE.md` follows a report through the
//! modules.

pub mod admission;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connection;
pub mod exposition;
pub mod fleet_stats;
pub mod http;
pub mod limits;
pub mod peers;
pub mod registry;
pub mod remote_write;
pub mod roster;
mod server;
pub mod state;
mod systemd;
pub mod telemetry;
pub mod tls;
mod web;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::registry::Registry as MetricsRegistry;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The collector's allocator: jemalloc, in which an idle connection takes less memory than in the
/// system allocator.
#[cfg(all(target_os = "linux", feature = "jemalloc"))]
pub use tikv_jemallocator::Jemalloc as Allocator;

/// The collector's allocator where jemalloc is not used: the system allocator.
#[cfg(not(all(target_os = "linux", feature = "jemalloc")))]
pub use std::alloc::System as Allocator;

pub use config::Config;
pub use server::{BindError, Listeners};

use http::HttpState;
use remote_write::{JournalWriter, RemoteWriteTasks};
use server::roster_saver::RosterSaver;
use server::runtime::ConnectionRuntime;
use server::{accept, reload, roster_ticker, shutdown, ticker};
use state::CollectorState;
use systemd::notify::{self, Watchdog};
use telemetry::collector_samples;
use telemetry::sample::ScrapeCollector;

/// Runs a collector until `shutdown` completes and its agents have been asked to leave.
///
/// # Errors
/// The listeners, the state directory or the threads cannot be set up.
pub async fn run(
    config: Config,
    listeners: Listeners,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    run_reloading(config, listeners, shutdown, Arc::default()).await
}

/// Like [`run`], and also reloads the configuration files when `reload` is notified.
///
/// # Errors
/// As [`run`].
pub async fn run_reloading(
    config: Config,
    listeners: Listeners,
    shutdown: impl Future<Output = ()> + Send,
    reload: Arc<Notify>,
) -> io::Result<()> {
    let mut metrics = MetricsRegistry::default();
    let collector = Arc::new(CollectorState::new(config, &mut metrics));
    metrics.register_collector(Box::new(ScrapeCollector(collector_samples::of(&collector))));
    let metrics = Arc::new(metrics);
    collector.clock.set_time_of_day(SystemTime::now());
    collector.clock.start();
    let saver = RosterSaver::open(&collector).map_err(io::Error::other)?;
    // Behind the saver, which locks the state directory.
    let journal = JournalWriter::open(&collector);

    let runtime = ConnectionRuntime::start(collector.config.coalesce)?;
    let stop_accepting = CancellationToken::new();
    let _accepting = accept::start(listeners.agents, &collector, &runtime, &stop_accepting)?;
    let stop_http = CancellationToken::new();
    let http = HttpState::new(Arc::clone(&collector), Arc::clone(&metrics));
    let http_address = listeners.http.local_addr()?;
    let serving = http::start(listeners.http, http, &stop_http)?;

    // Dropped at the end, which aborts the tasks.
    let mut background = JoinSet::new();
    let watchdog = Watchdog::start(runtime.handle());
    background.spawn(ticker::run(Arc::clone(&collector), watchdog));
    background.spawn(roster_ticker::run(Arc::clone(&collector)));
    background.spawn(reload::watch(Arc::clone(&collector), reload));
    let remote_write = RemoteWriteTasks::start(&collector, &metrics, http_address);
    let stop_saving = CancellationToken::new();
    let saving = saver.start(&stop_saving);
    let journaling = journal.map(|journal| journal.start(&stop_saving));

    notify::ready();
    shutdown.await;
    notify::stopping(shutdown::longest(&collector.config));
    shutdown::drain(&collector, &stop_accepting).await;
    shutdown::stop_remote_write(&collector, remote_write).await;
    shutdown::finish_journal(&stop_saving, journaling).await;
    shutdown::save_roster(&collector, &stop_saving, saving).await;
    shutdown::stop_http(&stop_http, serving).await;
    Ok(())
}
