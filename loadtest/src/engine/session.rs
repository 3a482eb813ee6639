//! The session of an agent: what it receives, its reports, and how it ends. The ground truth
//! records all of it.

use std::io::{self, Write};
use std::time::Duration;

use fleetgauge_agent::backoff::{Backoff, FIRST_BOUND, REJECTED_DELAY, STABLE_INTERVALS};
use fleetgauge_agent::client::{Event as ClientEvent, ReportId, Update, code_reason};
use fleetgauge_agent::identity::Nonces;
use fleetgauge_agent::schedule;
use fleetgauge_proto::message::ByeReason;
use fleetgauge_proto::{Code, stream};
use socket2::SockRef;

use super::pings::PendingPing;
use super::sim_agent::{PendingReport, Stage};
use super::sim_log::SimLog;
use super::timer_queue::Action;
use super::{Engine, FleetModel, ReportValues};
use crate::tally::count;
use crate::worker_protocol::{
    AfterDisconnect, BackoffPolicy, DisconnectKind, Event, MAX_AWAY, RETURN_GRACE,
};

/// Maximum delay before reconnecting after a failure. Half of it is random.
const FAILURE_WAIT: Duration = Duration::from_secs(1);
/// Minimum delay before reconnecting after a Reject without a retry time.
const REJECT_WAIT: Duration = Duration::from_secs(5);
/// One agent in this many returns at once after it disconnected for a while.
const IMMEDIATE_RETURN_ONE_IN: u32 = 5;

impl<M: FleetModel, E: FnMut(Event)> Engine<M, E> {
    /// Handles bytes from the collector.
    pub(super) fn receive(&mut self, index: usize, mut bytes: &[u8]) {
        while self.agents[index].stream.is_some() {
            let (client, now) = (&mut self.agents[index].client, self.truth.now());
            match client.received(&self.profile, now, &mut bytes, &mut self.out) {
                Ok(None) => break,
                Ok(Some(ClientEvent::Welcomed { catalogs_sent: Err(error), .. })) => {
                    self.connection_lost(index, error.reason());
                }
                Ok(Some(ClientEvent::Welcomed { interval, unix_ms, has_log, .. })) => {
                    self.begin_log(index, unix_ms, has_log);
                    self.on_welcome(index, interval);
                }
                Ok(Some(ClientEvent::Acknowledged { sequence, .. })) => {
                    if let Some(log) = self.logs.get_mut(index) {
                        log.acknowledge(sequence);
                    }
                }
                Ok(Some(ClientEvent::Resend { first, reports })) => {
                    self.on_resend(index, first, reports);
                }
                Ok(Some(ClientEvent::Pong { token })) => self.on_pong(index, token),
                Ok(Some(ClientEvent::Drain { delay, target })) => {
                    self.on_drain(index, delay, target.as_deref());
                }
                Ok(Some(ClientEvent::Rejected { code, retry_after, .. })) => {
                    self.connection_failed(index, code_reason(code), Some(retry_after));
                }
                // Only of an agent that keeps a log.
                Err(error) => self.connection_lost(index, error.reason()),
            }
        }
        if !self.out.is_empty() {
            self.send(index);
        }
    }

    pub(super) fn on_welcome(&mut self, index: usize, interval: Duration) {
        let now = self.truth.now();
        let history = self.truth.history(index);
        let away = history.gone_at().map(|gone| now.saturating_sub(gone));
        let agent = &mut self.agents[index];
        let next = self.logs.get(index).map(SimLog::next_sequence);
        history.session_began(next.unwrap_or(agent.client.sequence() + 1));
        let tally = &mut self.sample.counts;
        tally.welcomed += 1;
        let requested = Duration::from_millis(self.config.interval_ms.into());
        tally.other_interval += u64::from(interval != requested);
        tally.resumed += u64::from(self.tls.as_mut().is_some_and(|tls| tls.is_resumed(index)));
        tally.times.connect.add(now.saturating_sub(agent.since()));
        if let Some(away) = away {
            tally.times.away.add(away);
            if std::mem::take(&mut agent.must_return) {
                let is_late = away > MAX_AWAY + RETURN_GRACE;
                *(if is_late { &mut tally.not_returned } else { &mut tally.returned }) += 1;
                self.sample.returning -= 1;
            }
        }
        self.sample.present += 1;
        self.connecting -= 1;
        agent.stage = Stage::InSession;
        agent.interval_ms = u32::try_from(interval.as_millis()).unwrap_or(u32::MAX);
        agent.set_since(now);
        // In one write with the Catalog, if the collector requests it.
        self.report(index, now, false);
    }

