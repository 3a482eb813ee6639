//! The agent's side of one connection: given bytes, gives bytes and events.
//!
//! There is no socket here, no clock and no thread, so that the real agent, the load test's
//! thousands and the tests all drive the same code. Between frames a client holds its last values
//! and nothing else.

use std::time::Duration;

use fleetgauge_proto::limits::{MAX_FROM_COLLECTOR_BYTES, MAX_INTERVAL_MS, MIN_INTERVAL_MS};
use fleetgauge_proto::message::{
    Bye, ByeReason, Drain, Message, Ping, Pong, Reject, Report, Secret, Welcome,
};
use fleetgauge_proto::report::{Values, write_all, write_changed};
use fleetgauge_proto::{Accept, Code, Frame, FrameBuffer, VERSION, Violation};

use crate::profile::Profile;

/// What a Report's payload may take beside its values, in bytes: numbers, lengths and the choice.
const REPORT_OVERHEAD_BYTES: usize = 64;

/// Where the connection stands.
///
/// ```text
///           start             Welcome               bye
///   Idle ----------> Greeted ---------> Welcomed -----------> Over
///    ^    Hello ->      |   Schema ->    |    |   Bye ->       |
///    |           Reject |                |    | Reject         |
///    |                  +--> Over <------+----+                |
///    |    start: the next connection of the same process       |
///    +---------------------------------------------------------+
///
///   In Greeted and Welcomed a Ping is answered by its Pong. In Welcomed reports are sent, after a Drain
///   as well. Whatever else comes is a violation and leads to Over.
/// ```
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    Greeted,
    Welcomed,
    Over,
}

/// One agent's protocol state. What the agent says of itself is given with each call, the same in
/// all of them: it is read seldom, and who simulates thousands of agents need not keep it for each.
#[derive(Debug, Default)]
pub struct Client {
    state: State,
    frames: FrameBuffer,
    /// Of the last Report of the process: numbers rise over all its connections.
    sequence: u64,
    /// The values of the last Report of this connection; empty before the first.
    reported: Box<[f64]>,
}

/// What the collector wants the driver to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The session has begun: send the latest sample now, and one in each interval.
    Welcomed {
        /// The collector's number for the session.
        session_id: u64,
        /// Time between reports to keep, 1 s to 5 min.
        interval: Duration,
        /// The collector knew the schema, so it was not sent.
        schema_known: bool,
    },
    /// A Ping was answered.
    Pong {
        /// The Ping's token.
        token: u64,
    },
    /// Report on, and leave when the delay is over.
    Drain {
        /// How long from now.
        delay: Duration,
        /// Where to go instead, as host:port; not checked.
        target: Option<Box<str>>,
    },
    /// The collector has ended the session.
    Rejected {
        /// Why, as a number of the wire; see [`Code::from_u16`].
        code: u16,
        /// Why, for people. Anything the other end liked to say.
        text: Box<str>,
        /// When to come again, from now; `None`: the same again will not help.
        retry_after: Option<Duration>,
    },
}

/// Why a connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The collector broke the protocol.
    #[error("the collector broke the protocol: {0}")]
    Violation(#[from] Violation),
    /// Welcome chose something that Hello did not offer.
    #[error("the collector's Welcome asks for {0}, which was not offered")]
    NotOffered(&'static str),
    /// What this agent has to report is more than the collector takes.
    #[error("{what} needs {needed}, the collector allows {allowed}")]
    OverLimit {
        /// What is too large.
        what: &'static str,
        /// How much it needs.
        needed: usize,
        /// How much is allowed.
        allowed: u32,
    },
    /// A report before Welcome or after the end.
    #[error("there is no session to report in")]
    NoSession,
    /// A report that the schema does not describe.
    #[error("{given} values given, the schema has {expected}")]
    WrongWidth {
        /// Values given.
        given: usize,
        /// Values of the schema.
        expected: usize,
    },
}

impl ClientError {
    /// The stable name used in logs.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Violation(violation) => violation.code().reason(),
            Self::NotOffered(_) => "not_offered",
            Self::OverLimit { .. } => "over_limit",
            Self::NoSession => "no_session",
            Self::WrongWidth { .. } => "wrong_width",
        }
    }
}

