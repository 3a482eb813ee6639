//! Commands to a running agent: shut down and reload.

use std::pin::Pin;
use std::sync::Arc;

use fleetgauge_common::settings::SettingErrors;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::{error, info};

use super::Agent;
use super::credentials::Credentials;
use super::sanitize::sanitize;

/// How to request and perform a reload of the settings.
#[derive(Clone)]
pub struct Reload {
    /// Notified to request a reload.
    pub requested: Arc<Notify>,
    /// Reads the settings. May block.
    pub load: Arc<dyn Fn() -> Result<Settings, SettingErrors> + Send + Sync>,
}

/// Result of a reload: the new settings of the agent and the log.
#[derive(Debug)]
pub struct Settings {
    /// The agent with the reloaded settings.
    pub agent: Agent,
    /// Whether the log filter changed. [`Reload::load`] has already applied it.
    pub log_changed: bool,
}

impl std::fmt::Debug for Reload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reload")
    }
}

/// Reloaded settings and credentials.
pub(super) struct LoadedSettings {
    pub(super) agent: Agent,
    pub(super) credentials: Credentials,
    pub(super) log_changed: bool,
}

impl LoadedSettings {
    fn read(load: &dyn Fn() -> Result<Settings, SettingErrors>) -> Result<Self, String> {
        let Settings { agent, log_changed } = load().map_err(|bad| bad.to_string())?;
        let credentials = Credentials::read(&agent, None)?;
        Ok(Self { agent, credentials, log_changed })
    }

    /// Returns the names of the settings that differ from the current ones, except the log filter,
    /// which does not affect the session.
    pub(super) fn changes(&self, agent: &Agent, credentials: &Credentials) -> Vec<&'static str> {
        let mut changes = self.agent.changes(agent);
        changes.extend(self.credentials.changes(credentials));
        changes
    }

    /// Logs the reload and the names of the changed settings.
    pub(super) fn log(&self, mut changes: Vec<&'static str>) {
        if self.log_changed {
            changes.push("log");
        }
        let changed = if changes.is_empty() { "nothing".to_owned() } else { changes.join(", ") };
        info!(changed, "configuration reloaded");
    }
}

/// A command of the operator.
pub(super) enum Command {
    /// Shut down.
    Stop,
    /// Use new settings.
    Reload(Box<LoadedSettings>),
}

/// Receives the operator's commands.
pub(super) struct Control<'a> {
    shutdown: Pin<&'a mut (dyn Future<Output = ()> + 'a)>,
    reload: Option<Reload>,
    loading: Option<JoinHandle<Result<LoadedSettings, String>>>,
}

impl<'a> Control<'a> {
    pub(super) fn new(
        shutdown: Pin<&'a mut (dyn Future<Output = ()> + 'a)>,
        reload: Option<Reload>,
    ) -> Self {
        Self { shutdown, reload, loading: None }
    }

    /// Waits for the next command. Cancel-safe.
    ///
    /// A reload that fails is logged and keeps the current settings.
    pub(super) async fn next_command(&mut self) -> Command {
        loop {
            tokio::select! {
                biased;
                () = &mut self.shutdown => return Command::Stop,
                loaded = joined(&mut self.loading) => {
                    self.loading = None;
                    match loaded {
                        Ok(loaded) => return Command::Reload(Box::new(loaded)),
                        Err(problem) => {
                            let problem = sanitize(problem);
                            error!(
                                %problem,
                                "configuration reload failed; keeping the current configuration"
                            );
                        }
                    }
                }
                () = requested(self.reload.as_ref()), if self.loading.is_none() => {
                    let load = self.reload.as_ref().map(|reload| Arc::clone(&reload.load));
                    let read = |load: Arc<dyn Fn() -> _ + Send + Sync>| {
                        spawn_blocking(move || LoadedSettings::read(&*load))
                    };
                    self.loading = load.map(read);
                }
            }
        }
    }

    /// Runs `work`. If a command arrives first, cancels `work` and returns the command.
    pub(super) async fn run_until_command<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, Command> {
        tokio::select! {
            biased;
            command = self.next_command() => Err(command),
            output = work => Ok(output),
        }
    }
}

/// Waits for the running reload and returns its result; waits for ever if none is running.
async fn joined(
    loading: &mut Option<JoinHandle<Result<LoadedSettings, String>>>,
) -> Result<LoadedSettings, String> {
    match loading {
        Some(loading) => loading.await.unwrap_or_else(|panicked| Err(panicked.to_string())),
        None => std::future::pending().await,
    }
}

/// Waits for a reload request; waits for ever without a [`Reload`].
async fn requested(reload: Option<&Reload>) {
    match reload {
        Some(reload) => reload.requested.notified().await,
        None => std::future::pending().await,
    }
}
