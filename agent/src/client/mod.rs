//! The agent's side of the protocol: turns received bytes into events and bytes to send.
//!
//! It has no socket, clock or thread: the agent, the simulated agents of the load test and the
//! tests drive the same code. Between frames a client holds only its last reported values.

mod error;

pub use error::ClientError;

use std::time::Duration;

use fleetgauge_proto::limits::{MAX_FROM_COLLECTOR_BYTES, MAX_INTERVAL_MS, MIN_INTERVAL_MS};
use fleetgauge_proto::message::{
    Bye, ByeReason, Drain, Message, Ping, Pong, Reject, Report, Secret, Welcome,
};
use fleetgauge_proto::report::{Values, write_all, write_changed};
use fleetgauge_proto::{Accept, Code, Frame, FrameBuffer, VERSION, Violation};

use crate::profile::Profile;

/// Maximum size of a Report's payload without its values, in bytes: stream, sequence number,
/// timestamp and lengths.
const REPORT_OVERHEAD_BYTES: usize = 64;

/// State of the connection.
///
/// ```text
///           start               Welcome              bye
///   Idle -----------> HelloSent ---------> Active -----------> Closed
///           Hello ->      |     Schema ->     |     Bye ->       |  ^
///             ^           |                   |                  |  |
///             |           +-------------------+-- Reject, error -|--+
///             |                                                  |
///             +--- start: the next connection of the process ----+
///
///   HelloSent and Active answer Ping with Pong. Active sends reports, also after Drain.
///   Any other frame is a protocol error and leads to Closed.
/// ```
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    HelloSent,
    Active,
    Closed,
}

/// Protocol state of one agent.
///
/// Every call takes the agent's [`Profile`], which must not change during a connection. The client
/// does not store it, so that the simulated agents of the load test can share one.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use fleetgauge_agent::client::{Client, Event};
/// use fleetgauge_agent::identity::Host;
/// use fleetgauge_agent::metrics::MetricSet;
/// use fleetgauge_agent::profile::{EncodedSchema, Profile};
/// use fleetgauge_proto::message::{Message, Welcome};
/// use fleetgauge_proto::{AgentId, Limits, StaticLabels, VERSION};
///
/// let profile = Profile {
///     id: AgentId::try_new("web-1")?,
///     nonces: Host::read().nonces(),
///     labels: StaticLabels::default(),
///     interval: Duration::from_secs(15),
///     agent_version: "1.0",
///     schema: Arc::new(EncodedSchema::of(MetricSet::Basic)?),
/// };
/// // `sent` goes to the collector: Hello.
/// let (mut client, mut sent) = (Client::default(), Vec::new());
/// client.start(&profile, None, &mut sent);
///
/// // The collector answers with Welcome. The client sends Schema and reports an event.
/// let welcome = Message::Welcome(Welcome {
///     version: VERSION,
///     capabilities: 0,
///     session_id: 1,
///     interval_ms: 15_000,
///     limits: Limits::default(),
///     schema_known: false,
///     extensions: Vec::new(),
/// });
/// let mut received = Vec::new();
/// welcome.encode(VERSION, &mut received)?;
/// let event = client.received(&profile, &mut &received[..], &mut sent)?;
/// assert!(matches!(event, Some(Event::Welcomed { session_id: 1, .. })));
///
/// let values = [0.25, 0.5, 0.75, 8e9, 4e9, 4e9];
/// assert_eq!(client.report(&profile, &values, 1_767_225_600_000, &mut sent)?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Client {
    state: State,
    frames: FrameBuffer,
    /// Sequence number of the last Report. It rises over all connections of the process.
    sequence: u64,
    /// Values of the last Report of this connection; empty before the first.
    reported: Box<[f64]>,
}

/// An event that [`Client::received`] returns to its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The session began: the caller reports the latest sample now, then one per interval.
    Welcomed {
        /// Number that the collector gave the session.
        session_id: u64,
        /// Interval between reports that the collector requires, 1 s to 5 min.
        interval: Duration,
        /// Whether the collector knew the schema, so that no Schema frame was sent.
        schema_known: bool,
    },
    /// The collector answered a Ping.
    Pong {
        /// Token of the Ping.
        token: u64,
    },
    /// The collector asks the agent to disconnect after a delay, and to report until then.
    Drain {
        /// Time until the agent disconnects.
        delay: Duration,
        /// Collector to connect to next, as `host:port`, not validated; `None`: the configured one.
        target: Option<Box<str>>,
    },
    /// The collector ended the connection.
    Rejected {
        /// Number of the Reject code; see [`Code::from_u16`].
        code: u16,
        /// The collector's explanation. Untrusted text.
        text: Box<str>,
        /// Time until the retry; `None`: retrying without a change will fail again.
        retry_after: Option<Duration>,
    },
}

impl Client {
    /// Returns the sequence number of the last Report; 0 before the first.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Returns whether a session is active, so that reports can be sent.
    #[must_use]
    pub fn is_welcomed(&self) -> bool {
        self.state == State::Active
    }

