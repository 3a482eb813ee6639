//! Forwarding state of a session: which reports each destination has been given.
//!
//! A destination that agents keep a log for (`durable`) is given the reports of an agent in order,
//! without gaps. A live report that is not the next one waits: the collector asks the agent for the
//! reports before it, and gets it again behind them. If the engine takes samples out of order
//! (`out_of_order`), live reports do not wait, and those before them follow.

use std::sync::Arc;

use super::agent_state::{ForwardedAgent, Sent, Shown};
use super::destination::Destination;
use super::encode::CellSet;
use super::entry::{Acks, Content, Entry};
use super::forwarder::Forwarder;
use super::given::Given;
use crate::registry::{Layout, RegisteredAgent};

/// Maximum time by which a report can be ahead of the collector's clock, in milliseconds. Agents
/// use the collector's time, so more is a mistake. Engines refuse samples that are far ahead, or
/// afterwards everything before them.
const MAX_AHEAD_MS: u64 = 60_000;

/// Forwarding state of a session.
#[derive(Debug)]
pub(crate) struct ForwardedSession {
    agent: Arc<ForwardedAgent>,
    acks: Arc<Acks>,
    /// Whether the agent keeps a log.
    has_log: bool,
    /// Sequence number of the report before the agent's log, which engines have accepted. `None`
    /// if there was none.
    before: Option<u64>,
    /// By destination: the lowest sequence number that it was not given.
    next: Box<[u64]>,
    /// Sequence number of the last live report.
    live: u64,
}

/// A report to forward.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReportTime {
    pub(crate) sequence: u64,
    /// Time of the samples, in unix milliseconds.
    pub(crate) unix_ms: u64,
    /// The collector's time, in unix milliseconds.
    pub(crate) now_ms: u64,
}

impl ReportTime {
    /// Returns by how many milliseconds the report is ahead of the collector's clock, if that is
    /// too much to forward it.
    pub(crate) fn too_far_ahead(&self) -> Option<u64> {
        self.unix_ms.checked_sub(self.now_ms).filter(|ahead| *ahead > MAX_AHEAD_MS)
    }
}

impl ForwardedSession {
    pub(super) fn new(
        agent: Arc<ForwardedAgent>,
        destinations: usize,
        log: Option<u64>,
        first: u64,
    ) -> Self {
        // A log that begins later than the first report: that one is acknowledged already.
        let next = log.unwrap_or(first);
        let before = log.and_then(|log| log.checked_sub(1)).filter(|before| *before > 0);
        let acks = Arc::new(Acks::new(destinations, next));
        let next = vec![next; destinations].into();
        Self { agent, acks, has_log: log.is_some(), before, next, live: first }
    }

    /// Returns the reports that are missing: the sequence number to begin with, and how many to ask
    /// for, at least one; `None` if none is missing.
    ///
    /// If a destination's series are not known, the first number is that of the report before the
    /// agent's log, even if no other is missing. The agent need not have it.
    pub(crate) fn missing(&self, forwarder: &Forwarder) -> Option<(u64, u64)> {
        let sent = self.agent.sent.lock();
        let missing = self.durable(forwarder).filter_map(|(index, _)| {
            let (next, sent) = (*self.next.get(index)?, sent.get(index)?);
            let before = self.before.filter(|before| sent.needs(*before, next));
            let ahead = sent.ahead.as_ref();
            let ahead = ahead.filter(|ahead| ahead.last_sequence == self.live);
            let end = ahead.map_or(self.live.saturating_add(1), |ahead| ahead.first_sequence);
            let is_missing = next < end || before.is_some();
            is_missing.then_some((before.unwrap_or(next), next, end.max(next)))
        });
        let (first, next, end) = missing
            .reduce(|one, other| (one.0.min(other.0), one.1.min(other.1), one.2.max(other.2)))?;
        Some((first, (end - next).max(1)))
    }

