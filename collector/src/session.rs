//! One connection as a state machine: bytes, signals and the time go in; bytes to send and changes of the
//! registry come out. It does no I/O and reads no clock, so it runs the same under a socket, a test or a fuzzer.
//!
//! ```text
//!            Hello, id free            Schema,          first Report,
//!            or same host              or known         all values
//! Greeting ────────────────▶ Open ───────────────▶ Open ─────────────▶ Open, shown
//!    │                        ▲                                           │
//!    │ Hello, id held         │ holder silent for 5 s, or gone            │ Schema
//!    │ by another host        │                                           ▼
//!    └──────────────▶ Challenging                          old values stand until the
//!                             │ holder answers             next Report, all values
//!                             ▼
//!  any state ─────────▶ Ended: Bye, end of stream, violation, deadline, newer connection, shutdown
//! ```

mod agent;
mod claim;
mod frames;
mod unfinished;

use std::sync::Arc;
use std::time::Instant;

use fleetgauge_proto::limits::MAX_HELLO_BYTES;
use fleetgauge_proto::message::Drain;
use fleetgauge_proto::{Accept, Code, Message, VERSION, Violation};
use tokio::sync::OwnedSemaphorePermit;
use tracing::debug;

use crate::clock::{Millis, millis};
use crate::ending::{Ending, Refusal};
use crate::peer::{Peer, Signal};
use crate::refused;
use crate::shared::Shared;
use crate::stagger::stagger;
use crate::tls::Certificate;
use crate::untold::log_if;

use agent::Agent;
use claim::Challenge;
pub use unfinished::FRAME_TIMEOUT;
use unfinished::Unfinished;

/// Time to say Hello.
pub const HELLO_TIMEOUT: Millis = 5_000;
/// Time for the holder of a disputed id to answer.
pub const CHALLENGE_TIMEOUT: Millis = 5_000;
/// Time for the first Report after Welcome, where three intervals are longer: until then a place among the
/// handshakes is taken.
pub const FIRST_REPORT_TIMEOUT: Millis = 30_000;
/// Intervals without a Report after which an agent is silent.
pub const SILENT_INTERVALS: Millis = 3;

/// A connection's session.
#[derive(Debug)]
pub struct Session {
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    /// `None` between frames.
    unfinished: Option<Box<Unfinished>>,
    /// Given back with the first Report.
    handshake: Option<Box<Handshake>>,
    state: State,
}

/// A connection's place among those that have not reported yet.
#[derive(Debug)]
pub struct Handshake {
    /// When it was accepted; taken at Welcome.
    pub accepted: Option<Instant>,
    /// The place.
    pub place: OwnedSemaphorePermit,
    /// What the peer has proven to be its own.
    pub certificate: Option<Certificate>,
}

#[derive(Debug)]
enum State {
    Greeting { until: Millis },
    Challenging(Box<Challenge>),
    Open(Agent),
    Ended(Ending),
}

impl Session {
    /// A connection that was just accepted.
    #[must_use]
    pub fn new(shared: Arc<Shared>, peer: Arc<Peer>, handshake: Handshake, now: Millis) -> Self {
        Self {
            shared,
            peer,
            unfinished: None,
            handshake: Some(Box::new(handshake)),
            state: State::Greeting { until: now + HELLO_TIMEOUT },
        }
    }

