//! Frames of an agent: checked against the session's state, then decoded and handled.

use fleetgauge_proto::message::{Bye, ByeReason, Ping, Pong, Report};
use fleetgauge_proto::{Code, Frame, Kind, Message, Violation};
use tracing::debug;

use super::{Session, State, send};
use crate::clock::Millis;
use crate::peers::close_reason::CloseReason;
use crate::peers::handle::Signal;
use crate::peers::refusal::Refusal;

/// The refusal of bytes between Hello and Welcome, even if the id is free: an agent that does not
/// wait would fail only when its id is disputed.
pub(super) fn before_welcome() -> Refusal {
    let detail = "something was sent behind Hello and before Welcome; wait for Welcome".to_owned();
    Refusal { detail, ..Refusal::of(Code::UnexpectedFrame) }
}

impl Session {
    /// Handles a frame; `more` if bytes follow it. For the order of checks see `docs/protocol.md`,
    /// "The order of checks".
    pub(super) fn frame(
        &mut self,
        frame: Frame<'_>,
        more: bool,
        now: Millis,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let kind = frame.header.kind;
        self.collector.telemetry.metrics.frame(kind);
        let answers = self.answer_challenge();
        if let Some(when) = self.unexpected(kind) {
            return Err(Violation::UnexpectedFrame { kind, when }.into());
        }
        match &mut self.state {
            State::Greeting { .. } if more => Err(before_welcome()),
            State::Greeting { .. } => match Message::decode(frame)? {
                Message::Hello(hello) => self.hello(&hello, now, out),
                _ => Ok(()),
            },
            State::Open(agent) => {
                if !answers {
                    agent.spend(kind, now, &self.handle, &self.collector)?;
                }
                match kind {
                    Kind::Report => self.report(&Report::decode(frame.payload)?, now),
                    Kind::Schema => agent.declare(frame, &self.collector),
                    _ => {
                        self.open_frame(&Message::decode(frame)?, out);
                        Ok(())
                    }
                }
            }
            State::Challenging(_) | State::Ended(_) => Ok(()),
        }
    }

    /// Answers a challenger, for which any frame of the agent will do. Returns whether there is
    /// one.
    fn answer_challenge(&mut self) -> bool {
        let State::Open(agent) = &mut self.state else { return false };
        let asked = std::mem::take(&mut agent.challenged);
        if asked {
            self.collector.challenges.answer(&self.handle, Signal::Answered);
        }
        asked
    }

    /// Returns when a frame of this kind is not allowed, if that is now.
    fn unexpected(&self, kind: Kind) -> Option<&'static str> {
        match (&self.state, kind) {
            (State::Greeting { .. }, Kind::Hello) => None,
            (State::Greeting { .. }, _) => Some("before Hello"),
            (State::Open(_), Kind::Hello) => Some("after Hello"),
            (State::Open(_), Kind::Welcome | Kind::Drain | Kind::Reject) => Some("from an agent"),
            (State::Open(agent), Kind::Report) if agent.schema.is_none() => {
                Some("before the Schema that Welcome asked for")
            }
            // While the id is disputed, `received` refuses every byte.
            (State::Open(_) | State::Challenging(_) | State::Ended(_), _) => None,
        }
    }

    fn open_frame(&mut self, message: &Message<'_>, out: &mut Vec<u8>) {
        match message {
            Message::Ping(Ping { token }) => send(&Message::Pong(Pong { token: *token }), out),
            Message::Bye(Bye { reason, .. }) => {
                // Only in answer to Drain: the agents that the next start awaits are not limited.
                let asked = *reason == ByeReason::Drained as u8 && self.collector.draining();
                self.end(if asked { CloseReason::Drained } else { CloseReason::Bye });
            }
            // The others need no action.
            _ => {}
        }
    }

    fn report(&mut self, report: &Report<'_>, now: Millis) -> Result<(), Refusal> {
        let State::Open(agent) = &mut self.state else { return Ok(()) };
        agent.check(report)?;
        let stored = match agent.registered() {
            Some(holder) if !agent.full_due => {
                holder.row().store(self.handle.session(), &report.values)
            }
            _ => {
                agent.enter(report, &self.collector, now)?;
                if self.handshake.take().is_some() {
                    self.collector.admission.pacer.finished();
                    self.collector.admission.addresses.reported(self.handle.address().ip());
                }
                true
            }
        };
        if !stored {
            return Err(Refusal::of(Code::Superseded));
        }
        agent.sequence = report.sequence;
        self.handle.set_reported(now);
        self.collector.telemetry.metrics.reports.inc();
        debug!(agent = %agent.id(), sequence = report.sequence, unix_ms = report.unix_ms, "report");
        Ok(())
    }
}
