//! What the service manager is told, by systemd's protocol (sd_notify(3)): that the agent has
//! started, whom it reports to, that it still runs, that it stops. Without a service manager
//! nothing is said.

use std::fmt::Display;

use sd_notify::NotifyState;
use tokio::time::MissedTickBehavior;
use tracing::debug;

/// The agent runs. Whether the collector is there is another matter.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The agent stops.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// What there is to say of the connection.
pub(crate) fn status(status: impl Display) {
    if std::env::var_os("NOTIFY_SOCKET").is_some() {
        tell(&[NotifyState::Status(&status.to_string())]);
    }
}

/// Says that the caller's thread runs, twice in the time in which the service manager wants to hear
/// it, for ever.
pub(crate) async fn pulse() {
    let Some(within) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    let mut beats = tokio::time::interval(within / 2);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!(%error, "cannot tell the service manager");
    }
}
