//! The agent's side of the protocol: turns received bytes into events and bytes to send.
//!
//! It has no socket, clock or thread: the agent, the simulated agents of the load test and the
//! tests drive the same code.
//!
//! A [`Client`] stores neither rows nor values. The caller decides where they are stored:
//!
//! | caller | rows and values of a report | rows and values of the previous report |
//! |---|---|---|
//! | the agent | the newest sample | stored by a [`Baseline`] |
//! | the load test | computed from agent and sequence number | computed again |
//!
//! So the load test stores a [`Client`] for each simulated agent, and once for all of a thread: the
//! catalogs of their [`Profile`], a [`ReportEncoder`] and buffers for one report.
//!
//! ```
//! # use std::time::Duration;
//! # use fleetgauge_agent::client::{Client, ClientError, ReportEncoder, Update};
//! # use fleetgauge_agent::profile::Profile;
//! # use fleetgauge_proto::report::ABSENT;
//! /// The value that an agent reports under a sequence number.
//! fn value(agent: u32, sequence: u64, position: usize) -> f64 {
//! #   0.0
//! }
//!
//! /// Reports an agent of six values in one table without row labels.
//! fn report(
//!     agent: u32,
//!     client: &mut Client,
//!     profile: &Profile,
//!     encoder: &mut ReportEncoder,
//!     now: Duration,
//!     out: &mut Vec<u8>,
//! ) -> Result<u64, ClientError> {
//!     let sequence = client.sequence() + 1;
//!     let values: [f64; 6] = std::array::from_fn(|at| value(agent, sequence, at));
//!     let before = if client.is_new_session() {
//!         [ABSENT; 6]
//!     } else {
//!         std::array::from_fn(|at| value(agent, sequence - 1, at))
//!     };
//!     let (before, values) = (&before, &values);
//!     let update =
//!         Update { changes: Vec::new(), row_counts: &[1], before, values, sampled: now };
//!     client.report(profile, update, encoder, out)
//! }
//! ```
//!
//! If tables have row labels, the first update of a session adds all rows. A later one adds and
//! removes those that have appeared and disappeared since the previous report.

mod baseline;
mod clock;
mod error;
mod event;
mod limits;
mod receive;
mod report_id;
mod row_diff;
mod terms;
mod update;

pub use baseline::Baseline;
pub use error::ClientError;
pub use event::{Event, code_reason};
pub use report_id::ReportId;
pub use terms::Terms;
pub use update::{ReportEncoder, Update};

use std::time::Duration;

pub(crate) use clock::{CollectorClock, LEAST_STEP_MS, Observations};
use fleetgauge_proto::limits::MAX_FROM_COLLECTOR_BYTES;
use fleetgauge_proto::message::{Bye, ByeReason, Extension, Message, Ping, Report, Rows, Secret};
use fleetgauge_proto::{Accept, FrameBuffer, VERSION, stream};

use crate::catalogs::{Catalogs, EncodedCatalog};
use crate::profile::Profile;

/// State of the connection.
///
/// ```text
///           start              Welcome               report             bye
///   Idle ----------> HelloSent ----------> Welcomed ----------> Active -------> Closed
///           Hello ->     |     Catalog ->     |   Rows, Report ->  |    Bye ->   |  ^
///             ^          |                    |                    |             |  |
///             |          +--------------------+--------------------+-- Reject, error
///             |                                                                  |
///             +------------- start: the next connection of the process ----------+
///
///   All but Idle and Closed answer Ping with Pong. Active sends reports, also after Drain.
///   Any other frame is a protocol error and leads to Closed.
/// ```
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    HelloSent,
    /// The session has begun, and nothing was reported.
    Welcomed,
    Active,
    Closed,
}

