//! The session of a connection: a state machine. Its input is bytes, signals and the time; its
//! output is bytes to send and changes of the registry. It does no I/O and reads no clock, so it
//! behaves the same in the collector, a test and a fuzzer.
//!
//! ```text
//!            Hello, id free                     first Report
//!            or same host                       with all catalogs known
//! Greeting ────────────────▶ Open ─────────────────────────────▶ Open, shown
//!    │                        ▲                                      │ Catalog, Rows: change
//!    │ Hello, id held         │ holder silent for 5 s, or gone       │ pending values, which the
//!    │ by another host        │                                      ▼ next Report shows
//!    └──────────────▶ Challenging
//!                             │ holder answers
//!                             ▼
//!  any state ─────────▶ Ended: Bye, end of stream, violation, deadline, newer connection, shutdown
//! ```

mod agent;
mod claim;
mod forwarding;
mod frames;
mod rate_limits;
mod replay;
mod unfinished;

use std::sync::Arc;
use std::time::Instant;

use fleetgauge_proto::limits::MAX_HELLO_BYTES;
use fleetgauge_proto::message::Drain;
use fleetgauge_proto::{Accept, Code, Message, VERSION, Violation};
use tokio::sync::OwnedSemaphorePermit;
use tracing::debug;

use crate::clock::{Millis, millis};
use crate::peers::close_reason::CloseReason;
use crate::peers::handle::{ConnectionHandle, Signal};
use crate::peers::refusal::Refusal;
use crate::peers::stagger;
use crate::state::CollectorState;
use crate::telemetry::log_limiter::log_if;
use crate::telemetry::refusal_log;
use crate::tls::Certificate;

use agent::Agent;
use claim::Challenge;
pub use unfinished::FRAME_TIMEOUT;
use unfinished::Unfinished;

/// Maximum time from accepting a connection to its Hello, in milliseconds.
pub const HELLO_TIMEOUT: Millis = 5_000;
/// Maximum time for the holder of an id to answer a challenge, in milliseconds.
pub const CHALLENGE_TIMEOUT: Millis = 5_000;
/// Maximum time from Welcome to the first Report, in milliseconds; less if [`SILENT_INTERVALS`] are
/// shorter. Until then the session holds a handshake permit.
pub const FIRST_REPORT_TIMEOUT: Millis = 30_000;
/// Number of report intervals without a Report after which a session ends.
pub const SILENT_INTERVALS: Millis = 3;

/// The protocol state of an agent's connection.
#[derive(Debug)]
pub struct Session {
    collector: Arc<CollectorState>,
    handle: Arc<ConnectionHandle>,
    /// The frame that is only partly received; `None` between frames.
    unfinished: Option<Box<Unfinished>>,
    /// State needed until the first Report; `None` afterwards.
    handshake: Option<Box<Handshake>>,
    state: State,
}

/// The state of a session before the first Report.
#[derive(Debug)]
pub struct Handshake {
    /// Time at which the connection was accepted; `None` once it was taken after Welcome.
    pub accepted: Option<Instant>,
    /// The permit that limits concurrent handshakes.
    pub permit: OwnedSemaphorePermit,
    /// The verified client certificate; `None` without one.
    pub certificate: Option<Certificate>,
}

#[derive(Debug)]
enum State {
    Greeting { until: Millis },
    Challenging(Box<Challenge>),
    Open(Agent),
    Ended(CloseReason),
}

impl Session {
    /// Creates the session of an accepted connection.
    #[must_use]
    pub fn new(
        collector: Arc<CollectorState>,
        handle: Arc<ConnectionHandle>,
        handshake: Handshake,
        now: Millis,
    ) -> Self {
        Self {
            collector,
            handle,
            unfinished: None,
            handshake: Some(Box::new(handshake)),
            state: State::Greeting { until: now + HELLO_TIMEOUT },
        }
    }

