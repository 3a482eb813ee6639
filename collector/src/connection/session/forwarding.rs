//! Forwarding of an agent's reports to engines: acknowledgements, and when the agent is asked to
//! send reports again from its log.
//!
//! ```text
//!        live report is not the next one        permit of the scheduler
//! Idle ──────────────────────────────▶ Waiting ──────────────────────▶ Running
//!  ▲                                                                     │ Resend, then
//!  │         nothing is missing, or the agent sends nothing              │ reports on stream 1
//!  └─────────────────────────────────────────────────────────────────────┘
//! ```

use std::sync::Arc;

use fleetgauge_proto::message::{Acknowledge, Hello, Report, Resend};
use fleetgauge_proto::stream::{self, Streams};
use fleetgauge_proto::{Message, capability};

use super::replay::Replay;
use super::send;
use crate::clock::Millis;
use crate::exposition::agent_of;
use crate::peers::handle::ConnectionHandle;
use crate::registry::RegisteredAgent;
use crate::remote_write::{ForwardedSession, Forwarder, ReportTime};
use crate::state::CollectorState;
use crate::telemetry::log_limiter::log_count;

/// Maximum reports that an agent may send again before it is asked for more.
const WINDOW: u32 = 32;
/// Number of report intervals without a report of the log after which a running replay is given up,
/// and the minimum of that time in milliseconds.
const STALLED_INTERVALS: Millis = 3;
const MIN_STALLED: Millis = 30_000;

/// Forwarding state of a session's agent.
#[derive(Debug)]
pub(super) struct Forwarding {
    /// First sequence number of the agent's log; `None` if it keeps none.
    log: Option<u64>,
    /// `None` before the first report.
    session: Option<ForwardedSession>,
    /// Sequence number that was acknowledged last.
    acknowledged: u64,
    phase: Phase,
    /// What the agent sends again. Kept after a replay that was given up: it may still send some.
    pub(super) replay: Option<Box<Replay>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    /// Waits for a permit of the scheduler.
    Waiting,
    Running,
}

impl Forwarding {
    /// Creates the state of an agent; `None` if the collector forwards nothing.
    pub(super) fn new(hello: &Hello<'_>, collector: &CollectorState) -> Option<Box<Self>> {
        let forwarder = collector.forwarder.as_ref()?;
        let has_log = hello.capabilities & capability::LOG == capability::LOG;
        let log = hello.log().filter(|_| has_log && forwarder.asks_for_logs());
        let (session, acknowledged, phase, replay) = (None, 0, Phase::Idle, None);
        Some(Box::new(Self { log, session, acknowledged, phase, replay }))
    }

    /// Returns the capabilities for Welcome.
    pub(super) fn capabilities(&self) -> u64 {
        self.log.map_or(0, |_| capability::LOG)
    }

    /// Returns the streams that the agent may use.
    pub(super) fn streams(&self) -> Streams {
        Streams::of(self.capabilities())
    }

    /// Forwards a live report that was stored. Acknowledges what engines have taken, and requests a
    /// replay if reports are missing.
    pub(super) fn reported(
        &mut self,
        agent: &RegisteredAgent,
        handle: &Arc<ConnectionHandle>,
        report: &Report<'_>,
        collector: &CollectorState,
        now: Millis,
        out: &mut Vec<u8>,
    ) {
        let Some(forwarder) = &collector.forwarder else { return };
        let Report { sequence, unix_ms, .. } = *report;
        let (log, interval_ms) = (self.log, handle.hello().interval_ms);
        let session = self
            .session
            .get_or_insert_with(|| forwarder.enter(agent.id(), interval_ms, log, sequence));
        let time = ReportTime { sequence, unix_ms, now_ms: collector.clock.unix_ms() };
        log_too_far_ahead(time, agent.id().as_str(), collector);
        forwarder.report(session, agent, time);
        self.acknowledge(forwarder, time.now_ms, out);
        self.give_up_stalled(forwarder, handle, now);
        let Some(session) = &self.session else { return };
        if let Some((_, missing)) = session.missing(forwarder)
            && self.phase == Phase::Idle
        {
            self.phase = Phase::Waiting;
            forwarder.replays().request(handle, missing);
        }
    }

