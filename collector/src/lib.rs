//! The fleetgauge collector: takes the reports of agents and shows their newest values to Prometheus.
//!
//! [`run`] is what the binary, the tests, the demo and the load test all call: who calls it owns the listeners, the
//! runtime and the decision to stop. `ARCHITECTURE.md` tells a report's path through the modules.

mod activation;
pub mod addresses;
pub mod bucket;
pub mod budget;
pub mod challenges;
pub mod cli;
pub mod clock;
pub mod config;
mod connection;
pub mod ending;
pub mod exposition;
pub mod fleet;
mod http;
mod listener;
pub mod metrics;
pub mod pacing;
pub mod peer;
mod process;
pub mod proxy;
mod refused;
pub mod registry;
mod reload;
pub mod roster;
pub mod session;
pub mod shared;
mod shutdown;
mod stagger;
#[cfg(unix)]
mod supervisor;
#[cfg(not(unix))]
#[path = "supervisor_absent.rs"]
mod supervisor;
mod sweep;
pub mod target;
pub mod tls;
mod transport;
pub mod trust;
pub mod untold;
pub mod versions;
mod workers;

use std::future::Future;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::registry::Registry as OwnRegistry;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// The allocator for whoever runs a collector: an idle connection costs less in it than in the system's.
#[cfg(all(target_os = "linux", feature = "jemalloc"))]
pub use tikv_jemallocator::Jemalloc as Allocator;

/// The allocator for whoever runs a collector.
#[cfg(not(all(target_os = "linux", feature = "jemalloc")))]
pub use std::alloc::System as Allocator;

pub use config::Config;
pub use listener::BindError;

use activation::Handed;
use http::Site;
use metrics::{Figure, OnScrape};
use roster::keeper::Keeper;
use shared::Shared;
use supervisor::Pulse;
use workers::Workers;

/// The sockets that a collector serves.
#[derive(Debug)]
pub struct Listeners {
    /// For agents.
    pub agents: Vec<StdListener>,
    /// For HTTP.
    pub http: StdListener,
}

impl Listeners {
    /// Binds the configured addresses.
    ///
    /// # Errors
    /// The first address that cannot be had.
    pub fn bind(config: &Config) -> Result<Self, BindError> {
        Self::complete(Handed::default(), config)
    }

    /// The sockets that were handed over, and the configured addresses in place of those that were not.
    fn complete(handed: Handed, config: &Config) -> Result<Self, BindError> {
        let bind = |address: &SocketAddr| listener::bind(*address);
        let agents = match handed.agents {
            none if none.is_empty() => config.listen.iter().map(bind).collect::<Result<_, _>>()?,
            agents => agents,
        };
        Ok(Self { agents, http: handed.http.map_or_else(|| bind(&config.http), Ok)? })
    }

    /// Where agents are awaited.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn agent_addresses(&self) -> std::io::Result<Vec<SocketAddr>> {
        self.agents.iter().map(StdListener::local_addr).collect()
    }
}

/// Runs a collector until `shutdown` is done and its agents have been sent away.
///
/// # Errors
/// The listeners or the state directory cannot be used, or threads cannot be had.
pub async fn run(
    config: Config,
    listeners: Listeners,
    shutdown: impl Future<Output = ()> + Send,
) -> std::io::Result<()> {
    run_reloading(config, listeners, shutdown, Arc::default()).await
}