    /// Sends the report that was due at `due`; `on_grid` if that is a tick of the agent's schedule.
    pub(super) fn report(&mut self, index: usize, due: Duration, on_grid: bool) {
        let (agent_number, woke) = (self.agent_number(index), self.truth.now());
        let agent = &mut self.agents[index];
        if !agent.is_in_session() {
            return;
        }
        let own_lag = woke.saturating_sub(due.max(agent.since()));
        let is_first = agent.client.is_new_session();
        let logged = match self.logs.get_mut(index).map(|log| log.sample(woke)) {
            Some(None) => return,
            Some(sampled) => sampled,
            None => None,
        };
        let sequence = logged.map_or(agent.client.sequence() + 1, |(sequence, _)| sequence);
        let before = (!is_first).then(|| sequence - 1);
        self.model.write_values(agent_number, sequence, before, &mut self.report_values);
        let changes = self.report_values.changes();
        let ReportValues { row_counts, before, values, .. } = &self.report_values;
        let update = Update { changes, row_counts, before, values, sampled: woke };
        self.truth.sending(index, sequence, woke);
        let (encoder, out) = (&mut self.encoder, &mut self.out);
        let result = match logged {
            Some((sequence, unix_ms)) => {
                self.logs[index].sending(sequence);
                let id = ReportId { stream: stream::LIVE, sequence, unix_ms };
                let catalogs = &self.profile.catalogs;
                agent.client.report_as(id, catalogs, update, encoder, out)
            }
            None => agent.client.report(&self.profile, update, encoder, out).map(drop),
        };
        if let Err(error) = result {
            return self.connection_lost(index, error.reason());
        }
        if self.needs_ping(index, sequence) {
            self.append_ping(index, PendingPing::new(sequence, due, own_lag));
        }
        let report = PendingReport { due, on_grid, own_lag };
        if self.send(index) {
            self.report_written(index, report);
        } else if let Some(cold) = &mut self.agents[index].cold {
            cold.report = Some(report);
        }
    }

    /// Records a written report and schedules the next one.
    pub(super) fn report_written(&mut self, index: usize, report: PendingReport) {
        let now = self.truth.now();
        self.truth.history(index).written(now);
        let is_first = match self.logs.get(index) {
            Some(log) => log.is_silent(),
            None => self.agents[index].client.sequence() == 1,
        };
        if let Some(log) = self.logs.get_mut(index) {
            log.written();
        }
        self.tally().written(now.saturating_sub(report.due), report.own_lag);
        let interval = self.agents[index].interval();
        let next = if report.on_grid {
            report.due + interval
        } else {
            self.next_tick_after(index, report.due, interval)
        };
        let agent = &mut self.agents[index];
        agent.set_since(now);
        self.timers.add(next, index as u32, agent.attempt, Action::Report);
        if is_first {
            self.sample.reporting += 1;
            if self.sample.reporting == self.config.agents.count {
                // The parent waits for this sample.
                self.emit_sample();
            }
        }
        self.replay(index);
    }