    /// Acknowledges the reports that engines have taken since the last time.
    pub(super) fn acknowledge(&mut self, forwarder: &Forwarder, unix_ms: u64, out: &mut Vec<u8>) {
        let Some(sequence) = self.session.as_ref().and_then(|own| own.taken(forwarder)) else {
            return;
        };
        if sequence > self.acknowledged && self.log.is_some_and(|first| sequence >= first) {
            self.acknowledged = sequence;
            let stream = stream::REPLAY;
            send(&Message::Acknowledge(Acknowledge { stream, sequence, unix_ms }), out);
        }
    }

    /// Continues with the live reports if the agent does not send what it was asked for.
    fn give_up_stalled(&mut self, forwarder: &Forwarder, handle: &ConnectionHandle, now: Millis) {
        let Some(replay) = self.replay.as_ref().filter(|_| self.phase == Phase::Running) else {
            return;
        };
        let limit = STALLED_INTERVALS * Millis::from(handle.hello().interval_ms);
        if replay.credit > 0 && replay.progress + limit.max(MIN_STALLED) < now {
            if let Some(session) = &mut self.session {
                session.skip_missing(forwarder);
            }
            self.phase = Phase::Idle;
            forwarder.replays().release(handle.session());
        }
    }

    /// Asks for reports of the log, because the scheduler permits it.
    pub(super) fn permitted(
        &mut self,
        handle: &ConnectionHandle,
        collector: &CollectorState,
        now: Millis,
        out: &mut Vec<u8>,
    ) {
        let Some(forwarder) = &collector.forwarder else { return };
        if self.phase == Phase::Waiting {
            self.phase = Phase::Running;
            self.replay.get_or_insert_with(Box::default).progress = now;
        }
        self.ask(forwarder, handle, out);
    }

    /// Asks for as many reports as are missing, if there is room, or ends the replay if none is.
    fn ask(&mut self, forwarder: &Forwarder, handle: &ConnectionHandle, out: &mut Vec<u8>) {
        let Some(replay) = self.replay.as_mut().filter(|_| self.phase == Phase::Running) else {
            return;
        };
        let Some(session) = &self.session else { return };
        let Some((first, missing)) = session.missing(forwarder) else {
            if replay.credit == 0 {
                // The agent, too, forgets what it sent: its next replay starts from nothing.
                self.replay = None;
                send(&resend(0, 0), out);
            }
            self.phase = Phase::Idle;
            forwarder.replays().release(handle.session());
            return;
        };
        let missing = u32::try_from(missing).unwrap_or(u32::MAX);
        let reports = missing.min(WINDOW).saturating_sub(replay.credit);
        // One frame for several reports.
        if reports == 0 || replay.credit > WINDOW / 2 {
            return;
        }
        if !session.has_room(forwarder) {
            forwarder.replays().pause(handle.session());
            return;
        }
        replay.credit += reports;
        send(&resend(first, reports), out);
    }

    /// Forwards a report that the agent has sent again.
    pub(super) fn replayed(
        &mut self,
        labels: &str,
        report: &Report<'_>,
        handle: &ConnectionHandle,
        collector: &CollectorState,
        out: &mut Vec<u8>,
    ) {
        let Some(forwarder) = &collector.forwarder else { return };
        let (Some(replay), Some(session)) = (&mut self.replay, &mut self.session) else { return };
        let Report { sequence, unix_ms, .. } = *report;
        let time = ReportTime { sequence, unix_ms, now_ms: collector.clock.unix_ms() };
        log_too_far_ahead(time, agent_of(labels), collector);
        let layout = replay.layout();
        forwarder.replayed(session, labels, &layout, replay.values.values(), time);
        self.ask(forwarder, handle, out);
    }

    /// Releases what the session holds, because it ends.
    pub(super) fn end(&self, handle: &ConnectionHandle, collector: &CollectorState) {
        if let Some(forwarder) = &collector.forwarder
            && self.phase != Phase::Idle
        {
            forwarder.replays().release(handle.session());
        }
    }
}

/// Logs a report that is not forwarded, because its time is too far ahead.
fn log_too_far_ahead(time: ReportTime, agent: &str, collector: &CollectorState) {
    let Some(ahead) = time.too_far_ahead() else { return };
    let offset = ahead / 1_000;
    log_count!(
        collector, ("report from the future not forwarded", ""), warn,
        "report from the future not forwarded", %agent, offset
    );
}

fn resend(first: u64, reports: u32) -> Message<'static> {
    Message::Resend(Resend { stream: stream::REPLAY, first, reports })
}