impl Client {
    /// The number of the last Report; 0 before the first.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Whether reports can be sent now.
    #[must_use]
    pub fn is_welcomed(&self) -> bool {
        self.state == State::Welcomed
    }

    /// A connection has been made: appends Hello to `out`, with the credential if there is one, and
    /// forgets the connection before.
    pub fn start(&mut self, profile: &Profile, credential: Option<Secret<'_>>, out: &mut Vec<u8>) {
        self.frames = FrameBuffer::default();
        self.reported = Box::default();
        self.state = State::Greeted;
        put(&profile.hello(credential), out);
    }

    /// Takes bytes that came from the collector, appends to `out` what they call for, and returns
    /// at the first event; `input` is moved past what was used. `None` once all of it was. Call
    /// until then.
    ///
    /// # Errors
    /// The connection is to be closed; nothing more can be read from it.
    pub fn received(
        &mut self,
        profile: &Profile,
        input: &mut &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Event>, ClientError> {
        // What belongs to an ended connection is not read, so that the last word stands.
        while matches!(self.state, State::Greeted | State::Welcomed) {
            let mut frames = std::mem::take(&mut self.frames);
            let accept = Accept { version: VERSION, max_payload_bytes: MAX_FROM_COLLECTOR_BYTES };
            let mut rest = *input;
            let step = match frames.next(&mut rest, accept) {
                Ok(Some(frame)) => self.frame(profile, frame, out).map(Some),
                Ok(None) => Ok(None),
                Err(violation) => Err(violation.into()),
            };
            *input = &input[input.len() - rest.len()..];
            self.frames = frames;
            match step {
                Ok(Some(None)) => {}
                Ok(Some(event)) => return Ok(event),
                Ok(None) => return Ok(None),
                Err(error) => {
                    self.state = State::Over;
                    return Err(error);
                }
            }
        }
        *input = &[];
        Ok(None)
    }

    /// Appends a Report of `values`, sampled at `unix_ms`, to `out`: all of them, or those that
    /// changed, by whichever is shorter. Its sequence number.
    ///
    /// # Errors
    /// [`ClientError::NoSession`], [`ClientError::WrongWidth`]; nothing is appended then.
    pub fn report(
        &mut self,
        profile: &Profile,
        values: &[f64],
        unix_ms: u64,
        out: &mut Vec<u8>,
    ) -> Result<u64, ClientError> {
        if self.state != State::Welcomed {
            return Err(ClientError::NoSession);
        }
        let expected = profile.schema.width();
        if values.len() != expected {
            return Err(ClientError::WrongWidth { given: values.len(), expected });
        }
        self.sequence += 1;
        let (mut bitmap, mut bytes) = (Vec::new(), Vec::with_capacity(size_of_val(values)));
        let first = self.reported.len() != expected;
        if !first {
            write_changed(&self.reported, values, &mut bitmap, &mut bytes);
        }
        let report = if first || bitmap.len() + bytes.len() >= size_of_val(values) {
            bytes.clear();
            write_all(values, &mut bytes);
            Values::All(&bytes)
        } else {
            Values::Changed { bitmap: &bitmap, values: &bytes }
        };
        let sequence = self.sequence;
        put(&Message::Report(Report { stream: 0, sequence, unix_ms, values: report }), out);
        if first {
            self.reported = values.into();
        } else {
            self.reported.copy_from_slice(values);
        }
        Ok(sequence)
    }

    /// Appends a Ping to `out`; [`Event::Pong`] with the same token will come. Nothing outside a
    /// session.
    pub fn ping(&self, token: u64, out: &mut Vec<u8>) {
        if self.state == State::Welcomed {
            put(&Message::Ping(Ping { token }), out);
        }
    }

    /// Ends the session: appends Bye to `out`, if there is one to end.
    pub fn bye(&mut self, reason: ByeReason, out: &mut Vec<u8>) {
        if self.state == State::Welcomed {
            put(&Message::Bye(Bye { stream: 0, reason: reason as u8 }), out);
        }
        self.state = State::Over;
    }

    fn frame(
        &mut self,
        profile: &Profile,
        frame: Frame<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Event>, ClientError> {
        let message = Message::decode(frame)?;
        let kind = message.kind();
        match (self.state, message) {
            (_, Message::Skipped(_)) => Ok(None),
            (_, Message::Ping(Ping { token })) => {
                put(&Message::Pong(Pong { token }), out);
                Ok(None)
            }
            (_, Message::Reject(reject)) => {
                self.state = State::Over;
                Ok(Some(rejected(&reject)))
            }
            (State::Greeted, Message::Welcome(welcome)) => {
                self.welcome(profile, &welcome, out).map(Some)
            }
            (State::Welcomed, Message::Pong(Pong { token })) => Ok(Some(Event::Pong { token })),
            (State::Welcomed, Message::Drain(Drain { delay_ms, target })) => {
                let delay = Duration::from_millis(u64::from(delay_ms));
                Ok(Some(Event::Drain { delay, target: target.map(Into::into) }))
            }
            (State::Greeted, _) => {
                Err(Violation::UnexpectedFrame { kind, when: "before Welcome" })?
            }
            _ => Err(Violation::UnexpectedFrame { kind, when: "in a session" })?,
        }
    }

    fn welcome(
        &mut self,
        profile: &Profile,
        welcome: &Welcome<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Event, ClientError> {
        if welcome.version != VERSION {
            return Err(ClientError::NotOffered("another protocol version"));
        }
        if welcome.capabilities != 0 {
            return Err(ClientError::NotOffered("a capability"));
        }
        if !(MIN_INTERVAL_MS..=MAX_INTERVAL_MS).contains(&welcome.interval_ms) {
            return Err(ClientError::NotOffered("an interval outside 1 s to 5 min"));
        }
        check_limits(profile, welcome)?;
        self.state = State::Welcomed;
        if !welcome.schema_known {
            out.extend_from_slice(profile.schema.frame());
        }
        Ok(Event::Welcomed {
            session_id: welcome.session_id,
            interval: Duration::from_millis(u64::from(welcome.interval_ms)),
            schema_known: welcome.schema_known,
        })
    }
}

/// Sees now what the collector would refuse later; the rest of its limits it checks itself.
fn check_limits(profile: &Profile, welcome: &Welcome<'_>) -> Result<(), ClientError> {
    let schema = &profile.schema;
    let report = size_of::<f64>() * schema.width() + REPORT_OVERHEAD_BYTES;
    let limits = welcome.limits;
    for (what, needed, allowed) in [
        ("the schema's frame, in bytes,", schema.frame().len(), limits.max_payload_bytes),
        ("a report's frame, in bytes,", report, limits.max_payload_bytes),
        ("the number of values", schema.width(), limits.max_values),
        ("the size of the labels, in bytes,", profile.labels.bytes(), limits.max_label_bytes),
    ] {
        if needed > allowed as usize {
            return Err(ClientError::OverLimit { what, needed, allowed });
        }
    }
    Ok(())
}

fn rejected(reject: &Reject<'_>) -> Event {
    Event::Rejected {
        code: reject.code,
        text: reject.text.into(),
        retry_after: reject.retry_after_ms.map(|ms| Duration::from_millis(u64::from(ms))),
    }
}

/// The stable name of a Reject's code; `unknown` for one of a later version.
#[must_use]
pub fn code_reason(code: u16) -> &'static str {
    Code::from_u16(code).map_or("unknown", Code::reason)
}

fn put(message: &Message<'_>, out: &mut Vec<u8>) {
    // Only a payload over 16 MiB fails, and none of an agent's messages comes near.
    let encoded = message.encode(VERSION, out);
    debug_assert!(encoded.is_ok(), "{encoded:?}");
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