    /// Gives up what is missing, because the agent does not send it: forwarding continues with the
    /// live report.
    pub(crate) fn skip_missing(&mut self, forwarder: &Forwarder) {
        for (next, destination) in self.next.iter_mut().zip(forwarder.destinations()) {
            destination.reports_missing(self.live.saturating_add(1).saturating_sub(*next));
            // The live report itself was not given, and is among those that are missing.
            *next = (*next).max(self.live.saturating_add(1));
        }
        for sent in self.agent.sent.lock().iter_mut() {
            sent.newest();
        }
    }

    /// Returns the sequence number up to which all destinations that are durable have taken all
    /// reports.
    pub(crate) fn taken(&self, forwarder: &Forwarder) -> Option<u64> {
        self.acks.taken_by(self.durable(forwarder).map(|(index, _)| index))
    }

    /// Whether the destinations that are durable have room for replayed reports.
    pub(crate) fn has_room(&self, forwarder: &Forwarder) -> bool {
        self.durable(forwarder).all(|(_, destination)| destination.has_room())
    }

    fn durable<'a>(
        &self,
        forwarder: &'a Forwarder,
    ) -> impl Iterator<Item = (usize, &'a Arc<Destination>)> {
        let has_log = self.has_log;
        let destinations = forwarder.destinations().iter().enumerate();
        destinations.filter(move |(_, destination)| has_log && destination.settings.durable)
    }
}

impl Forwarder {
    /// Forwards the values that an agent has now, those of its last report.
    pub(crate) fn report(
        &self,
        session: &mut ForwardedSession,
        registered: &RegisteredAgent,
        time: ReportTime,
    ) {
        session.live = time.sequence;
        // `None` if another connection has taken over the id: it forwards its own values.
        let _ = registered.read(|labels, layout, values| {
            self.give(session, labels, layout, values, time, false);
        });
    }

    /// Forwards the values of a report that the agent has sent again.
    pub(crate) fn replayed(
        &self,
        session: &mut ForwardedSession,
        labels: &str,
        layout: &Arc<Layout>,
        values: &[f64],
        time: ReportTime,
    ) {
        self.give(session, labels, layout, values, time, true);
    }

    /// Gives a report to the lanes, behind stale markers of the series that it does not have.
    fn give(
        &self,
        session: &mut ForwardedSession,
        labels: &str,
        layout: &Arc<Layout>,
        values: &[f64],
        time: ReportTime,
        is_replay: bool,
    ) {
        let ReportTime { sequence, .. } = time;
        let unix_ms = i64::try_from(time.unix_ms).unwrap_or(i64::MAX);
        let is_ahead = time.too_far_ahead().is_some();
        let present = Arc::new(CellSet::of(layout, values));
        let next = Shown { labels: labels.into(), layout: Arc::clone(layout), present, unix_ms };
        let report = Arc::new(Entry {
            labels: next.labels.clone(),
            layout: Arc::clone(layout),
            content: Content::Report {
                values: values.into(),
                present: Arc::clone(&next.present),
                sequence,
                acks: Some(Arc::clone(&session.acks)),
            },
            unix_ms,
        });
        let ForwardedSession { agent, has_log, before, next: given, .. } = session;
        let before = *before;
        let mut sent = agent.sent.lock();
        let places = given.iter_mut().zip(sent.iter_mut());
        for (destination, (given, sent)) in self.destinations().iter().zip(places) {
            let is_durable = *has_log && destination.settings.durable;
            let given =
                Given { destination, hash: agent.hash, is_durable, before, next: given, sent };
            match (is_replay, is_durable) {
                (true, true) => given.replayed(&report, &next, sequence, is_ahead),
                (true, false) => {}
                (false, _) => given.live(&report, &next, sequence, is_ahead),
            }
        }
        if let Some(journal) = &self.journal
            && sent.iter().filter_map(Sent::newest_ms).max() == Some(next.unix_ms)
        {
            journal.note(agent, &next);
        }
    }
}
