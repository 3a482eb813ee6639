//! Logs of simulated agents: samples while they are disconnected, and the replay.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fleetgauge_agent::client::{ReportId, Update};
use fleetgauge_proto::frame::HEADER_LEN;
use fleetgauge_proto::stream;

use super::sim_agent::Stage;
use super::sim_log::SimLog;
use super::{Engine, FleetModel, ReportValues};
use crate::worker_protocol::{AgentSelector, Event};

/// Reports of a replay are queued until they take this many bytes; the next ones follow when these
/// are written.
const REPLAY_BATCH_BYTES: usize = 64 * 1024;

impl<M: FleetModel, E: FnMut(Event)> Engine<M, E> {
    /// Creates the log of an agent, with the reports of its schedule before now that it is to have.
    pub(super) fn new_log(&self, index: usize, now: Duration) -> SimLog {
        let interval = Duration::from_millis(self.config.interval_ms.into());
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let next = self.next_tick_after(index, now, interval) - now;
        let last = (unix + next).saturating_sub(interval);
        SimLog::with_backlog(self.config.backlog_reports, last, interval, unix, now)
    }

    /// Begins the session of an agent with a log.
    pub(super) fn begin_log(&mut self, index: usize, unix_ms: u64, is_granted: bool) {
        let now = self.truth.now();
        // Before Welcome the agent uses the time of the collector before.
        self.sample_missed(index, now);
        if let Some(log) = self.logs.get_mut(index) {
            log.welcomed(unix_ms, now, is_granted);
        }
    }

    pub(super) fn end_log_session(&mut self, index: usize, is_clean: bool) {
        let interval = Duration::from_millis(self.config.interval_ms.into());
        if let Some(log) = self.logs.get_mut(index) {
            log.session_ended(interval, is_clean);
        }
    }

    /// Takes the samples of a disconnected agent that were due since its last one.
    pub(super) fn sample_missed(&mut self, index: usize, now: Duration) {
        let interval = Duration::from_millis(self.config.interval_ms.into());
        let Some(mut sampled) = self.logs.get(index).and_then(|log| log.last_sampled()) else {
            return;
        };
        loop {
            sampled = self.next_tick_after(index, sampled, interval);
            let log = &mut self.logs[index];
            if sampled >= now || log.sample(sampled).is_none() {
                break;
            }
        }
    }

    pub(super) fn on_resend(&mut self, index: usize, first: u64, reports: u32) {
        if let Some(log) = self.logs.get_mut(index) {
            log.resend(first, reports);
        }
        self.replay(index);
    }

    /// Sends reports of the log that the collector has asked for, unless earlier ones are still
    /// unwritten.
    pub(super) fn replay(&mut self, index: usize) {
        let agent_number = self.agent_number(index);
        loop {
            let agent = &self.agents[index];
            if self.logs.is_empty() || !agent.is_in_session() || agent.has_unwritten() {
                return;
            }
            while self.out.len() < REPLAY_BATCH_BYTES
                && let Some(report) = self.logs[index].next_replay()
            {
                if report.before.is_none() {
                    self.append_replay_catalogs();
                }
                let (sequence, before) = (report.sequence, report.before);
                self.model.write_values(agent_number, sequence, before, &mut self.report_values);
                let changes = self.report_values.changes();
                let ReportValues { row_counts, before, values, .. } = &self.report_values;
                let sampled = Duration::ZERO;
                let update = Update { changes, row_counts, before, values, sampled };
                let id = ReportId { stream: stream::REPLAY, sequence, unix_ms: report.unix_ms };
                let catalogs = &self.profile.catalogs;
                let (encoder, out) = (&mut self.encoder, &mut self.out);
                let client = &mut self.agents[index].client;
                if let Err(error) = client.report_as(id, catalogs, update, encoder, out) {
                    return self.connection_lost(index, error.reason());
                }
                self.sample.counts.replayed += 1;
            }
            if self.out.is_empty() || !self.send(index) {
                return;
            }
        }
    }

    /// Appends the catalogs of all agents for stream 1.
    fn append_replay_catalogs(&mut self) {
        for catalog in self.profile.catalogs.by_slot() {
            let start = self.out.len();
            self.out.extend_from_slice(catalog.frame());
            // The stream is the first field of the payload.
            if let Some(first) = self.out.get_mut(start + HEADER_LEN) {
                *first = stream::REPLAY as u8;
            }
        }
    }

    /// Number of agents whose log has reports that should be acknowledged.
    pub(super) fn behind(&self) -> u32 {
        let interval = Duration::from_millis(self.config.interval_ms.into());
        self.logs.iter().filter(|log| log.is_behind(interval)).count() as u32
    }

    /// Emits the ground truth of all agents.
    pub(super) fn emit_accounts(&mut self) {
        for index in 0..self.logs.len() {
            let is_connected = self.agents[index].stage == Stage::InSession;
            let interval = Duration::from_millis(self.config.interval_ms.into());
            let account =
                self.logs[index].account(self.agent_number(index), interval, is_connected);
            (self.emit)(Event::Account(Box::new(account)));
        }
        (self.emit)(Event::CommandDone);
    }

    /// Lets agents use another collector from their next connection on.
    pub(super) fn choose_collector(&mut self, agents: AgentSelector, collector: SocketAddr) {
        self.for_each(agents, |engine, index| {
            if let Some(log) = engine.logs.get_mut(index) {
                log.collector = Some(collector);
            }
        });
    }
}
