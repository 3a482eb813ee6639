//! Detects a collector that hangs.
//!
//! A healthy collector sends nothing to a healthy agent. If a collector hangs, the kernel of
//! its host still acknowledges reports. So the agent sends a Ping after a long silence.

use std::time::{Duration, Instant};

/// Silence after which the agent sends a Ping. Long, so that a fleet's Pings cost almost nothing.
pub(super) const PING_AFTER: Duration = Duration::from_secs(5 * 60);
/// Timeout for the Pong. If a collector freezes for less than this, its agents stay connected.
pub(super) const PONG_TIMEOUT: Duration = Duration::from_secs(60);

/// Keepalive timer: when bytes were last received, and when a Ping was sent since. Reads no clock.
#[derive(Debug)]
pub(super) struct Keepalive {
    received: Instant,
    pinged: Option<Instant>,
}

/// What to do when the keepalive is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeepaliveAction {
    /// Send a Ping.
    SendPing,
    /// Close the connection: the collector does not answer.
    Close,
}

impl Keepalive {
    /// Creates a keepalive timer; `now` is when the last bytes were received.
    pub(super) const fn new(now: Instant) -> Self {
        Self { received: now, pinged: None }
    }

    /// Returns when an action is due, if nothing is received before.
    pub(super) fn due(&self) -> Instant {
        self.pinged.map_or_else(|| self.received + PING_AFTER, |pinged| pinged + PONG_TIMEOUT)
    }

    /// Returns the action that is due at `now`. If it is a Ping, starts the timeout for the Pong.
    pub(super) const fn next_action(&mut self, now: Instant) -> KeepaliveAction {
        if self.pinged.is_some() {
            return KeepaliveAction::Close;
        }
        self.pinged = Some(now);
        KeepaliveAction::SendPing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings_then_closes() {
        let start = Instant::now();
        let mut keepalive = Keepalive::new(start);
        assert_eq!(keepalive.due(), start + PING_AFTER);
        let pinged = start + PING_AFTER;
        assert_eq!(keepalive.next_action(pinged), KeepaliveAction::SendPing);
        assert_eq!(keepalive.due(), pinged + PONG_TIMEOUT);
        assert_eq!(keepalive.next_action(pinged + PONG_TIMEOUT), KeepaliveAction::Close);
    }

    #[test]
    fn received_bytes_restart_the_timer() {
        let start = Instant::now();
        let mut keepalive = Keepalive::new(start);
        keepalive.next_action(start + PING_AFTER);
        let answered = start + PING_AFTER + Duration::from_secs(1);
        keepalive = Keepalive::new(answered);
        assert_eq!(keepalive.due(), answered + PING_AFTER);
    }
}
