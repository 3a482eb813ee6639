//! What the service manager is told, by systemd's protocol (sd_notify(3)): that the collector is ready, how many agents
//! it has, that it still runs, that it stops. Without a service manager nothing is said.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use tokio::runtime::Handle;
use tracing::debug;

/// How often the number of agents is told, at least.
const STATUS_EVERY: Duration = Duration::from_secs(10);

/// Agents and scrapers are served.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("waiting for agents")]);
}

/// The settings' files are read anew.
pub(crate) fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// They were, or could not be: the collector serves as before.
pub(crate) fn reloaded() {
    tell(&[NotifyState::Ready]);
}

/// The collector stops, which takes so long at most: whoever manages it need not know `drain_seconds`.
pub(crate) fn stopping(within: Duration) {
    let micros = within.as_micros().try_into().unwrap_or(u32::MAX);
    let status = NotifyState::Status("asking agents to leave");
    tell(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(micros), status]);
}

/// Says now and then that the collector runs, and for how many agents.
#[derive(Debug)]
pub(crate) struct Pulse {
    watched: bool,
    every: Duration,
    next: Instant,
    agents: Handle,
}

impl Pulse {
    /// The pulse of a collector whose connections run on `agents`; `None` if nobody would feel it.
    pub(crate) fn start(agents: &Handle) -> Option<Self> {
        std::env::var_os("NOTIFY_SOCKET")?;
        let watchdog = sd_notify::watchdog_enabled();
        let every = watchdog.map_or(STATUS_EVERY, |within| STATUS_EVERY.min(within / 2));
        let (watched, next) = (watchdog.is_some(), Instant::now());
        Some(Self { watched, every, next, agents: agents.clone() })
    }

    /// Tells that the caller runs, if it is time to. The connections' threads tell it: they must run as well.
    pub(crate) fn beat(&mut self, now: Instant, connected: usize) {
        if now < self.next {
            return;
        }
        self.next = now + self.every;
        let watched = self.watched;
        self.agents.spawn(async move {
            let status = format!("{connected} agents");
            let status = NotifyState::Status(&status);
            if watched {
                tell(&[NotifyState::Watchdog, status]);
            } else {
                tell(&[status]);
            }
        });
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!(%error, "cannot tell the service manager");
    }
}
