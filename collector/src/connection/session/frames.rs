//! Frames of an agent: checked against the state of the session, then decoded and handled.

use fleetgauge_proto::message::{Bye, ByeReason, Ping, Pong, Report};
use fleetgauge_proto::stream::{self, Streams};
use fleetgauge_proto::{Code, Frame, Kind, Message, Violation};
use tracing::debug;

use super::{Session, State, send};
use crate::clock::Millis;
use crate::peers::close_reason::CloseReason;
use crate::peers::handle::Signal;
use crate::peers::refusal::Refusal;

/// Returns the refusal of bytes that arrive between Hello and Welcome. They are refused even if the
/// id is free. Otherwise an agent that does not wait for Welcome would fail only in a challenge.
pub(super) fn before_welcome() -> Refusal {
    let detail = "bytes received after Hello and before Welcome; wait for Welcome".to_owned();
    Refusal { detail, ..Refusal::of(Code::UnexpectedFrame) }
}

/// Whether the frame belongs to the replay of the agent's log.
fn is_replay(frame: Frame<'_>, streams: Streams) -> Result<bool, Violation> {
    let has_stream = matches!(frame.header.kind, Kind::Catalog | Kind::Rows | Kind::Report);
    // Without a log, decoding checks the stream.
    if streams == Streams::Live || !has_stream {
        return Ok(false);
    }
    Ok(streams.of_payload(frame.payload)? == stream::REPLAY)
}

impl Session {
    /// Checks and handles a frame; `more` is whether bytes follow it. The order of the checks is
    /// defined in `docs/protocol.md`, "The order of checks".
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
                let streams = agent.forwarding.as_ref().map(|own| own.streams());
                let is_replay = is_replay(frame, streams.unwrap_or_default())?;
                let replay = agent.forwarding.as_mut().and_then(|own| own.replay.as_mut());
                let was_asked_for =
                    is_replay && replay.is_some_and(|replay| replay.was_asked_for(frame));
                if !answers && !was_asked_for {
                    let interval_ms = Millis::from(self.handle.hello().interval_ms);
                    let bounds = &self.collector.config.bounds;
                    agent.rate_limits.charge_frame(kind, now, interval_ms, bounds)?;
                }
                match kind {
                    _ if is_replay => {
                        agent.replay_frame(frame, now, &self.handle, &self.collector, out)
                    }
                    Kind::Report => self.report(&Report::decode(frame.payload)?, now, out),
                    Kind::Catalog => agent.declare(frame, &self.collector),
                    _ => match Message::decode(frame)? {
                        Message::Rows(rows) => agent.change_rows(&rows, now, &self.collector),
                        message => {
                            self.open_frame(&message, out);
                            Ok(())
                        }
                    },
                }
            }
            State::Challenging(_) | State::Ended(_) => Ok(()),
        }
    }

    /// Answers a pending challenge; any frame of the agent is a sufficient answer. Returns whether
    /// a challenge was pending.
    fn answer_challenge(&mut self) -> bool {
        let State::Open(agent) = &mut self.state else { return false };
        let challenged = std::mem::take(&mut agent.challenged);
        if challenged {
            self.collector.challenges.answer(&self.handle, Signal::Answered);
        }
        challenged
    }

    /// Returns why a frame of this kind is not allowed in the current state; `None` if it is
    /// allowed.
    fn unexpected(&self, kind: Kind) -> Option<&'static str> {
        match (&self.state, kind) {
            (State::Greeting { .. }, Kind::Hello) => None,
            (State::Greeting { .. }, _) => Some("before Hello"),
            (State::Open(_), Kind::Hello) => Some("after Hello"),
            (
                State::Open(_),
                Kind::Welcome | Kind::Drain | Kind::Reject | Kind::Acknowledge | Kind::Resend,
            ) => Some("from an agent"),
            (State::Open(agent), Kind::Report | Kind::Rows) if agent.missing != 0 => {
                Some("before the Catalog that Welcome asked for")
            }
            // A contested session refuses every byte in `received`.
            (State::Open(_) | State::Challenging(_) | State::Ended(_), _) => None,
        }
    }

    fn open_frame(&mut self, message: &Message<'_>, out: &mut Vec<u8>) {
        match message {
            Message::Ping(Ping { token }) => send(&Message::Pong(Pong { token: *token }), out),
            Message::Bye(Bye { reason, .. }) => {
                // Only in answer to Drain, because the number of agents that the next start awaits
                // is not limited.
                let asked = matches!(&self.state, State::Open(agent) if agent.was_asked_to_leave);
                let was_asked = asked || self.collector.draining();
                let drained = *reason == ByeReason::Drained as u8 && was_asked;
                self.end(if drained { CloseReason::Drained } else { CloseReason::Bye });
            }
            // No other message needs an action.
            _ => {}
        }
    }

    fn report(
        &mut self,
        report: &Report<'_>,
        now: Millis,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let State::Open(agent) = &mut self.state else { return Ok(()) };
        let samples = agent.report(report, &self.collector, now)?;
        agent.forward(report, &self.handle, &self.collector, now, out);
        if self.handshake.take().is_some() {
            self.collector.admission.pacer.finished();
            self.collector.admission.addresses.reported(self.handle.address().ip());
        }
        self.handle.set_reported(now);
        let metrics = &self.collector.telemetry.metrics;
        metrics.reports.inc();
        metrics.samples.inc_by(samples as u64);
        let Report { sequence, unix_ms, .. } = report;
        debug!(agent = %agent.id(), sequence, unix_ms, "report received");
        Ok(())
    }
}
