//! Notifications to the service manager: readiness, reload, stop, status and watchdog.
//!
//! Without a service manager they do nothing.

use std::time::{Duration, Instant};

use fleetgauge_common::{service_manager, text};
use tokio::runtime::Handle;

/// Maximum interval between two status notifications.
const STATUS_EVERY: Duration = Duration::from_secs(10);

/// Notifies that agents and scrapes are served.
pub(crate) fn ready() {
    service_manager::ready(Some("waiting for agents"));
}

/// Notifies that a reload has started.
pub(crate) fn reloading() {
    service_manager::reloading();
}

/// Notifies that a reload has finished or failed.
pub(crate) fn reloaded() {
    service_manager::ready(None);
}

/// Notifies that the collector stops, and extends the unit's stop timeout to `within`.
pub(crate) fn stopping(within: Duration) {
    service_manager::stopping(Some(within), Some("draining agents"));
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
        if !service_manager::is_present() {
            return None;
        }
        let timeout = service_manager::watchdog_timeout();
        let every = timeout.map_or(STATUS_EVERY, |timeout| STATUS_EVERY.min(timeout / 2));
        let (watched, next) = (timeout.is_some(), Instant::now());
        Some(Self { watched, every, next, connections: connections.clone() })
    }

    /// Sends a watchdog ping and a status with the number of agents, if they are due. A task of the
    /// connections' runtime sends them, so a ping proves that both runtimes run.
    pub(crate) fn ping(&mut self, now: Instant, agents: usize) {
        if now < self.next {
            return;
        }
        self.next = now + self.every;
        let watched = self.watched;
        self.connections.spawn(async move {
            let status = text::agents(agents);
            if watched {
                service_manager::ping(Some(&status));
            } else {
                service_manager::status(&status);
            }
        });
    }
}
