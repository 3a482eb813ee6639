//! Executes commands, and disconnects random agents under churn.

use std::time::Duration;

use fleetgauge_proto::message::ByeReason;

use super::page_fetcher::{FetchedPage, PageRequest};
use super::sim_agent::{SimAgent, Stage};
use super::{Engine, FleetModel, Ramp};
use crate::judge::judge;
use crate::worker_protocol::{
    AfterDisconnect, AgentSelector, Command, DisconnectKind, Event, PageResult,
};

/// Maximum agents that connect at the same time during the ramp. On a machine too slow for the
/// ramp, connecting takes longer instead of timing out.
const MAX_CONNECTING: usize = 128;

impl<M: FleetModel, E: FnMut(Event)> Engine<M, E> {
    pub(super) fn handle_command(&mut self, command: Command) {
        let now = self.truth.now();
        match command {
            Command::Ramp { per_second } => {
                let agents = self.config.agents.count as usize;
                self.agents.resize_with(agents, SimAgent::default);
                self.truth.resize(agents);
                if self.config.keeps_log {
                    self.logs = (0..agents).map(|index| self.new_log(index, now)).collect();
                }
                self.ramp = Some(Ramp { began: now, per_second, started: 0 });
            }
            Command::Churn { share_per_second } => {
                self.churn = share_per_second;
                self.next_churn = self.draw_next_churn(now);
            }
            Command::ScrapeAgents { what } => self.page_fetcher.fetch(PageRequest::agents(what)),
            Command::ScrapeBackToBack { what, encoding, for_ms } => {
                self.page_fetcher.fetch(PageRequest::back_to_back(what, encoding, for_ms));
            }
            Command::Disconnect { agents, kind, after } => {
                self.for_each(agents, |engine, index| match engine.agents[index].stage {
                    Stage::InSession => {
                        engine.disconnect(index, kind, ByeReason::Stopping, after);
                    }
                    Stage::Connecting | Stage::Disconnected | Stage::Frozen => {}
                });
                (self.emit)(Event::CommandDone);
            }
            Command::Reconnect { agents } => self.for_each(agents, |engine, index| {
                if engine.agents[index].stage == Stage::Frozen {
                    engine.close(index);
                    engine.dial(index);
                } else if engine.agents[index].stays_away {
                    engine.dial(index);
                }
            }),
            Command::ChooseCollector { agents, collector } => {
                self.choose_collector(agents, collector);
            }
            Command::Account => self.emit_accounts(),
            Command::Flush => self.flush(),
            Command::Finish => self.finish(),
        }
    }

    /// Starts the agents that the ramp has reached.
    pub(super) fn continue_ramp(&mut self) {
        let Some(mut ramp) = self.ramp else { return };
        let elapsed = self.truth.now().saturating_sub(ramp.began);
        let due = elapsed.as_secs_f64() * ramp.per_second;
        while ramp.started < self.agents.len()
            && ramp.started as f64 <= due
            && self.connecting < MAX_CONNECTING
        {
            self.dial(ramp.started);
            ramp.started += 1;
        }
        self.ramp = (ramp.started < self.agents.len()).then_some(ramp);
    }

    /// Disconnects random agents. Intervals are exponentially distributed, so the fleet loses the
    /// same share every second.
    pub(super) fn apply_churn(&mut self, now: Duration) {
        while self.next_churn <= now {
            let index = self.rng.usize(..self.agents.len());
            if self.agents[index].is_in_session() {
                let kind = self.draw_disconnect_kind();
                self.disconnect(index, kind, ByeReason::Stopping, AfterDisconnect::Return);
            }
            self.next_churn = self.draw_next_churn(self.next_churn);
        }
    }

    fn draw_next_churn(&mut self, after: Duration) -> Duration {
        let per_second = self.churn * self.agents.len() as f64;
        let seconds = -(1.0 - self.rng.f64()).ln() / per_second;
        let wait = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        after.saturating_add(wait)
    }

    fn draw_disconnect_kind(&mut self) -> DisconnectKind {
        if self.rng.bool() { DisconnectKind::Bye } else { DisconnectKind::Reset }
    }

    /// Disconnects all agents for good.
    fn finish(&mut self) {
        (self.finished, self.ramp, self.churn) = (true, None, 0.0);
        self.next_churn = Duration::MAX;
        let mut stuck = 0;
        for index in 0..self.agents.len() {
            let kind = self.draw_disconnect_kind();
            if self.agents[index].stage != Stage::Disconnected {
                let after = AfterDisconnect::StayAway;
                let sent = self.disconnect(index, kind, ByeReason::Stopping, after);
                stuck += u32::from(!sent);
            }
        }
        self.emit_sample();
        (self.emit)(Event::Finished { stuck });
    }

    pub(super) fn for_each(
        &mut self,
        selector: AgentSelector,
        mut act: impl FnMut(&mut Self, usize),
    ) {
        for index in 0..self.agents.len() {
            let chosen = match selector {
                AgentSelector::All => true,
                AgentSelector::Share(share) => self.rng.f64() < share,
                AgentSelector::Range(range) => range.index_of(self.agent_number(index)).is_some(),
            };
            if chosen {
                act(self, index);
            }
        }
    }

    /// Judges a page by the ground truth and emits the result.
    pub(super) fn judge_page(&mut self, page: FetchedPage) {
        let FetchedPage { what, window, observed, bytes, error, cpu, mut verdict, more } = page;
        if error.is_none() {
            let when = window.label(&what);
            let tolerance = self.config.tolerance();
            judge(&observed, self.truth.histories(), window, tolerance, |found| {
                verdict.add(&when, [found]);
            });
            verdict.checked("pages", 1);
        }
        let written = self.truth.histories().iter().flat_map(|history| &history.reports);
        let meanwhile = written.filter_map(|report| Some(report.written?.since_start()));
        let meanwhile = meanwhile.filter(|at| (window.requested..window.ended).contains(at));
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let result = PageResult {
            error,
            took_us: us(window.ended - window.requested),
            bytes,
            samples: observed.samples,
            agents: observed.own_count() as u32,
            others: observed.other_agents().take(1_000).collect(),
            cpu_us: cpu.map(us),
            reports: meanwhile.count() as u64,
            verdict,
            what,
            more,
        };
        (self.emit)(Event::Page(Box::new(result)));
    }
}