/// Protocol state of one agent.
///
/// Every call takes the agent's [`Profile`], which must stay the same: the load test shares
/// catalogs between simulated agents. Only catalogs may change, as [`Client::send_catalog`] and
/// [`Baseline`] say. Times are those of a monotonic clock of the caller,
/// the same one for all calls.
///
/// ```
/// use std::time::Duration;
///
/// use fleetgauge_agent::client::{Baseline, Client, Event};
/// use fleetgauge_agent::identity::Host;
/// use fleetgauge_agent::metrics::{MetricSet, Selection};
/// use fleetgauge_agent::profile::Profile;
/// use fleetgauge_agent::tables::Sample;
/// use fleetgauge_proto::message::{Message, Welcome};
/// use fleetgauge_proto::{AgentId, Limits, StaticLabels, VERSION};
///
/// let profile = Profile {
///     id: AgentId::try_new("web-1")?,
///     nonces: Host::read().nonces(),
///     labels: StaticLabels::default(),
///     interval: Duration::from_secs(15),
///     agent_version: "1.0",
///     catalogs: Selection::of(MetricSet::Basic).catalogs().clone(),
/// };
/// // `sent` goes to the collector: Hello.
/// let (mut client, mut sent) = (Client::default(), Vec::new());
/// client.start(&profile, None, &mut sent);
///
/// // The collector answers with Welcome. The client sends its catalog and returns an event.
/// let welcome = Message::Welcome(Welcome {
///     version: VERSION,
///     capabilities: 0,
///     session_id: 1,
///     interval_ms: 15_000,
///     unix_ms: 1_767_225_600_000,
///     limits: Limits::default(),
///     catalogs_known: 0,
///     extensions: Vec::new(),
/// });
/// let mut received = Vec::new();
/// welcome.encode(VERSION, &mut received)?;
/// let now = Duration::from_secs(1);
/// let event = client.received(&profile, now, &mut &received[..], &mut sent)?;
/// assert!(matches!(event, Some(Event::Welcomed { session_id: 1, .. })));
///
/// let values = vec![0.25, 0.5, 0.75, 8e9, 4e9, 4e9];
/// let sample = Sample { rows: profile.catalogs.no_rows(), values };
/// let mut baseline = Baseline::default();
/// let sequence = baseline.report(&mut client, &profile, &sample, now, &mut sent)?;
/// assert_eq!(sequence, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Client {
    state: State,
    frames: FrameBuffer,
    /// Sequence number of the last Report. It rises over all connections of the process.
    sequence: u64,
    clock: CollectorClock,
    /// Whether Hello offers a log.
    offers_log: bool,
    /// Whether Welcome has accepted it.
    has_log: bool,
}

impl Client {
    /// Returns the sequence number of the last Report; 0 before the first.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Returns whether a session is active, so that reports can be sent.
    #[must_use]
    pub const fn is_welcomed(&self) -> bool {
        matches!(self.state, State::Welcomed | State::Active)
    }

    /// Returns whether the next report is the first one of a session: the collector has no rows,
    /// and all values are absent.
    #[must_use]
    pub const fn is_new_session(&self) -> bool {
        matches!(self.state, State::Welcomed)
    }

    /// Starts a new connection of an agent without a log: appends Hello to `out`.
    pub fn start(&mut self, profile: &Profile, credential: Option<Secret<'_>>, out: &mut Vec<u8>) {
        self.start_with(profile, credential, None, out);
    }

    /// Starts a new connection of an agent that keeps a log: appends Hello to `out`. `first` is the
    /// lowest sequence number that is not acknowledged.
    pub fn start_with_log(
        &mut self,
        profile: &Profile,
        credential: Option<Secret<'_>>,
        first: u64,
        out: &mut Vec<u8>,
    ) {
        self.start_with(profile, credential, Some(Extension::log(first, &mut Vec::new())), out);
    }

    fn start_with(
        &mut self,
        profile: &Profile,
        credential: Option<Secret<'_>>,
        log: Option<Extension<'_>>,
        out: &mut Vec<u8>,
    ) {
        self.frames = FrameBuffer::default();
        self.state = State::HelloSent;
        (self.offers_log, self.has_log) = (log.is_some(), false);
        put(&profile.hello(credential, log), out);
    }

