//! Notices a collector that has fallen silent.
//!
//! A collector has nothing to say to a quiet agent, and one that hangs still has a kernel that
//! acknowledges what it is sent. So now and then, after a long silence, the agent asks.

use std::time::{Duration, Instant};

/// Silence after which the agent asks. Long, so that a fleet's questions cost next to nothing.
pub(super) const ASK_AFTER: Duration = Duration::from_secs(5 * 60);
/// How long the answer may take: a collector that was frozen for a while keeps its fleet.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// When the collector was last heard. Knows no clock.
#[derive(Debug)]
pub(super) struct Quiet {
    heard: Instant,
    asked: Option<Instant>,
}

/// What to do about the silence.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// Send a Ping.
    Ask,
    /// Take the collector for dead.
    GiveUp,
}

impl Quiet {
    /// The collector was just heard.
    pub(super) const fn new(now: Instant) -> Self {
        Self { heard: now, asked: None }
    }

    /// When something is to be done, unless the collector is heard before.
    pub(super) fn due(&self) -> Instant {
        self.asked.map_or_else(|| self.heard + ASK_AFTER, |asked| asked + ANSWER_WITHIN)
    }

    /// It is due.
    pub(super) const fn broken(&mut self, now: Instant) -> Silence {
        if self.asked.is_some() {
            return Silence::GiveUp;
        }
        self.asked = Some(now);
        Silence::Ask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_then_gives_up() {
        let start = Instant::now();
        let mut quiet = Quiet::new(start);
        assert_eq!(quiet.due(), start + ASK_AFTER);
        let asked = start + ASK_AFTER;
        assert_eq!(quiet.broken(asked), Silence::Ask);
        assert_eq!(quiet.due(), asked + ANSWER_WITHIN);
        assert_eq!(quiet.broken(asked + ANSWER_WITHIN), Silence::GiveUp);
    }

    #[test]
    fn an_answer_starts_over() {
        let start = Instant::now();
        let mut quiet = Quiet::new(start);
        quiet.broken(start + ASK_AFTER);
        let answered = start + ASK_AFTER + Duration::from_secs(1);
        quiet = Quiet::new(answered);
        assert_eq!(quiet.due(), answered + ASK_AFTER);
    }
}