/// The same, reading the settings' files anew also when `reload` is notified.
///
/// # Errors
/// As above.
pub async fn run_reloading(
    config: Config,
    listeners: Listeners,
    shutdown: impl Future<Output = ()> + Send,
    reload: Arc<Notify>,
) -> std::io::Result<()> {
    let mut own = OwnRegistry::default();
    let scrapes = Arc::new(Semaphore::new(config.bounds.scrapes));
    let shared = Arc::new(Shared::new(config, &mut own));
    own.register_collector(Box::new(OnScrape(figures(&shared))));
    shared.clock.set_time_of_day(SystemTime::now());
    shared.clock.start();
    let keeper = Keeper::open(&shared).map_err(std::io::Error::other)?;
    let stop = CancellationToken::new();
    let workers = Workers::start(shared.config.coalesce)?;
    let mut accepting = Vec::new();
    for listener in listeners.agents {
        info!(address = %listener.local_addr()?, "listening for agents");
        listener.set_nonblocking(true)?;
        let _within = workers.handle().enter();
        let listener = TcpListener::from_std(listener)?;
        let stop = stop.clone().cancelled_owned();
        let accept = listener::accept(listener, Arc::clone(&shared), stop);
        accepting.push(workers.handle().spawn(accept));
    }
    listeners.http.set_nonblocking(true)?;
    let http = TcpListener::from_std(listeners.http)?;
    info!(address = %http.local_addr()?, "serving HTTP");
    let site = Site { shared: Arc::clone(&shared), own, scrapes };
    let stop_http = CancellationToken::new();
    let serving = tokio::spawn(http::serve(http, site, stop_http.clone()));
    let pulse = Pulse::start(workers.handle());
    let sweeping = tokio::spawn(sweep::sweep(Arc::clone(&shared), pulse));
    let watching = tokio::spawn(roster::watch::watch(Arc::clone(&shared)));
    let reloading = tokio::spawn(reload::watch(Arc::clone(&shared), reload));
    let stop_keeping = CancellationToken::new();
    let keeping = tokio::spawn(keeper.keep(stop_keeping.clone().cancelled_owned()));

    supervisor::ready();
    shutdown.await;
    supervisor::stopping(shutdown::longest(&shared.config));
    shutdown::drain(&shared, &stop).await;
    shutdown::keep_roster(&shared, &stop_keeping, keeping).await;
    shutdown::stop_http(&stop_http, serving).await;
    sweeping.abort();
    watching.abort();
    reloading.abort();
    for accept in accepting {
        accept.abort();
    }
    Ok(())
}

/// What the collector knows only when it is asked.
fn figures(shared: &Arc<Shared>) -> impl Fn() -> Vec<Figure> + Send + Sync + 'static {
    let shared = Arc::downgrade(shared);
    move || {
        let mut figures = process::figures();
        let Some(shared) = shared.upgrade() else { return figures };
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        let count = |count: usize| count as f64;
        let agents = count(shared.registry.agents());
        let schemas = count(shared.registry.schemas().len());
        let left_off = count(shared.registry.families_left_off());
        figures.extend(shared.roster.figures());
        figures.extend([
            Figure::Gauge("fleetgauge_agents_connected", "Agents whose series are shown.", agents),
            Figure::Gauge(
                "fleetgauge_addresses",
                "Addresses of which something is known: who holds connections, or has lately.",
                count(shared.addresses.len()),
            ),
            Figure::Gauge(
                "fleetgauge_herd_wait_seconds",
                "How long the next agent for which there is no room would be told to wait; 0 without a herd.",
                shared.pacer.queue(shared.clock.now()) as f64 / 1000.0,
            ),
            Figure::Gauge(
                "fleetgauge_memory_bytes",
                "Memory taken by agents' connections, rows, schemas and unfinished frames, as counted.",
                count(shared.budget.taken()),
            ),
            Figure::Gauge(
                "fleetgauge_memory_limit_bytes",
                "Most memory that agents may take, as configured.",
                count(shared.budget.limit()),
            ),
            Figure::Counter(
                "fleetgauge_memory_refusals",
                "Connections, agents, schemas and frames refused because memory had run out.",
                shared.budget.refusals() as f64,
            ),
            Figure::Gauge("fleetgauge_schemas", "Schemas kept, in use or not.", schemas),
            Figure::Gauge(
                "fleetgauge_connections_limit",
                "Most agent connections, as configured.",
                count(shared.config.bounds.connections),
            ),
            Figure::Gauge(
                "fleetgauge_schemas_limit",
                "Most schemas, as configured.",
                count(shared.config.bounds.schemas.schemas),
            ),
            Figure::Gauge(
                "fleetgauge_families_left_off",
                "Families of connected agents' schemas that are left off the shared pages now.",
                left_off,
            ),
        ]);
        let trust = Arc::clone(&shared.trust.read());
        for (name, help, port) in [
            (
                "fleetgauge_tls_certificate_expiry_timestamp_seconds",
                "When the certificate of the agents' port expires.",
                &trust.tls,
            ),
            (
                "fleetgauge_http_tls_certificate_expiry_timestamp_seconds",
                "When the certificate of the HTTP port expires.",
                &trust.http_tls,
            ),
        ] {
            #[expect(clippy::cast_precision_loss, reason = "a moment stays far below 2^53")]
            let expires = port.as_ref().map_or(0.0, |port| port.expires() as f64);
            figures.push(Figure::Gauge(name, help, expires));
        }
        if shared.config.classic {
            figures.push(Figure::Gauge(
                "clients_connected",
                "Agents whose series are shown.",
                agents,
            ));
        }
        figures
    }
}
