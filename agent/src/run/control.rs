//! What an operator asks of a running agent: to stop, and to read its settings anew.

use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::{error, info};

use super::Agent;
use super::credentials::Credentials;
use super::printable::printable;
use crate::config::BadSetting;

/// How to read the settings anew.
#[derive(Clone)]
pub struct Reload {
    /// An operator asks for it.
    pub asked: Arc<Notify>,
    /// Reads them and all files that they name, which may take long.
    pub load: Arc<dyn Fn() -> Result<Settings, BadSetting> + Send + Sync>,
}

/// Settings that were read anew.
#[derive(Debug)]
pub struct Settings {
    /// What the agent is to be.
    pub agent: Agent,
    /// The level of the log has changed. Whoever reads the settings applies it.
    pub log_changed: bool,
}

impl std::fmt::Debug for Reload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reload")
    }
}

/// Settings that were read anew, and what they name.
pub(super) struct Loaded {
    pub(super) agent: Agent,
    pub(super) credentials: Credentials,
    pub(super) log_changed: bool,
}

impl Loaded {
    fn read(load: &dyn Fn() -> Result<Settings, BadSetting>) -> Result<Self, String> {
        let Settings { agent, log_changed } = load().map_err(|bad| bad.to_string())?;
        let credentials = Credentials::read(&agent, None)?;
        Ok(Self { agent, credentials, log_changed })
    }

    /// The settings that differ from those in force, except the log level: a session does not
    /// depend on it.
    pub(super) fn changes(&self, agent: &Agent, credentials: &Credentials) -> Vec<&'static str> {
        let mut changes = self.agent.changes(agent);
        changes.extend(self.credentials.changes(credentials));
        changes
    }

    /// Logs that the settings were read anew, and that the log level or `changes` are others.
    pub(super) fn log(&self, mut changes: Vec<&'static str>) {
        if self.log_changed {
            changes.push("log");
        }
        let changed = if changes.is_empty() { "nothing".to_owned() } else { changes.join(", ") };
        info!(changed, "the settings were read anew");
    }
}

/// What an operator asks for.
pub(super) enum Told {
    /// To stop.
    Stop,
    /// These are the settings now.
    Reload(Box<Loaded>),
}

/// Waits for shutdown and reloads.
pub(super) struct Control<'a> {
    shutdown: Pin<&'a mut (dyn Future<Output = ()> + 'a)>,
    reload: Option<Reload>,
    loading: Option<JoinHandle<Result<Loaded, String>>>,
}

impl<'a> Control<'a> {
    pub(super) fn new(
        shutdown: Pin<&'a mut (dyn Future<Output = ()> + 'a)>,
        reload: Option<Reload>,
    ) -> Self {
        Self { shutdown, reload, loading: None }
    }

    /// Waits for a shutdown or a reload. Cancel-safe. If the settings cannot be read, logs why and
    /// keeps the old ones.
    pub(super) async fn told(&mut self) -> Told {
        loop {
            tokio::select! {
                biased;
                () = &mut self.shutdown => return Told::Stop,
                loaded = joined(&mut self.loading) => {
                    self.loading = None;
                    match loaded {
                        Ok(loaded) => return Told::Reload(Box::new(loaded)),
                        Err(problem) => {
                            let problem = printable(problem);
                            error!(
                                %problem,
                                "cannot read the settings anew; the old ones stay in force"
                            );
                        }
                    }
                }
                () = asked(self.reload.as_ref()), if self.loading.is_none() => {
                    let load = self.reload.as_ref().map(|reload| Arc::clone(&reload.load));
                    self.loading = load.map(|load| spawn_blocking(move || Loaded::read(&*load)));
                }
            }
        }
    }

    /// The output of `work`, unless a shutdown or a reload comes first.
    pub(super) async fn unless_told<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, Told> {
        tokio::select! {
            biased;
            told = self.told() => Err(told),
            done = work => Ok(done),
        }
    }
}

async fn joined(
    loading: &mut Option<JoinHandle<Result<Loaded, String>>>,
) -> Result<Loaded, String> {
    match loading {
        Some(loading) => loading.await.unwrap_or_else(|panicked| Err(panicked.to_string())),
        None => std::future::pending().await,
    }
}

async fn asked(reload: Option<&Reload>) {
    match reload {
        Some(reload) => reload.asked.notified().await,
        None => std::future::pending().await,
    }
}
