//! One simulated agent, in as few bytes as it can be.

use std::time::Duration;

use fleetgauge_agent::client::Client;
use mio::net::TcpStream;

use super::pings::PendingPing;

/// Where an agent stands.
///
/// ```text
///            dial              Welcome
///   Away ------------> Greeted ---------> Welcomed ----------> Frozen
///    ^                    |                  |   told to hang     |
///    +--------------------+------------------+-------------------+
///       refused, rejected, lost; left, and to come back or not
/// ```
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has no connection.
    #[default]
    Disconnected,
    /// It is connecting, or has sent its Hello.
    Connecting,
    /// It is in a session.
    InSession,
    /// It is connected and does nothing.
    Frozen,
}

/// An agent.
#[derive(Debug, Default)]
pub(super) struct SimAgent {
    pub(super) stream: Option<TcpStream>,
    pub(super) stage: Stage,
    /// It does not come back unless it is told to.
    pub(super) stays_away: bool,
    /// It has left for a while and has not been welcomed again.
    pub(super) must_return: bool,
    /// How often it has connected; wraps.
    pub(super) attempt: u16,
    /// How often its host has been started again.
    pub(super) boot: u16,
    /// What Welcome said.
    pub(super) interval_ms: u32,
    /// Greeted: since when it has been connecting. Welcomed: since when its next report has been waited for; the
    /// generator cannot be late for what was due before. In microseconds from the beginning of the run.
    pub(super) since_us: u64,
    pub(super) client: Client,
    /// What hardly any agent has at a moment.
    pub(super) cold: Option<Box<ColdState>>,
}

/// What hardly any agent has at a moment.
#[derive(Debug, Default)]
pub(super) struct ColdState {
    /// What the socket did not take yet, and since when.
    pub(super) unwritten: Vec<u8>,
    pub(super) stuck_since: Duration,
    /// The report that is part of it.
    pub(super) report: Option<PendingReport>,
    /// Pings without their Pongs, oldest first.
    pub(super) pending_pings: Vec<PendingPing>,
}

/// A report on its way into a socket.
#[derive(Debug, Clone, Copy)]
pub(super) struct PendingReport {
    /// When it was due.
    pub(super) due: Duration,
    /// It was due by the agent's grid, not because the session had begun.
    pub(super) on_grid: bool,
    /// How late the generator turned to it.
    pub(super) own_lag: Duration,
}

impl SimAgent {
    pub(super) const fn is_in_session(&self) -> bool {
        matches!(self.stage, Stage::InSession)
    }

    pub(super) const fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms as u64)
    }

    pub(super) const fn since(&self) -> Duration {
        Duration::from_micros(self.since_us)
    }

    pub(super) fn set_since(&mut self, now: Duration) {
        self.since_us = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
    }

    /// Bytes that the socket did not take yet.
    pub(super) fn has_unwritten(&self) -> bool {
        self.cold.as_ref().is_some_and(|cold| !cold.unwritten.is_empty())
    }

    /// Lets go of what is not needed any more.
    pub(super) fn tidy(&mut self) {
        let idle = |cold: &ColdState| cold.unwritten.is_empty() && cold.pending_pings.is_empty();
        if self.cold.as_deref().is_some_and(idle) {
            self.cold = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_fits_in_80_bytes() {
        // In debug builds mio remembers the selector of every socket.
        let debug = if cfg!(debug_assertions) { 16 } else { 0 };
        assert!(size_of::<SimAgent>() <= 80 + debug, "{}", size_of::<SimAgent>());
    }
}
