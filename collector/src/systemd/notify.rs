//! Notifications to systemd (sd_notify(3)): readiness, reload, stop, status and watchdog.
//!
//! Without a service manager they do nothing.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use tokio::runtime::Handle;
use tracing::debug;

/// Maximum interval between two status notifications.
const STATUS_EVERY: Duration = Duration::from_secs(10);

/// Notifies that agents and scrapes are served.
pub(crate) fn ready() {
    notify(&[NotifyState::Ready, NotifyState::Status("waiting for agents")]);
}

/// Notifies that a reload has started.
pub(crate) fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        notify(&[NotifyState::Reloading, now]);
    }
}

/// Notifies that a reload has finished or failed.
pub(crate) fn reloaded() {
    notify(&[NotifyState::Ready]);
}

/// Notifies that the collector stops, and extends the unit's stop timeout to `within`.
pub(crate) fn stopping(within: Duration) {
    let micros = within.as_micros().try_into().unwrap_or(u32::MAX);
    let status = NotifyState::Status("asking agents to leave");
    notify(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(micros), status]);
}

/// Sends watchdog pings and the status.
#[derive(Debug)]
pub(crate) struct Watchdog {
    watched: bool,
    every: Duration,
    next: Instant,
    connections: Handle,
}

impl Watchdog {
    /// Starts the watchdog of a collector whose connections run on `connections`; `None` without a
    /// service manager.
    pub(crate) fn start(connections: &Handle) -> Option<Self> {
        std::env::var_os("NOTIFY_SOCKET")?;
        let watchdog = sd_notify::watchdog_enabled();
        let every = watchdog.map_or(STATUS_EVERY, |within| STATUS_EVERY.min(within / 2));
        let (watched, next) = (watchdog.is_some(), Instant::now());
        Some(Self { watched, every, next, connections: connections.clone() })
    }

    /// Sends a ping and the number of agents if they are due. A task of the connections' runtime
    /// sends them, so that a ping proves that both runtimes run.
    pub(crate) fn ping(&mut self, now: Instant, agents: usize) {
        if now < self.next {
            return;
        }
        self.next = now + self.every;
        let watched = self.watched;
        self.connections.spawn(async move {
            let status = format!("{agents} agents");
            let status = NotifyState::Status(&status);
            if watched {
                notify(&[NotifyState::Watchdog, status]);
            } else {
                notify(&[status]);
            }
        });
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!(%error, "cannot tell the service manager");
    }
}