    /// First tick of an agent's schedule after `moment`. The schedule starts with the test; its
    /// phase follows from the agent id, as in the real agent.
    pub(super) fn next_tick_after(
        &self,
        index: usize,
        moment: Duration,
        interval: Duration,
    ) -> Duration {
        let phase = schedule::phase(&self.model.id(self.agent_number(index)), interval);
        let Some(past) = moment.checked_sub(phase) else { return phase };
        let ticks = past.as_nanos() / interval.as_nanos().max(1) + 1;
        phase + interval * u32::try_from(ticks).unwrap_or(u32::MAX)
    }

    /// Handles a failed connection or a protocol error of the collector.
    pub(super) fn connection_lost(&mut self, index: usize, why: &str) {
        self.connection_failed(index, why, None);
    }

    /// Handles the end of an attempt or a session by the collector. `retry_after` is `None` without
    /// a Reject, and `Some(None)` for a Reject without a retry time.
    fn connection_failed(
        &mut self,
        index: usize,
        why: &str,
        retry_after: Option<Option<Duration>>,
    ) {
        let (now, stage) = (self.truth.now(), self.agents[index].stage);
        self.out.clear();
        if stage == Stage::Disconnected {
            return;
        }
        if stage == Stage::InSession {
            self.truth.history(index).leaving(now, true);
            count(&mut self.tally().ended, why);
        } else {
            count(&mut self.tally().refused, why);
        }
        let wait = self.wait_after_failure(index, stage, why, retry_after);
        self.close(index);
        if !self.finished {
            self.dial_after(index, wait);
        }
    }

    fn wait_after_failure(
        &mut self,
        index: usize,
        stage: Stage,
        why: &str,
        retry_after: Option<Option<Duration>>,
    ) -> Duration {
        if self.config.backoff == BackoffPolicy::Quick {
            let min = retry_after
                .map_or(FAILURE_WAIT / 2, |retry_after| retry_after.unwrap_or(REJECT_WAIT));
            return min + (FAILURE_WAIT / 2).max(min / 10).mul_f64(self.rng.f64());
        }
        let rng = &mut self.rng;
        let backoff = self.backoffs.entry(index).or_insert_with(|| Backoff::new(rng.fork()));
        if stage == Stage::InSession {
            let interval = self.agents[index].interval();
            let reports = self.truth.history(index).reports_of_session();
            backoff.session_ended(interval * reports.saturating_sub(1), interval);
        }
        match retry_after {
            Some(Some(slot)) if why == Code::HandshakesFull.reason() => {
                backoff.use_retry_slot(slot)
            }
            Some(retry_after) => backoff.set_minimum(retry_after.unwrap_or(REJECTED_DELAY)),
            None => {}
        }
        backoff.next_delay()
    }

    /// Plans to leave after the delay. An agent with a log uses the target from then on.
    fn on_drain(&mut self, index: usize, delay: Duration, target: Option<&str>) {
        let (due, attempt) = (self.truth.now() + delay, self.agents[index].attempt);
        self.timers.add(due, index as u32, attempt, Action::DisconnectDrained);
        let target = target.and_then(|target| target.parse().ok());
        if let Some(log) = self.logs.get_mut(index) {
            log.collector = target.or(log.collector);
        }
    }

    /// Disconnects because the collector has sent Drain.
    pub(super) fn disconnect_drained(&mut self, index: usize) {
        if self.agents[index].is_in_session() {
            let (reason, after) = (ByeReason::Drained, AfterDisconnect::Move);
            self.disconnect(index, DisconnectKind::Bye, reason, after);
            if let Some(log) = self.logs.get_mut(index) {
                log.drained();
            }
        }
    }