    /// Returns why the session has ended; `None` while it has not.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        match self.state {
            State::Ended(close_reason) => Some(close_reason),
            _ => None,
        }
    }

    /// Returns the shared state of the collector.
    #[must_use]
    pub fn collector(&self) -> &Arc<CollectorState> {
        &self.collector
    }

    /// Returns the handle of the connection.
    #[must_use]
    pub fn handle(&self) -> &ConnectionHandle {
        &self.handle
    }

    /// Takes the time at which the connection was accepted. Returns it once, after Welcome.
    pub fn take_accepted(&mut self) -> Option<Instant> {
        if self.is_open() { self.handshake.as_mut()?.accepted.take() } else { None }
    }

    /// Whether no byte has been received yet.
    #[must_use]
    pub fn is_new(&self) -> bool {
        matches!(self.state, State::Greeting { .. }) && self.unfinished.is_none()
    }

    /// Whether Welcome has been sent and the session has not ended.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Whether the agent waits for the holder of its id to answer a challenge.
    fn is_challenging(&self) -> bool {
        matches!(self.state, State::Challenging(_))
    }

    /// Returns the latest time for the next call of [`Self::tick`].
    #[must_use]
    pub fn deadline(&self) -> Millis {
        let own = match &self.state {
            State::Greeting { until } => *until,
            State::Challenging(challenge) => challenge.until,
            State::Open(agent) => agent.silent_at(&self.handle),
            State::Ended(_) => Millis::MAX,
        };
        own.min(self.frame_deadline().unwrap_or(Millis::MAX))
    }

    /// Handles bytes from the peer. Appends bytes for the peer to `out`.
    pub fn received(&mut self, bytes: &[u8], now: Millis, out: &mut Vec<u8>) {
        self.collector.telemetry.metrics.received_bytes.inc_by(bytes.len() as u64);
        if self.is_challenging() && !bytes.is_empty() {
            self.refuse(&frames::before_welcome(), out);
        }
        let mut input = bytes;
        let (mut frames, mut begun) = self.take_unfinished();
        while self.close_reason().is_none() {
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
            && self.close_reason().is_none()
            && let Err(refusal) = self.keep(frames, begun.unwrap_or(now))
        {
            self.refuse(&refusal, out);
        }
    }

    /// Returns the protocol version and the maximum size of the next frame.
    fn accept(&self) -> Accept {
        let max_payload_bytes = match self.state {
            State::Open(_) => self.collector.config.bounds.limits.max_payload_bytes,
            _ => MAX_HELLO_BYTES,
        };
        Accept { version: VERSION, max_payload_bytes }
    }

    /// Handles the end of the peer's stream.
    pub fn finished(&mut self, out: &mut Vec<u8>) {
        if self.unfinished.is_some() {
            self.refuse(&Violation::TruncatedFrame.into(), out);
        } else {
            self.end(CloseReason::Closed);
        }
    }

    /// Handles signals and deadlines. Appends bytes for the peer to `out`.
    pub fn tick(&mut self, now: Millis, out: &mut Vec<u8>) {
        let signals = self.handle.take_signals();
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
            if signals.has(Signal::Replay) {
                self.replay_permitted(now, out);
            }
            self.expire(now, signals.has(Signal::Vacated), out)
        };
        if let Err(refusal) = ticked {
            self.refuse(&refusal, out);
        }
    }

    /// Sends Drain with a delay, after which the agent disconnects. The delays of the agents are
    /// spread over the first half of the drain timeout, or over the time that an operator requests.
    fn ask_to_leave(&mut self, out: &mut Vec<u8>) {
        self.acknowledge(out);
        let request = self.collector.drain_request();
        let at_stop = || u32::try_from(millis(self.collector.config.drain) / 2).unwrap_or(u32::MAX);
        let span = request.as_ref().map_or_else(at_stop, |request| request.span_ms);
        let delay_ms = stagger(self.handle.session(), span);
        let target = request.and_then(|request| request.target.as_ref().map(ToString::to_string));
        if let State::Open(agent) = &mut self.state {
            agent.was_asked_to_leave = true;
        }
        send(&Message::Drain(Drain { delay_ms, target: target.as_deref() }), out);
    }

    /// Acknowledges the reports that engines have taken.
    fn acknowledge(&mut self, out: &mut Vec<u8>) {
        if let State::Open(agent) = &mut self.state
            && let (Some(own), Some(forwarder)) = (&mut agent.forwarding, &self.collector.forwarder)
        {
            own.acknowledge(forwarder, self.collector.clock.unix_ms(), out);
        }
    }

    /// Asks the agent for reports of its log.
    fn replay_permitted(&mut self, now: Millis, out: &mut Vec<u8>) {
        if let State::Open(agent) = &mut self.state
            && let Some(forwarding) = &mut agent.forwarding
        {
            forwarding.permitted(&self.handle, &self.collector, now, out);
        }
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
            State::Open(agent) if agent.silent_at(&self.handle) <= now => {
                Err(Refusal::of(Code::ReportTimeout))
            }
            _ => Ok(()),
        }
    }

    /// Ends the session because the connection has failed.
    pub fn lost(&mut self, reason: CloseReason) {
        self.end(reason);
    }

    fn refuse(&mut self, refusal: &Refusal, out: &mut Vec<u8>) {
        if self.close_reason().is_some() {
            return;
        }
        let code = refusal.code;
        refusal_log::log(&self.collector, refusal, self.handle.address(), self.id());
        refusal.write(self.handle.session(), out);
        self.collector.telemetry.metrics.rejected(code);
        self.end(CloseReason::Rejected(code));
    }

    /// Ends the session. The agent's series are removed before anything else is done or sent.
    fn end(&mut self, close_reason: CloseReason) {
        let before = std::mem::replace(&mut self.state, State::Ended(close_reason));
        let reason = close_reason.reason();
        let reported = matches!(&before, State::Open(agent) if agent.registered().is_some());
        match before {
            State::Ended(first) => {
                self.state = State::Ended(first);
                return;
            }
            State::Greeting { .. } => {
                debug!(address = %self.handle.address(), reason, "connection closed before Hello")
            }
            State::Challenging(challenge) => {
                let Challenge { agent, holder, .. } = *challenge;
                self.collector.challenges.withdraw(&holder, &self.handle);
                let (id, address) = (agent.id(), self.handle.address());
                log_if!(
                    self.collector.may_log("agent id claim failed", id, address.ip()), warn,
                    agent = %id, %address, reason, "agent id claim failed"
                );
            }
            State::Open(agent) => {
                if let Some(forwarding) = &agent.forwarding {
                    forwarding.end(&self.handle, &self.collector);
                }
                self.collector.agent_left(agent.id(), &self.handle, close_reason);
                let (id, address) = (agent.id(), self.handle.address());
                log_if!(
                    self.collector.may_log("agent disconnected", id, address.ip()), info,
                    agent = %id, %address, reason, "agent disconnected"
                );
            }
        }
        self.collector.challenges.answer(&self.handle, Signal::Vacated);
        self.collector.session_ended(&self.handle, reported, close_reason);
        self.handshake = None;
        self.take_unfinished();
        self.collector.telemetry.metrics.closed(reason);
    }
}

/// Ends the session when its task is dropped.
impl Drop for Session {
    fn drop(&mut self) {
        if self.close_reason().is_none() {
            self.end(CloseReason::Rejected(Code::Draining));
        }
    }
}

fn send(message: &Message<'_>, out: &mut Vec<u8>) {
    let sent = message.encode(VERSION, out);
    debug_assert!(sent.is_ok(), "the collector's messages are short");
}
