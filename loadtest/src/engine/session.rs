//! An agent's session: what it hears, its reports, and how it ends. All of it goes into the ledger.

use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fleetgauge_agent::backoff::{Backoff, HOPELESS_WAIT};
use fleetgauge_agent::client::{Event as Heard, code_reason};
use fleetgauge_agent::identity::Nonces;
use fleetgauge_agent::schedule;
use fleetgauge_proto::Code;
use fleetgauge_proto::message::ByeReason;
use socket2::SockRef;

use super::agenda::Act;
use super::member::{Stage, Writing};
use super::pings::Unanswered;
use super::{Engine, Hosts};
use crate::orders::{BACK_WITHIN, Event, LEFT_FOR, Manner, Retry, Then};
use crate::tally::count;

/// The wait after a failure, before its half that is jitter.
const BACKOFF: Duration = Duration::from_secs(1);
/// The wait after a Reject that names no time.
const HOPELESS: Duration = Duration::from_secs(5);
/// One agent in so many that left for a while is back at once.
const BACK_AT_ONCE: u32 = 5;

impl<H: Hosts, E: FnMut(Event)> Engine<H, E> {
    /// The collector has spoken to an agent.
    pub(super) fn hear(&mut self, place: usize, mut bytes: &[u8]) {
        while self.members[place].stream.is_some() {
            let client = &mut self.members[place].client;
            match client.received(&self.profile, &mut bytes, &mut self.out) {
                Ok(None) => break,
                Ok(Some(Heard::Welcomed { interval, .. })) => self.welcomed(place, interval),
                Ok(Some(Heard::Pong { token })) => self.answered(place, token),
                Ok(Some(Heard::Drain { delay, .. })) => {
                    let (due, attempt) = (self.ledger.now() + delay, self.members[place].attempt);
                    self.agenda.add(due, place as u32, attempt, Act::LeaveDrained);
                }
                Ok(Some(Heard::Rejected { code, retry_after, .. })) => {
                    self.failed(place, code_reason(code), Some(retry_after));
                }
                Err(error) => self.lost(place, error.reason()),
            }
        }
        if !self.out.is_empty() {
            self.send(place);
        }
    }

    pub(super) fn welcomed(&mut self, place: usize, interval: Duration) {
        let now = self.ledger.now();
        let record = self.ledger.record(place);
        let away = record.gone_at().map(|gone| now.saturating_sub(gone));
        let member = &mut self.members[place];
        record.welcomed(member.client.sequence() + 1);
        let tally = &mut self.sample.counts;
        tally.welcomed += 1;
        let asked = Duration::from_millis(self.order.interval_ms.into());
        tally.other_interval += u64::from(interval != asked);
        tally.resumed += u64::from(self.tls.as_mut().is_some_and(|tls| tls.is_resumed(place)));
        tally.times.connect.add(now.saturating_sub(member.since()));
        if let Some(away) = away {
            tally.times.away.add(away);
            if std::mem::take(&mut member.returns) {
                let is_late = away > LEFT_FOR + BACK_WITHIN;
                *(if is_late { &mut tally.not_returned } else { &mut tally.returned }) += 1;
                self.sample.returning -= 1;
            }
        }
        self.sample.present += 1;
        self.greeted -= 1;
        member.stage = Stage::Welcomed;
        member.interval_ms = u32::try_from(interval.as_millis()).unwrap_or(u32::MAX);
        member.set_since(now);
        // Behind the Schema, if one is asked for: in one write.
        self.report(place, now, false);
    }

    /// Sends the report that was due then; `on_grid` if that was a tick of the agent's grid.
    pub(super) fn report(&mut self, place: usize, due: Duration, on_grid: bool) {
        let (number, woke) = (self.number(place), self.ledger.now());
        let member = &mut self.members[place];
        if !member.is_welcomed() {
            return;
        }
        let own_lag = woke.saturating_sub(due.max(member.since()));
        let sequence = member.client.sequence() + 1;
        let values = self.hosts.values(number, sequence);
        self.ledger.sending(place, sequence, woke);
        let reported = member.client.report(&self.profile, &values, unix_ms(), &mut self.out);
        if let Err(error) = reported {
            return self.lost(place, error.reason());
        }
        if self.is_pinged(place, sequence) {
            self.ping(place, Unanswered::new(sequence, due, own_lag));
        }
        let report = Writing { due, on_grid, own_lag };
        if self.send(place) {
            self.reported(place, report);
        } else if let Some(rare) = &mut self.members[place].rare {
            rare.report = Some(report);
        }
    }

    /// A report has been written; the next one is due a tick after it was.
    pub(super) fn reported(&mut self, place: usize, report: Writing) {
        let now = self.ledger.now();
        self.ledger.record(place).written(now);
        self.tally().written(now.saturating_sub(report.due), report.own_lag);
        let interval = self.members[place].interval();
        let next = if report.on_grid {
            report.due + interval
        } else {
            self.tick_after(place, report.due, interval)
        };
        let member = &mut self.members[place];
        member.set_since(now);
        self.agenda.add(next, place as u32, member.attempt, Act::Report);
        if member.client.sequence() == 1 {
            self.sample.reporting += 1;
            if self.sample.reporting == self.order.agents.count {
                // Somebody waits for this.
                self.emit_sample();
            }
        }
    }

    /// The first tick of an agent's grid after a moment. The grid begins with the run and takes its phase from
    /// the agent's name, as the real agent's does.
    fn tick_after(&self, place: usize, moment: Duration, interval: Duration) -> Duration {
        let phase = schedule::phase(&self.hosts.id(self.number(place)), interval);
        let Some(past) = moment.checked_sub(phase) else { return phase };
        let ticks = past.as_nanos() / interval.as_nanos().max(1) + 1;
        phase + interval * u32::try_from(ticks).unwrap_or(u32::MAX)
    }

