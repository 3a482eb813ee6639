//! Notifications to the service manager by systemd's protocol (sd_notify(3)).
//!
//! Without a service manager, or on other systems than Unix, they do nothing.

use std::time::Duration;

#[cfg(unix)]
use sd_notify::NotifyState;

/// Returns whether a service manager that expects notifications has started this process.
#[must_use]
pub fn is_present() -> bool {
    cfg!(unix) && std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Returns the time within which the service manager expects a watchdog ping; `None` if it expects
/// none.
#[must_use]
pub fn watchdog_timeout() -> Option<Duration> {
    #[cfg(unix)]
    return sd_notify::watchdog_enabled();
    #[cfg(not(unix))]
    None
}

/// Notifies that the program is ready: after its start, or after a reload.
pub fn ready(status: Option<&str>) {
    #[cfg(unix)]
    notify([Some(NotifyState::Ready), status.map(NotifyState::Status)]);
    #[cfg(not(unix))]
    let _ = status;
}

/// Notifies that a reload has started; [`ready`] ends it.
pub fn reloading() {
    #[cfg(unix)]
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        notify([Some(NotifyState::Reloading), Some(now)]);
    }
}

/// Notifies that the program stops. Extends the unit's stop timeout to `timeout`, if given.
pub fn stopping(timeout: Option<Duration>, status: Option<&str>) {
    #[cfg(unix)]
    {
        let micros = |timeout: Duration| timeout.as_micros().try_into().unwrap_or(u32::MAX);
        let timeout = timeout.map(|timeout| NotifyState::ExtendTimeoutUsec(micros(timeout)));
        notify([Some(NotifyState::Stopping), timeout, status.map(NotifyState::Status)]);
    }
    #[cfg(not(unix))]
    let _ = (timeout, status);
}

/// Sets the status that `systemctl status` shows.
pub fn status(status: &str) {
    #[cfg(unix)]
    notify([Some(NotifyState::Status(status))]);
    #[cfg(not(unix))]
    let _ = status;
}

/// Sends a watchdog ping, and the status if given.
pub fn ping(status: Option<&str>) {
    #[cfg(unix)]
    notify([Some(NotifyState::Watchdog), status.map(NotifyState::Status)]);
    #[cfg(not(unix))]
    let _ = status;
}

#[cfg(unix)]
fn notify<const N: usize>(states: [Option<NotifyState<'_>>; N]) {
    let states: Vec<_> = states.into_iter().flatten().collect();
    if let Err(error) = sd_notify::notify(&states) {
        tracing::debug!(%error, "cannot notify the service manager");
    }
}
