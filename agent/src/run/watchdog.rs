//! Watchdog pings to the service manager.

use fleetgauge_common::service_manager;
use tokio::time::MissedTickBehavior;

/// Sends two pings per watchdog timeout; none if the service manager expects none. Never returns.
pub(super) async fn run() {
    let Some(timeout) = service_manager::watchdog_timeout() else {
        return std::future::pending().await;
    };
    let mut ticks = tokio::time::interval(timeout / 2);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        service_manager::ping(None);
    }
}
