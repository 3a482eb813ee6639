//! What an engine is told to do, and what agents do by chance.

use std::time::Duration;

use fleetgauge_proto::message::ByeReason;

use super::inspector::{Page, Request};
use super::member::{Member, Stage};
use super::{Engine, Hosts, Ramp};
use crate::judge::judge;
use crate::orders::{Command, Event, Inspected, Manner, Then, Who};

/// While agents are brought up, so many are connecting at most: a machine that is too slow for the ramp takes longer
/// instead of timing all of them out.
const MOST_CONNECTING: usize = 128;

impl<H: Hosts, E: FnMut(Event)> Engine<H, E> {
    pub(super) fn obey(&mut self, command: Command) {
        let now = self.ledger.now();
        match command {
            Command::Ramp { per_second } => {
                let agents = self.order.agents.count as usize;
                self.members.resize_with(agents, Member::default);
                self.ledger.open(agents);
                self.ramp = Some(Ramp { began: now, per_second, started: 0 });
            }
            Command::Churn { share_per_second } => {
                self.churn = share_per_second;
                self.next_departure = self.draw_departure(now);
            }
            Command::Inspect { what } => self.inspector.fetch(Request::agents(what)),
            Command::Scrape { what, encoding, for_ms } => {
                self.inspector.fetch(Request::back_to_back(what, encoding, for_ms));
            }
            Command::Leave { who, manner, then } => {
                self.each(who, |engine, place| match engine.members[place].stage {
                    Stage::Welcomed => {
                        engine.depart(place, manner, ByeReason::Stopping, then);
                    }
                    Stage::Greeted | Stage::Away | Stage::Frozen => {}
                });
                (self.emit)(Event::Done);
            }
            Command::Return { who } => self.each(who, |engine, place| {
                if engine.members[place].stage == Stage::Frozen {
                    engine.close(place);
                    engine.dial(place);
                } else if engine.members[place].stays_away {
                    engine.dial(place);
                }
            }),
            Command::Flush => self.flush(),
            Command::Finish => self.finish(),
        }
    }

    /// Brings up those who should have been started by now.
    pub(super) fn start_more(&mut self) {
        let Some(mut ramp) = self.ramp else { return };
        let elapsed = self.ledger.now().saturating_sub(ramp.began);
        let due = elapsed.as_secs_f64() * ramp.per_second;
        while ramp.started < self.members.len()
            && ramp.started as f64 <= due
            && self.greeted < MOST_CONNECTING
        {
            self.dial(ramp.started);
            ramp.started += 1;
        }
        self.ramp = (ramp.started < self.members.len()).then_some(ramp);
    }

    /// Has those leave whom chance has chosen: memoryless, so that the fleet loses the same share every second.
    pub(super) fn let_some_leave(&mut self, now: Duration) {
        while self.next_departure <= now {
            let place = self.rng.usize(..self.members.len());
            if self.members[place].is_welcomed() {
                let manner = self.draw_manner();
                self.depart(place, manner, ByeReason::Stopping, Then::Return);
            }
            self.next_departure = self.draw_departure(self.next_departure);
        }
    }

    fn draw_departure(&mut self, after: Duration) -> Duration {
        let per_second = self.churn * self.members.len() as f64;
        let seconds = -(1.0 - self.rng.f64()).ln() / per_second;
        let wait = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        after.saturating_add(wait)
    }

    fn draw_manner(&mut self) -> Manner {
        if self.rng.bool() { Manner::Bye } else { Manner::Reset }
    }

    /// All leave for good.
    fn finish(&mut self) {
        (self.finished, self.ramp, self.churn) = (true, None, 0.0);
        self.next_departure = Duration::MAX;
        let mut stuck = 0;
        for place in 0..self.members.len() {
            let manner = self.draw_manner();
            if self.members[place].stage != Stage::Away {
                let said = self.depart(place, manner, ByeReason::Stopping, Then::StayAway);
                stuck += u32::from(!said);
            }
        }
        self.emit_sample();
        (self.emit)(Event::Left { stuck });
    }

    fn each(&mut self, who: Who, mut act: impl FnMut(&mut Self, usize)) {
        for place in 0..self.members.len() {
            let chosen = match who {
                Who::All => true,
                Who::Share(share) => self.rng.f64() < share,
                Who::Numbers(numbers) => numbers.place(self.number(place)).is_some(),
            };
            if chosen {
                act(self, place);
            }
        }
    }

    /// Judges a page by the ledger and tells what it was like.
    pub(super) fn judge(&mut self, page: Page) {
        let Page { what, window, shown, bytes, error, cpu, mut verdict, more } = page;
        if error.is_none() {
            let when = window.called(&what);
            let tolerance = self.order.tolerance();
            judge(&shown, self.ledger.records(), window, tolerance, |found| {
                verdict.add(&when, [found]);
            });
            verdict.checked("pages", 1);
        }
        let written = self.ledger.records().iter().flat_map(|record| &record.reports);
        let meanwhile = written.filter_map(|report| Some(report.written?.since_start()));
        let meanwhile = meanwhile.filter(|at| (window.requested..window.ended).contains(at));
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let inspected = Inspected {
            error,
            took_us: us(window.ended - window.requested),
            bytes,
            samples: shown.samples,
            agents: shown.of_agents().filter(|(_, seen)| seen.count() > 0).count() as u32,
            others: shown.others().take(1_000).collect(),
            cpu_us: cpu.map(us),
            reports: meanwhile.count() as u64,
            verdict,
            what,
            more,
        };
        (self.emit)(Event::Inspected(Box::new(inspected)));
    }
}
