//! The agent: samples on its schedule, keeps one connection to the collector and reconnects.
//!
//! Two tasks on one thread communicate over two watch channels, which hold one value each: the
//! newest sample, and the sampling plan. Nothing queues while the collector is unreachable; the
//! `recorder` keeps the samples in a bounded log.
//!
//! `reporter` is the connection loop. A round tries the addresses of all collectors one by one
//! (`connect`, `tls_handshake`, `session`); `candidates` orders them, `failure` and
//! `paused_addresses` decide when to retry.

mod blocking_read;
mod candidates;
mod connect;
mod control;
mod credentials;
mod failure;
mod failure_log;
#[cfg(test)]
mod fake_address;
mod keepalive;
mod log_saver;
mod lost;
mod outbox;
mod paused_addresses;
mod recorder;
mod reject_advice;
mod replay;
mod reporter;
mod resolver;
mod sampling;
mod sanitize;
mod session;
mod session_end;
mod socket;
mod srv;
mod tls_handshake;
mod transport;
mod watchdog;

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use control::Control;
pub use control::{Reload, Settings};
use fleetgauge_common::service_manager;
use fleetgauge_common::settings::{SettingError, SettingErrors};
use log_saver::LogFileSaver;
use reporter::Reporter;
use sampling::SamplingPlan;
use tokio::sync::watch;

use crate::client::Terms;
use crate::config::{Collectors, Config, TokenSource};
use crate::identity::Host;
use crate::metrics::Selection;
use crate::profile::Profile;
use crate::report_log::LogLimits;
use crate::tls::TlsSettings;

/// The settings of a running agent.
#[derive(Debug, Clone)]
pub struct Agent {
    /// The collectors to report to.
    pub collector: Collectors,
    /// The metrics to report.
    pub metrics: Selection,
    /// Contents of Hello and Catalog. The catalogs are those of `metrics`, without those of
    /// families that its sources find later.
    pub profile: Arc<Profile>,
    /// Source of the token; `None`: no token.
    pub token: Option<TokenSource>,
    /// Whether the token may be sent to another host without TLS.
    pub insecure: bool,
    /// TLS settings; `None`: no TLS.
    pub tls: Option<TlsSettings>,
    /// Bounds of the log of reports; 0 bytes: no log.
    pub log: LogLimits,
    /// File of the log, with which it survives a restart. A reload does not change it.
    pub log_file: Option<PathBuf>,
}

impl Agent {
    /// Creates the agent of a configuration and a host.
    ///
    /// # Errors
    /// The host has no usable id.
    pub fn new(config: &Config, host: &Host) -> Result<Self, SettingErrors> {
        let id = host.id(&config.id).map_err(|error| SettingError::new("id", error.to_string()))?;
        let profile = Profile {
            id,
            nonces: host.nonces(),
            labels: config.labels.clone(),
            interval: config.interval,
            agent_version: env!("CARGO_PKG_VERSION"),
            catalogs: config.metrics.catalogs().clone(),
        };
        Ok(Self {
            collector: config.collector.clone(),
            metrics: config.metrics.clone(),
            profile: Arc::new(profile),
            token: config.token.clone(),
            insecure: config.insecure,
            tls: config.tls.clone(),
            log: config.report_log,
            log_file: config.log_file.clone(),
        })
    }

    /// Returns the names of the settings that differ from `other`.
    fn changes(&self, other: &Self) -> Vec<&'static str> {
        let (this, that) = (&self.profile, &other.profile);
        let (metrics, others) = (self.metrics.settings(), other.metrics.settings());
        let compared = [
            ("collector", self.collector == other.collector),
            ("id", this.id == that.id),
            ("interval", this.interval == that.interval),
            ("metrics", self.metrics.has_same_host_metrics(&other.metrics)),
            ("scrape", metrics.scrapes == others.scrapes),
            ("textfile", metrics.textfiles == others.textfiles),
            ("labels", this.labels == that.labels),
            ("insecure", self.insecure == other.insecure),
            ("token_file", self.token == other.token),
            ("tls", self.tls == other.tls),
            ("log_size", self.log.bytes == other.log.bytes),
            ("log_age", self.log.age == other.log.age),
        ];
        compared.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
    }
}

/// Samples and reports until `shutdown` completes, then sends Bye and returns within a few seconds.
///
/// Needs a tokio runtime with I/O and time; one thread is enough. Retries for ever if the collector
/// is unreachable, rejects the agent or violates the protocol.
pub async fn run(agent: Agent, shutdown: impl Future<Output = ()>) {
    run_reloading(agent, None, shutdown).await;
}

/// Like [`run`], and also reloads the settings on request.
///
/// If no setting other than the log filter changed, the session continues. Otherwise the agent
/// sends Bye and reconnects immediately with the new settings.
pub async fn run_reloading(
    agent: Agent,
    reload: Option<Reload>,
    shutdown: impl Future<Output = ()>,
) {
    let (newest, samples) = watch::channel(None);
    let plan = SamplingPlan {
        id: agent.profile.id.clone(),
        interval: agent.profile.interval,
        metrics: agent.metrics.clone(),
        terms: Terms::default(),
    };
    let (plan, planned) = watch::channel(plan);
    let (recorder, log_file) = LogFileSaver::open(&agent, &planned).await;
    let reporter = Reporter::new(agent, samples, plan, Arc::clone(&recorder));
    let shutdown = pin!(async {
        shutdown.await;
        service_manager::stopping(None, None);
    });
    service_manager::ready(None);
    tokio::select! {
        () = sampling::sample_on_schedule(planned, newest, &recorder) => {}
        () = reporter.run(Control::new(shutdown, reload)) => {}
        () = watchdog::run() => {}
        () = save(log_file.as_ref()) => {}
    }
    if let Some(log_file) = log_file {
        log_file.finish().await;
    }
}

/// Saves the log to its file; waits for ever without one.
async fn save(log_file: Option<&LogFileSaver>) {
    match log_file {
        Some(log_file) => log_file.run().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
#[path = "log_file_tests.rs"]
mod log_file_tests;