    /// An agent's connection has failed, or the other end has broken the protocol.
    pub(super) fn lost(&mut self, place: usize, why: &str) {
        self.failed(place, why, None);
    }

    /// The collector has ended an agent's attempt or session; `asked` is what a Reject said about coming again.
    fn failed(&mut self, place: usize, why: &str, asked: Option<Option<Duration>>) {
        let (now, stage) = (self.ledger.now(), self.members[place].stage);
        self.out.clear();
        if stage == Stage::Away {
            return;
        }
        if stage == Stage::Welcomed {
            self.ledger.record(place).leaving(now, true);
            count(&mut self.tally().ended, why);
        } else {
            count(&mut self.tally().refused, why);
        }
        let wait = self.wait_after_failure(place, stage, why, asked);
        self.close(place);
        if !self.finished {
            self.dial_after(place, wait);
        }
    }

    fn wait_after_failure(
        &mut self,
        place: usize,
        stage: Stage,
        why: &str,
        asked: Option<Option<Duration>>,
    ) -> Duration {
        if self.order.backoff == Retry::Quick {
            let least = asked.map_or(BACKOFF / 2, |asked| asked.unwrap_or(HOPELESS));
            return least + (BACKOFF / 2).max(least / 10).mul_f64(self.rng.f64());
        }
        let rng = &mut self.rng;
        let backoff = self.backoffs.entry(place).or_insert_with(|| Backoff::new(rng.fork()));
        if stage == Stage::Welcomed {
            let interval = self.members[place].interval();
            let reports = self.ledger.record(place).reports_of_session();
            backoff.session_ended(interval * reports.saturating_sub(1), interval);
        }
        match asked {
            Some(Some(turn)) if why == Code::HandshakesFull.reason() => backoff.take_turn(turn),
            Some(asked) => backoff.obey(asked.unwrap_or(HOPELESS_WAIT)),
            None => {}
        }
        backoff.next_wait()
    }

    /// The collector has asked for it, and it is time.
    pub(super) fn leave_drained(&mut self, place: usize) {
        if self.members[place].is_welcomed() {
            self.depart(place, Manner::Bye, ByeReason::Drained, Then::Return);
        }
    }

    /// An agent leaves a session, or what might have become one. Whether it could say so: a Bye that the socket
    /// does not take is not waited for.
    pub(super) fn depart(
        &mut self,
        place: usize,
        manner: Manner,
        reason: ByeReason,
        then: Then,
    ) -> bool {
        let (now, in_session) = (self.ledger.now(), self.members[place].is_welcomed());
        if in_session {
            self.ledger.record(place).leaving(now, manner == Manner::Freeze);
        }
        let mut said = true;
        match manner {
            Manner::Freeze => {
                self.give_up_pings(place);
                if in_session {
                    self.members[place].stage = Stage::Frozen;
                }
                return true;
            }
            Manner::Bye => said = self.say_bye(place, reason),
            Manner::Fin => {}
            Manner::Reset => {
                let reset = Some(Duration::ZERO);
                let stream = self.members[place].stream.as_ref();
                stream.map(|stream| SockRef::from(stream).set_linger(reset));
            }
        }
        if in_session {
            let tally = self.tally();
            *(if manner == Manner::Bye { &mut tally.byes } else { &mut tally.resets }) += 1;
        }
        self.close(place);
        self.come_back(place, then);
        said
    }

    /// Whether the socket took it, or was broken anyhow.
    fn say_bye(&mut self, place: usize, reason: ByeReason) -> bool {
        let member = &mut self.members[place];
        let stuck = member.has_unwritten();
        member.client.bye(reason, &mut self.out);
        if let Some(tls) = &mut self.tls {
            tls.seal(place, &mut self.out);
        }
        let written = member.stream.as_mut().map(|stream| stream.write(&self.out));
        self.out.clear();
        !stuck && !matches!(written, Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Counts agents that left for a while and have not been welcomed again in time, once each.
    pub(super) fn count_not_returned(&mut self, now: Duration) {
        for (member, record) in self.members.iter_mut().zip(self.ledger.records()) {
            let overdue = |gone: Duration| now > gone + LEFT_FOR + BACK_WITHIN;
            if member.returns && record.gone_at().is_some_and(overdue) {
                member.returns = false;
                self.sample.counts.not_returned += 1;
                self.sample.returning -= 1;
            }
        }
    }

    fn come_back(&mut self, place: usize, then: Then) {
        let member = &mut self.members[place];
        match then {
            _ if self.finished => {}
            Then::StayAway => member.stays_away = true,
            Then::Return => {
                member.returns = true;
                self.sample.returning += 1;
                let at_once = self.rng.u32(..BACK_AT_ONCE) == 0;
                let share = if at_once { 0.0 } else { self.rng.f64() };
                self.dial_after(place, LEFT_FOR.mul_f64(share));
            }
            Then::Reboot => {
                member.boot = member.boot.wrapping_add(1);
                self.dial_after(place, Duration::ZERO);
            }
        }
    }

    /// What an agent's host and process are known by: the same for as long as the host is not started again.
    pub(super) fn nonces(&self, place: usize) -> Nonces {
        let boot = u64::from(self.members[place].boot);
        let seed = self.order.seed ^ boot.rotate_right(16);
        let nonce = u128::from(seed) << 64 | u128::from(self.number(place));
        let nonce = nonce.to_be_bytes();
        Nonces { host: nonce, process: nonce }
    }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
