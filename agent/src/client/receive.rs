//! Frames of a collector.

use std::time::Duration;

use fleetgauge_proto::limits::{MAX_INTERVAL_MS, MIN_INTERVAL_MS};
use fleetgauge_proto::message::{Acknowledge, Drain, Message, Ping, Pong, Resend, Welcome};
use fleetgauge_proto::{Frame, VERSION, Violation, capability};

use super::{Client, ClientError, Event, State, Terms, put};
use crate::profile::Profile;

impl Client {
    /// Processes one frame. Returns the event for the caller, if there is one.
    pub(super) fn frame(
        &mut self,
        profile: &Profile,
        now: Duration,
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
                Ok(Some(Event::rejected(&reject)))
            }
            (State::HelloSent, Message::Welcome(welcome)) => {
                self.welcome(profile, now, &welcome, out).map(Some)
            }
            (State::Welcomed | State::Active, Message::Pong(Pong { token })) => {
                Ok(Some(Event::Pong { token }))
            }
            (State::Welcomed | State::Active, Message::Drain(Drain { delay_ms, target })) => {
                let delay = Duration::from_millis(u64::from(delay_ms));
                Ok(Some(Event::Drain { delay, target: target.map(Into::into) }))
            }
            (
                State::Welcomed | State::Active,
                Message::Acknowledge(Acknowledge { sequence, unix_ms, .. }),
            ) if self.has_log => Ok(Some(Event::Acknowledged { sequence, unix_ms })),
            (State::Welcomed | State::Active, Message::Resend(Resend { first, reports, .. }))
                if self.has_log =>
            {
                Ok(Some(Event::Resend { first, reports }))
            }
            (State::HelloSent, _) => {
                Err(Violation::UnexpectedFrame { kind, when: "before Welcome" })?
            }
            _ => Err(Violation::UnexpectedFrame { kind, when: "in a session" })?,
        }
    }

    /// Checks Welcome, begins the session and appends the catalogs that the collector needs to
    /// `out`, if they meet its terms.
    fn welcome(
        &mut self,
        profile: &Profile,
        now: Duration,
        welcome: &Welcome<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Event, ClientError> {
        if welcome.version != VERSION {
            return Err(ClientError::NotOffered("a protocol version"));
        }
        let has_log = welcome.capabilities == capability::LOG;
        if welcome.capabilities != 0 && !(has_log && self.offers_log) {
            return Err(ClientError::NotOffered("a capability"));
        }
        if !(MIN_INTERVAL_MS..=MAX_INTERVAL_MS).contains(&welcome.interval_ms) {
            return Err(ClientError::BadInterval(welcome.interval_ms));
        }
        self.state = State::Welcomed;
        self.has_log = has_log;
        self.clock.set(welcome.unix_ms, now);
        let terms = Terms::of(welcome);
        let catalogs_sent = terms.check(profile).map(|()| {
            let catalogs = profile.catalogs.by_slot().iter().enumerate();
            let unknown = catalogs.filter(|(slot, _)| welcome.catalogs_known & (1 << slot) == 0);
            unknown.map(|(_, catalog)| out.extend_from_slice(catalog.frame())).count()
        });
        Ok(Event::Welcomed {
            session_id: welcome.session_id,
            interval: Duration::from_millis(u64::from(welcome.interval_ms)),
            catalogs_sent,
            terms,
            unix_ms: welcome.unix_ms,
            has_log,
        })
    }
}
