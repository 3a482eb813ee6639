//! What an agent may send when: frames are checked against the state, then decoded and obeyed.

use fleetgauge_proto::message::{Bye, ByeReason, Ping, Pong, Report};
use fleetgauge_proto::{Code, Frame, Kind, Message, Violation};
use tracing::debug;

use super::{Session, State, send};
use crate::clock::Millis;
use crate::ending::{Ending, Refusal};
use crate::peer::Signal;

/// Something was sent between Hello and Welcome. Refused even if the id is free and even if it is no frame: otherwise an agent
/// that does not wait would work until its id is disputed.
pub(super) fn before_welcome() -> Refusal {
    let detail = "something was sent behind Hello and before Welcome; wait for Welcome".to_owned();
    Refusal { detail, ..Refusal::of(Code::UnexpectedFrame) }
}

impl Session {
    /// Takes a frame; `more`: bytes came behind it. The checks and their order: `docs/protocol.md`, "The order of checks".
    pub(super) fn frame(
        &mut self,
        frame: Frame<'_>,
        more: bool,
        now: Millis,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let kind = frame.header.kind;
        self.shared.metrics.frame(kind);
        let answers = self.answer_rival();
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
                    agent.spend(kind, now, &self.peer, &self.shared)?;
                }
                match kind {
                    Kind::Report => self.report(&Report::decode(frame.payload)?, now),
                    Kind::Schema => agent.declare(frame, &self.shared),
                    _ => {
                        self.open_frame(&Message::decode(frame)?, out);
                        Ok(())
                    }
                }
            }
            State::Challenging(_) | State::Ended(_) => Ok(()),
        }
    }

    /// Tells a rival that asks for the agent that it is alive, whatever the frame says that has come; whether one asks.
    fn answer_rival(&mut self) -> bool {
        let State::Open(agent) = &mut self.state else { return false };
        let asked = std::mem::take(&mut agent.challenged);
        if asked {
            self.shared.challenges.answer(&self.peer, Signal::Answered);
        }
        asked
    }

    /// When a frame of this kind may not be sent, if that is now.
    fn unexpected(&self, kind: Kind) -> Option<&'static str> {
        match (&self.state, kind) {
            (State::Greeting { .. }, Kind::Hello) => None,
            (State::Greeting { .. }, _) => Some("before Hello"),
            (State::Open(_), Kind::Hello) => Some("after Hello"),
            (State::Open(_), Kind::Welcome | Kind::Drain | Kind::Reject) => Some("from an agent"),
            (State::Open(agent), Kind::Report) if agent.schema.is_none() => {
                Some("before the Schema that Welcome asked for")
            }
            // While its id is disputed every byte is refused, frame or not.
            (State::Open(_) | State::Challenging(_) | State::Ended(_), _) => None,
        }
    }

    fn open_frame(&mut self, message: &Message<'_>, out: &mut Vec<u8>) {
        match message {
            Message::Ping(Ping { token }) => send(&Message::Pong(Pong { token: *token }), out),
            Message::Bye(Bye { reason, .. }) => {
                // Nobody else is awaited after the next start: those who only say so could be any number.
                let asked = *reason == ByeReason::Drained as u8 && self.shared.draining();
                self.end(if asked { Ending::Drained } else { Ending::Bye });
            }
            // What is left calls for nothing.
            _ => {}
        }
    }

    fn report(&mut self, report: &Report<'_>, now: Millis) -> Result<(), Refusal> {
        let State::Open(agent) = &mut self.state else { return Ok(()) };
        agent.check(report)?;
        let stored = match agent.holder() {
            Some(holder) if !agent.full_due => {
                holder.seat().store(self.peer.session(), &report.values)
            }
            _ => {
                agent.enter(report, &self.shared, now)?;
                if self.handshake.take().is_some() {
                    self.shared.pacer.finished();
                    self.shared.addresses.reported(self.peer.address().ip());
                }
                true
            }
        };
        if !stored {
            return Err(Refusal::of(Code::Superseded));
        }
        agent.sequence = report.sequence;
        self.peer.set_reported(now);
        self.shared.metrics.reports.inc();
        debug!(agent = %agent.id(), sequence = report.sequence, unix_ms = report.unix_ms, "report");
        Ok(())
    }
}
