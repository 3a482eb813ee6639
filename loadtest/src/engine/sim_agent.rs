//! State of a simulated agent, in as few bytes as possible.

use std::time::Duration;

use fleetgauge_agent::client::Client;
use mio::net::TcpStream;

use super::pings::PendingPing;

/// State of an agent's connection.
///
/// ```text
///                     dial                Welcome
///     Disconnected -----------> Connecting --------> InSession ---------> Frozen
///          ^                        |                    |     Freeze        |
///          +------------------------+--------------------+-------------------+
///                   refused, rejected, lost, or disconnected on purpose
/// ```
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// No connection.
    #[default]
    Disconnected,
    /// TCP connect is in progress, or Hello was sent.
    Connecting,
    /// In a session.
    InSession,
    /// Connected, but does nothing.
    Frozen,
}

/// A simulated agent.
#[derive(Debug, Default)]
pub(super) struct SimAgent {
    pub(super) stream: Option<TcpStream>,
    pub(super) stage: Stage,
    /// Whether it waits for a command before it reconnects.
    pub(super) stays_away: bool,
    /// Whether it is disconnected for a while and has to return.
    pub(super) must_return: bool,
    /// Number of connection attempts, modulo 2^16.
    pub(super) attempt: u16,
    /// Number of reboots of its host.
    pub(super) boot: u16,
    /// Report interval that Welcome set, in milliseconds.
    pub(super) interval_ms: u32,
    /// While connecting: start of the attempt. In a session: time since which the agent waits for
    /// its next report; earlier delays are not the generator's. Microseconds since the start of the
    /// test.
    pub(super) since_us: u64,
    pub(super) client: Client,
    /// State that few agents have at any moment.
    pub(super) cold: Option<Box<ColdState>>,
}

/// State that few agents have at any moment.
#[derive(Debug, Default)]
pub(super) struct ColdState {
    /// Bytes that the socket has not accepted yet; its last progress was at `stuck_since`.
    pub(super) unwritten: Vec<u8>,
    pub(super) stuck_since: Duration,
    /// The report at the end of these bytes.
    pub(super) report: Option<PendingReport>,
    /// Pings without Pongs, oldest first.
    pub(super) pending_pings: Vec<PendingPing>,
}

/// A report whose write is not complete.
#[derive(Debug, Clone, Copy)]
pub(super) struct PendingReport {
    /// Due time of the report.
    pub(super) due: Duration,
    /// Whether it was due at a tick of the schedule, not because the session had begun.
    pub(super) on_grid: bool,
    /// Delay of the report that the load test itself caused.
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

    /// Whether the socket has not accepted some bytes yet.
    pub(super) fn has_unwritten(&self) -> bool {
        self.cold.as_ref().is_some_and(|cold| !cold.unwritten.is_empty())
    }

    /// Frees the cold state if it is empty.
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
        // In debug builds mio stores the selector with every socket.
        let debug = if cfg!(debug_assertions) { 16 } else { 0 };
        assert!(size_of::<SimAgent>() <= 80 + debug, "{}", size_of::<SimAgent>());
    }
}
