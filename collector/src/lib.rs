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
pub mod roster;
mod server;
pub mod state;
mod systemd;
pub mod telemetry;
pub mod tls;

use std::future::Future;
use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::registry::Registry as MetricsRegistry;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::info;

/// The collector's allocator: an idle connection takes less memory in it than in the system's.
#[cfg(all(target_os = "linux", feature = "jemalloc"))]
pub use tikv_jemallocator::Jemalloc as Allocator;

/// The collector's allocator.
#[cfg(not(all(target_os = "linux", feature = "jemalloc")))]
pub use std::alloc::System as Allocator;

pub use config::Config;
pub use server::{BindError, Listeners};

use http::HttpState;
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
) -> std::io::Result<()> {
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
) -> std::io::Result<()> {
    let mut metrics = MetricsRegistry::default();
    let collector = Arc::new(CollectorState::new(config, &mut metrics));
    metrics.register_collector(Box::new(ScrapeCollector(collector_samples::of(&collector))));
    collector.clock.set_time_of_day(SystemTime::now());
    collector.clock.start();
    let saver = RosterSaver::open(&collector).map_err(std::io::Error::other)?;

    let stop_accepting = CancellationToken::new();
    let runtime = ConnectionRuntime::start(collector.config.coalesce)?;
    let mut accepting = Vec::new();
    for listener in listeners.agents {
        info!(address = %listener.local_addr()?, "listening for agents");
        listener.set_nonblocking(true)?;
        let _within = runtime.handle().enter();
        let listener = TcpListener::from_std(listener)?;
        let stop = stop_accepting.clone().cancelled_owned();
        let accept = accept::accept(listener, Arc::clone(&collector), stop);
        accepting.push(runtime.handle().spawn(accept));
    }
    listeners.http.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listeners.http)?;
    info!(address = %listener.local_addr()?, "serving HTTP");
    let http = HttpState::new(Arc::clone(&collector), metrics);
    let stop_http = CancellationToken::new();
    let serving = tokio::spawn(http::serve(listener, http, stop_http.clone()));

    let watchdog = Watchdog::start(runtime.handle());
    let ticking = tokio::spawn(ticker::run(Arc::clone(&collector), watchdog));
    let roster_ticking = tokio::spawn(roster_ticker::run(Arc::clone(&collector)));
    let reloading = tokio::spawn(reload::watch(Arc::clone(&collector), reload));
    let stop_saving = CancellationToken::new();
    let saving = tokio::spawn(saver.run(stop_saving.clone().cancelled_owned()));

    notify::ready();
    shutdown.await;
    notify::stopping(shutdown::longest(&collector.config));
    shutdown::drain(&collector, &stop_accepting).await;
    shutdown::save_roster(&collector, &stop_saving, saving).await;
    shutdown::stop_http(&stop_http, serving).await;
    ticking.abort();
    roster_ticking.abort();
    reloading.abort();
    for accept in accepting {
        accept.abort();
    }
    Ok(())
}