    /// Starts a new connection: appends Hello to `out`.
    pub fn start(&mut self, profile: &Profile, credential: Option<Secret<'_>>, out: &mut Vec<u8>) {
        self.frames = FrameBuffer::default();
        self.reported = Box::default();
        self.state = State::HelloSent;
        put(&profile.hello(credential), out);
    }

    /// Processes received bytes up to the first event, and appends answers to `out`.
    ///
    /// Moves `input` past the processed bytes. Call it again until it returns `None`: then all
    /// input is consumed.
    ///
    /// # Errors
    /// The collector violated the protocol, or its Welcome is not acceptable. The caller must close
    /// the connection.
    pub fn received(
        &mut self,
        profile: &Profile,
        input: &mut &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Event>, ClientError> {
        // Ignore input after Reject or an error: the first reason for the end counts.
        while matches!(self.state, State::HelloSent | State::Active) {
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
                    self.state = State::Closed;
                    return Err(error);
                }
            }
        }
        *input = &[];
        Ok(None)
    }

    /// Appends a Report of `values`, sampled at `unix_ms`, to `out`. Returns its sequence number.
    ///
    /// The Report carries all values or only the changed ones, whichever is shorter.
    ///
    /// # Errors
    /// [`ClientError::NoSession`] or [`ClientError::WrongWidth`]; `out` is then unchanged.
    pub fn report(
        &mut self,
        profile: &Profile,
        values: &[f64],
        unix_ms: u64,
        out: &mut Vec<u8>,
    ) -> Result<u64, ClientError> {
        if self.state != State::Active {
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

    /// Appends a Ping to `out`, if a session is active. [`Event::Pong`] returns the token.
    pub fn ping(&self, token: u64, out: &mut Vec<u8>) {
        if self.state == State::Active {
            put(&Message::Ping(Ping { token }), out);
        }
    }

    /// Ends the connection: appends Bye to `out`, if a session is active.
    pub fn bye(&mut self, reason: ByeReason, out: &mut Vec<u8>) {
        if self.state == State::Active {
            put(&Message::Bye(Bye { stream: 0, reason: reason as u8 }), out);
        }
        self.state = State::Closed;
    }

    /// Processes one frame. Returns the event for the caller, if there is one.
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
                self.state = State::Closed;
                Ok(Some(rejected(&reject)))
            }
            (State::HelloSent, Message::Welcome(welcome)) => {
                self.welcome(profile, &welcome, out).map(Some)
            }
            (State::Active, Message::Pong(Pong { token })) => Ok(Some(Event::Pong { token })),
            (State::Active, Message::Drain(Drain { delay_ms, target })) => {
                let delay = Duration::from_millis(u64::from(delay_ms));
                Ok(Some(Event::Drain { delay, target: target.map(Into::into) }))
            }
            (State::HelloSent, _) => {
                Err(Violation::UnexpectedFrame { kind, when: "before Welcome" })?
            }
            _ => Err(Violation::UnexpectedFrame { kind, when: "in a session" })?,
        }
    }

    /// Checks Welcome, begins the session and appends Schema to `out` if the collector needs it.
    fn welcome(
        &mut self,
        profile: &Profile,
        welcome: &Welcome<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Event, ClientError> {
        if welcome.version != VERSION {
            return Err(ClientError::NotOffered("a protocol version"));
        }
        if welcome.capabilities != 0 {
            return Err(ClientError::NotOffered("a capability"));
        }
        if !(MIN_INTERVAL_MS..=MAX_INTERVAL_MS).contains(&welcome.interval_ms) {
            return Err(ClientError::BadInterval(welcome.interval_ms));
        }
        check_limits(profile, welcome)?;
        self.state = State::Active;
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

/// Checks the agent's frame sizes, values and labels against the collector's limits before Schema
/// is sent. The collector checks its other limits itself.
fn check_limits(profile: &Profile, welcome: &Welcome<'_>) -> Result<(), ClientError> {
    let schema = &profile.schema;
    let report = size_of::<f64>() * schema.width() + REPORT_OVERHEAD_BYTES;
    let limits = welcome.limits;
    for (what, needed, allowed) in [
        ("bytes of the schema's frame", schema.frame().len(), limits.max_payload_bytes),
        ("bytes of a report's frame", report, limits.max_payload_bytes),
        ("number of values", schema.width(), limits.max_values),
        ("bytes of labels", profile.labels.bytes(), limits.max_label_bytes),
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

/// Returns the stable name of a Reject code; `unknown` for a code of a later version.
#[must_use]
pub fn code_reason(code: u16) -> &'static str {
    Code::from_u16(code).map_or("unknown", Code::reason)
}

fn put(message: &Message<'_>, out: &mut Vec<u8>) {
    // Only a payload over 16 MiB fails. No message of an agent is that long.
    let encoded = message.encode(VERSION, out);
    debug_assert!(encoded.is_ok(), "{encoded:?}");
}

#[cfg(test)]
mod tests;