    /// Disconnects an agent. Returns whether the Bye could be sent; a socket that blocks is not
    /// waited for.
    pub(super) fn disconnect(
        &mut self,
        index: usize,
        kind: DisconnectKind,
        reason: ByeReason,
        after: AfterDisconnect,
    ) -> bool {
        let (now, in_session) = (self.truth.now(), self.agents[index].is_in_session());
        if in_session {
            self.truth.history(index).leaving(now, kind == DisconnectKind::Freeze);
        }
        if after == AfterDisconnect::StayAway
            && let Some(log) = self.logs.get_mut(index)
        {
            log.leaving();
        }
        let mut sent = true;
        match kind {
            DisconnectKind::Freeze => {
                self.abandon_pings(index);
                if in_session {
                    self.agents[index].stage = Stage::Frozen;
                }
                return true;
            }
            DisconnectKind::Bye => sent = self.send_bye(index, reason),
            DisconnectKind::Fin => {}
            DisconnectKind::Reset => {
                let reset = Some(Duration::ZERO);
                let stream = self.agents[index].stream.as_ref();
                stream.map(|stream| SockRef::from(stream).set_linger(reset));
            }
        }
        if in_session {
            let tally = self.tally();
            *(if kind == DisconnectKind::Bye { &mut tally.byes } else { &mut tally.resets }) += 1;
        }
        let is_orderly = matches!(kind, DisconnectKind::Bye | DisconnectKind::Fin);
        let is_clean = is_orderly && sent && !self.agents[index].has_unwritten();
        self.close_after(index, is_clean);
        self.schedule_return(index, after);
        sent
    }

    /// Sends Bye. Returns whether the socket accepted it or was broken.
    fn send_bye(&mut self, index: usize, reason: ByeReason) -> bool {
        let agent = &mut self.agents[index];
        let stuck = agent.has_unwritten();
        agent.client.bye(reason, &mut self.out);
        if let Some(tls) = &mut self.tls {
            tls.encrypt(index, &mut self.out);
        }
        let written = agent.stream.as_mut().map(|stream| stream.write(&self.out));
        self.out.clear();
        !stuck && !matches!(written, Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Counts agents that disconnected for a while and were not welcomed in time, once each.
    pub(super) fn count_overdue_returns(&mut self, now: Duration) {
        for (agent, history) in self.agents.iter_mut().zip(self.truth.histories()) {
            let overdue = |gone: Duration| now > gone + MAX_AWAY + RETURN_GRACE;
            if agent.must_return && history.gone_at().is_some_and(overdue) {
                agent.must_return = false;
                self.sample.counts.not_returned += 1;
                self.sample.returning -= 1;
            }
        }
    }

    fn schedule_return(&mut self, index: usize, after: AfterDisconnect) {
        let agent = &mut self.agents[index];
        match after {
            _ if self.finished => {}
            AfterDisconnect::StayAway => agent.stays_away = true,
            AfterDisconnect::Return => {
                agent.must_return = true;
                self.sample.returning += 1;
                let at_once = self.rng.u32(..IMMEDIATE_RETURN_ONE_IN) == 0;
                let share = if at_once { 0.0 } else { self.rng.f64() };
                self.dial_after(index, MAX_AWAY.mul_f64(share));
            }
            AfterDisconnect::Move => {
                agent.must_return = true;
                self.sample.returning += 1;
                // The first report is sent at once, the next ones at the ticks of the schedule.
                let is_stable =
                    self.truth.history(index).reports_of_session() > STABLE_INTERVALS + 1;
                let share = if is_stable { 0.0 } else { self.rng.f64() };
                self.dial_after(index, FIRST_BOUND.mul_f64(share));
            }
            AfterDisconnect::Reboot => {
                agent.boot = agent.boot.wrapping_add(1);
                self.dial_after(index, Duration::ZERO);
            }
        }
    }

    /// Nonces of an agent's host and process. Simulated processes do not restart, so both nonces
    /// change only when the host reboots.
    pub(super) fn nonces(&self, index: usize) -> Nonces {
        let boot = u64::from(self.agents[index].boot);
        let seed = self.config.seed ^ boot.rotate_right(16);
        let nonce = u128::from(seed) << 64 | u128::from(self.agent_number(index));
        let nonce = nonce.to_be_bytes();
        Nonces { host: nonce, process: nonce }
    }
}
