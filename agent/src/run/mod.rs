//! The agent: samples on its schedule, keeps one connection, starts over when it is lost.
//!
//! Two tasks on one thread meet in two watch channels, which hold one value each: the newest
//! sample, and the interval that the collector wants. Nothing queues, however long a collector is
//! away.

mod advice;
mod connect;
mod control;
mod credentials;
mod disk;
mod printable;
mod quiet;
mod reporter;
mod round;
mod sampling;
mod secure;
mod session;
mod stream;

use std::pin::pin;
use std::sync::Arc;

use control::Control;
pub use control::{Reload, Settings};
use reporter::Reporter;
use sampling::Plan;
use tokio::sync::watch;

use crate::config::{BadSetting, Config, Endpoint, TokenSource};
use crate::identity::Host;
use crate::metrics::MetricSet;
use crate::profile::{EncodedSchema, Profile};
use crate::supervisor;
use crate::tls::TlsSettings;

/// All that an agent needs to run.
#[derive(Debug, Clone)]
pub struct Agent {
    /// Where to report to.
    pub collector: Endpoint,
    /// What to report.
    pub metrics: MetricSet,
    /// What it says of itself. Its schema is that of `metrics`.
    pub profile: Arc<Profile>,
    /// What proves who it is.
    pub token: Option<TokenSource>,
    /// Whether that may be sent unencrypted to another host.
    pub insecure: bool,
    /// How it speaks TLS; `None`: not at all.
    pub tls: Option<TlsSettings>,
}

impl Agent {
    /// The agent that `config` describes, on `host`.
    ///
    /// # Errors
    /// When the host has no usable id.
    pub fn new(config: &Config, host: &Host) -> Result<Self, BadSetting> {
        let id = host.id(&config.id).map_err(|error| BadSetting::new("id", error.to_string()))?;
        let schema = EncodedSchema::of(config.metrics)
            .map_err(|error| BadSetting::new("metrics", error.to_string()))?;
        let profile = Profile {
            id,
            nonces: host.nonces(),
            labels: config.labels.clone(),
            interval: config.interval,
            agent_version: env!("CARGO_PKG_VERSION"),
            schema: Arc::new(schema),
        };
        Ok(Self {
            collector: config.collector.clone(),
            metrics: config.metrics,
            profile: Arc::new(profile),
            token: config.token.clone(),
            insecure: config.insecure,
            tls: config.tls.clone(),
        })
    }

    /// The settings that are others than in `other`.
    fn changes(&self, other: &Self) -> Vec<&'static str> {
        let (own, theirs) = (&self.profile, &other.profile);
        let compared = [
            ("collector", self.collector == other.collector),
            ("id", own.id == theirs.id),
            ("interval", own.interval == theirs.interval),
            ("metrics", self.metrics == other.metrics),
            ("labels", own.labels == theirs.labels),
            ("insecure", self.insecure == other.insecure),
            ("token_file", self.token == other.token),
            ("tls", self.tls == other.tls),
        ];
        compared.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
    }
}

/// Samples and reports until `shutdown` is done; then says Bye and returns within a few seconds.
///
/// Needs a tokio runtime with I/O and time; one thread is enough. A collector that is away,
/// refuses, or misbehaves is tried again for ever.
pub async fn run(agent: Agent, shutdown: impl Future<Output = ()>) {
    run_reloading(agent, None, shutdown).await;
}

/// The same, with settings that are read anew when somebody asks for it.
///
/// A session goes on if nothing but the log level has changed. Otherwise the agent says Bye and
/// connects at once with the new settings.
pub async fn run_reloading(
    agent: Agent,
    reload: Option<Reload>,
    shutdown: impl Future<Output = ()>,
) {
    let (newest, samples) = watch::channel(None);
    let plan = Plan { id: agent.profile.id.clone(), interval: agent.profile.interval };
    let (plan, planned) = watch::channel(plan);
    let reporter = Reporter::new(agent, samples, plan);
    let shutdown = pin!(async {
        shutdown.await;
        supervisor::stopping();
    });
    supervisor::ready();
    tokio::select! {
        () = sampling::sample_on_schedule(planned, newest) => {}
        () = reporter.run(Control::new(shutdown, reload)) => {}
        () = supervisor::pulse() => {}
    }
}