    /// Processes bytes received at `now` up to the first event, and appends answers to `out`.
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
        now: Duration,
        input: &mut &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Event>, ClientError> {
        // Ignore input after Reject or an error: the first reason for the end counts.
        while self.state == State::HelloSent || self.is_welcomed() {
            let mut frames = std::mem::take(&mut self.frames);
            let accept = Accept { version: VERSION, max_payload_bytes: MAX_FROM_COLLECTOR_BYTES };
            let mut rest = *input;
            let step = match frames.next(&mut rest, accept) {
                Ok(Some(frame)) => self.frame(profile, now, frame, out).map(Some),
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

    /// Appends the row changes of `update` and its report to `out`. Returns the sequence number of
    /// the report.
    ///
    /// The report carries all values or only the changed ones, whichever is shorter. Its time is
    /// that of the sample on the collector's clock, but later than that of the previous report.
    ///
    /// # Errors
    /// [`ClientError::NoSession`], [`ClientError::WrongTableCount`] or
    /// [`ClientError::WrongValueCount`]; `out` is then unchanged.
    pub fn report(
        &mut self,
        profile: &Profile,
        update: Update<'_>,
        encoder: &mut ReportEncoder,
        out: &mut Vec<u8>,
    ) -> Result<u64, ClientError> {
        let sampled = update.sampled;
        let id = |client: &mut Self| ReportId {
            stream: stream::LIVE,
            sequence: client.sequence + 1,
            unix_ms: client.clock.stamp(sampled),
        };
        self.send(&profile.catalogs, update, id, encoder, out)
    }

    /// Like [`Self::report`], with a stream, a sequence number and a time of the caller instead of
    /// the next ones. The time of the sample is ignored.
    ///
    /// # Errors
    /// As of [`Self::report`].
    pub fn report_as(
        &mut self,
        id: ReportId,
        catalogs: &Catalogs,
        update: Update<'_>,
        encoder: &mut ReportEncoder,
        out: &mut Vec<u8>,
    ) -> Result<(), ClientError> {
        self.send(catalogs, update, |_| id, encoder, out).map(drop)
    }

    fn send(
        &mut self,
        catalogs: &Catalogs,
        update: Update<'_>,
        id: impl FnOnce(&mut Self) -> ReportId,
        encoder: &mut ReportEncoder,
        out: &mut Vec<u8>,
    ) -> Result<u64, ClientError> {
        if !self.is_welcomed() {
            return Err(ClientError::NoSession);
        }
        let shape = update.shape(catalogs)?;
        let values = encoder.encode(update.before, update.values, shape);
        let ReportId { stream, sequence, unix_ms } = id(self);
        if stream == stream::LIVE {
            self.state = State::Active;
            self.sequence = sequence.max(self.sequence);
            self.clock.stamped(unix_ms);
        }
        if !update.changes.is_empty() {
            put(&Message::Rows(Rows { stream, changes: update.changes }), out);
        }
        put(&Message::Report(Report { stream, sequence, unix_ms, values }), out);
        Ok(sequence)
    }

    /// Appends a catalog to `out`, if a session is active: adds it, or replaces that of its slot.
    /// Build the next [`Update`] with a profile that has this catalog, and as if its tables had no
    /// rows yet.
    pub fn send_catalog(&self, catalog: &EncodedCatalog, out: &mut Vec<u8>) {
        if self.is_welcomed() {
            out.extend_from_slice(catalog.frame());
        }
    }

    /// Appends those catalogs to `out` that are not the same in `sent`, if a session is active.
    /// For catalogs other than those of Hello, before the first report. `sent` are those of Hello;
    /// `None` if they did not meet the terms of the collector.
    pub fn send_new_catalogs(
        &self,
        sent: Option<&Catalogs>,
        catalogs: &Catalogs,
        out: &mut Vec<u8>,
    ) {
        let sent = sent.map_or(&[][..], Catalogs::by_slot);
        for (slot, catalog) in catalogs.by_slot().iter().enumerate() {
            let sent = sent.get(slot).map(EncodedCatalog::fingerprint);
            if sent != Some(catalog.fingerprint()) {
                self.send_catalog(catalog, out);
            }
        }
    }

    /// Appends a Ping to `out`, if a session is active. [`Event::Pong`] returns the token.
    pub fn ping(&self, token: u64, out: &mut Vec<u8>) {
        if self.is_welcomed() {
            put(&Message::Ping(Ping { token }), out);
        }
    }

    /// Ends the connection: appends Bye to `out`, if a session is active.
    pub fn bye(&mut self, reason: ByeReason, out: &mut Vec<u8>) {
        if self.is_welcomed() {
            put(&Message::Bye(Bye { stream: 0, reason: reason as u8 }), out);
        }
        self.state = State::Closed;
    }
}

fn put(message: &Message<'_>, out: &mut Vec<u8>) {
    // Only a payload over 16 MiB fails. No message of an agent is that long.
    let encoded = message.encode(VERSION, out);
    debug_assert!(encoded.is_ok(), "{encoded:?}");
}

#[cfg(test)]
pub(crate) mod fake_collector;
#[cfg(test)]
mod log_tests;
#[cfg(test)]
mod tests;
