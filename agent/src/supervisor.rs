//! Notifications to the service manager: readiness, stop, status and watchdog.

use std::fmt::Display;

use fleetgauge_common::service_manager;
use tokio::time::MissedTickBehavior;

/// Notifies that the agent runs, connected or not.
pub(crate) fn ready() {
    service_manager::ready(None);
}

/// Notifies that the agent stops.
pub(crate) fn stopping() {
    service_manager::stopping(None, None);
}

/// Sets the status of the connection.
pub(crate) fn status(status: impl Display) {
    if service_manager::is_present() {
        service_manager::status(&status.to_string());
    }
}

/// Sends watchdog pings, two in each watchdog timeout. Never completes.
pub(crate) async fn pulse() {
    let Some(timeout) = service_manager::watchdog_timeout() else {
        return std::future::pending().await;
    };
    let mut pings = tokio::time::interval(timeout / 2);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pings.tick().await;
        service_manager::ping(None);
    }
}