    /// How it ended; `None` while it lasts.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        match self.state {
            State::Ended(ending) => Some(ending),
            _ => None,
        }
    }

    /// The collector it belongs to.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The connection as others see it.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// When the connection was accepted: once, as soon as the agent has been welcomed.
    pub fn take_accepted(&mut self) -> Option<Instant> {
        if self.is_open() { self.handshake.as_mut()?.accepted.take() } else { None }
    }

    /// Whether nothing has been received yet.
    #[must_use]
    pub fn is_new(&self) -> bool {
        matches!(self.state, State::Greeting { .. }) && self.unfinished.is_none()
    }

    /// Whether the agent has been welcomed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Whether it waits for its id. An answer that crossed with the end of its wait concerns it no more.
    fn is_challenging(&self) -> bool {
        matches!(self.state, State::Challenging(_))
    }

    /// When [`Self::tick`] is wanted at the latest.
    #[must_use]
    pub fn deadline(&self) -> Millis {
        let own = match &self.state {
            State::Greeting { until } => *until,
            State::Challenging(challenge) => challenge.until,
            State::Open(agent) => agent.silent_at(&self.peer),
            State::Ended(_) => Millis::MAX,
        };
        own.min(self.frame_deadline().unwrap_or(Millis::MAX))
    }

    /// Takes bytes from the peer; appends what is to be sent to `out`.
    pub fn received(&mut self, bytes: &[u8], now: Millis, out: &mut Vec<u8>) {
        self.shared.metrics.received_bytes.inc_by(bytes.len() as u64);
        if self.is_challenging() && !bytes.is_empty() {
            self.refuse(&frames::before_welcome(), out);
        }
        let mut input = bytes;
        let (mut frames, mut begun) = self.take_unfinished();
        while self.ending().is_none() {
            let handled = match frames.next(&mut input, self.accept()) {
                Ok(Some(frame)) => {
                    begun = None;
                    let more = !input.is_empty();
                    self.frame(frame, more, now, out)
                }
                Ok(None) => break,
                Err(violation) => Err(violation.into()),
            };
            if let Err(refusal) = handled {
                self.refuse(&refusal, out);
            }
        }
        if frames.unfinished_len().is_some()
            && self.ending().is_none()
            && let Err(refusal) = self.keep(frames, begun.unwrap_or(now))
        {
            self.refuse(&refusal, out);
        }
    }

    /// What the peer may send now.
    fn accept(&self) -> Accept {
        let max_payload_bytes = match self.state {
            State::Open(_) => self.shared.config.bounds.limits.max_payload_bytes,
            _ => MAX_HELLO_BYTES,
        };
        Accept { version: VERSION, max_payload_bytes }
    }

    /// The peer has sent its last byte.
    pub fn finished(&mut self, out: &mut Vec<u8>) {
        if self.unfinished.is_some() {
            self.refuse(&Violation::TruncatedFrame.into(), out);
        } else {
            self.end(Ending::Closed);
        }
    }

    /// Looks at signals and deadlines; appends what is to be sent to `out`.
    pub fn tick(&mut self, now: Millis, out: &mut Vec<u8>) {
        let signals = self.peer.take_signals();
        let ticked = if signals.has(Signal::Close) {
            Err(Refusal::of(Code::Draining))
        } else if signals.has(Signal::Superseded) {
            Err(Refusal::of(Code::Superseded))
        } else if signals.has(Signal::Revoked) && !self.is_still_allowed() {
            Err(Refusal::of(Code::CredentialRevoked))
        } else if signals.has(Signal::Answered) && self.is_challenging() {
            Err(Refusal::of(Code::IdConflict))
        } else {
            if signals.has(Signal::Challenged) {
                self.challenged(out);
            }
            if signals.has(Signal::Drain) && self.is_open() {
                self.ask_to_leave(out);
            }
            self.expire(now, signals.has(Signal::Vacated), out)
        };
        if let Err(refusal) = ticked {
            self.refuse(&refusal, out);
        }
    }

    /// Asks the agent to leave within the first half of the drain time; agents are spread over it.
    fn ask_to_leave(&self, out: &mut Vec<u8>) {
        let span = u32::try_from(millis(self.shared.config.drain) / 2).unwrap_or(u32::MAX);
        let delay_ms = stagger(self.peer.session(), span);
        send(&Message::Drain(Drain { delay_ms, target: None }), out);
    }

    fn expire(&mut self, now: Millis, vacated: bool, out: &mut Vec<u8>) -> Result<(), Refusal> {
        if self.frame_deadline().is_some_and(|deadline| deadline <= now) {
            return Err(Refusal::of(Code::FrameTimeout));
        }
        match &self.state {
            State::Greeting { until } if *until <= now => Err(Refusal::of(Code::HelloTimeout)),
            State::Challenging(challenge) if vacated || challenge.until <= now => {
                self.inherit(now, out)
            }
            State::Open(agent) if agent.silent_at(&self.peer) <= now => {
                Err(Refusal::of(Code::ReportTimeout))
            }
            _ => Ok(()),
        }
    }

    /// The connection cannot be used any more.
    pub fn lost(&mut self, ending: Ending) {
        self.end(ending);
    }

    fn refuse(&mut self, refusal: &Refusal, out: &mut Vec<u8>) {
        if self.ending().is_some() {
            return;
        }
        let code = refusal.code;
        refused::log(&self.shared, refusal, self.peer.address(), self.id());
        refusal.write(self.peer.session(), out);
        self.shared.metrics.rejected(code);
        self.end(Ending::Rejected(code));
    }

    /// Takes all that there is of the agent away, before anything else is done or sent.
    fn end(&mut self, ending: Ending) {
        let before = std::mem::replace(&mut self.state, State::Ended(ending));
        let reason = ending.reason();
        let reported = matches!(&before, State::Open(agent) if agent.holder().is_some());
        match before {
            State::Ended(first) => {
                self.state = State::Ended(first);
                return;
            }
            State::Greeting { .. } => {
                debug!(address = %self.peer.address(), reason, "connection ended before Hello")
            }
            State::Challenging(challenge) => {
                let Challenge { agent, holder, .. } = *challenge;
                self.shared.challenges.withdraw(&holder, &self.peer);
                let (id, address) = (agent.id(), self.peer.address());
                log_if!(
                    self.shared.may_tell("agent not admitted", id, address.ip()), warn,
                    agent = %id, %address, reason, "agent not admitted"
                );
            }
            State::Open(agent) => {
                self.shared.agent_left(agent.id(), &self.peer, ending);
                let (id, address) = (agent.id(), self.peer.address());
                log_if!(
                    self.shared.may_tell("agent gone", id, address.ip()), info,
                    agent = %id, %address, reason, "agent gone"
                );
            }
        }
        self.shared.challenges.answer(&self.peer, Signal::Vacated);
        self.shared.session_ended(&self.peer, reported, ending);
        self.handshake = None;
        self.take_unfinished();
        self.shared.metrics.closed(reason);
    }
}

/// Whatever ends the task ends the session.
impl Drop for Session {
    fn drop(&mut self) {
        if self.ending().is_none() {
            self.end(Ending::Rejected(Code::Draining));
        }
    }
}

fn send(message: &Message<'_>, out: &mut Vec<u8>) {
    let sent = message.encode(VERSION, out);
    debug_assert!(sent.is_ok(), "the collector's messages are short");
}
