//! An agent's socket: connecting, reading, writing. There is a read buffer for all, and none to write to but
//! for an agent whose socket takes no more.

use std::io::{self, Read, Write};
use std::time::Duration;

use mio::event::Event as Readiness;
use mio::{Interest, Token};

use super::agenda::Act;
use super::member::Stage;
use super::tls::Opened;
use super::{Engine, Hosts};
use crate::dial::dial;
use crate::orders::Event;

/// How long Welcome may take: what an agent would wait.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a write may make no progress.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

impl<H: Hosts, E: FnMut(Event)> Engine<H, E> {
    /// Connects an agent that is away and says Hello.
    pub(super) fn dial(&mut self, place: usize) {
        let (number, now) = (self.number(place), self.ledger.now());
        let member = &mut self.members[place];
        if self.finished || member.stage != Stage::Away {
            return;
        }
        member.stays_away = false;
        member.attempt = member.attempt.wrapping_add(1);
        member.set_since(now);
        let dialed = dial(number, self.order.collector).and_then(|mut stream| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(place), interest)?;
            Ok(stream)
        });
        member.stage = Stage::Greeted;
        self.greeted += 1;
        match dialed {
            Ok(stream) => member.stream = Some(stream),
            Err(error) => return self.lost(place, &cause(&error)),
        }
        let (id, nonces) = (self.hosts.id(number), self.nonces(place));
        if let Some(tls) = &mut self.tls
            && tls.connect(place, &id).is_err()
        {
            return self.lost(place, "no_certificate");
        }
        (self.profile.id, self.profile.nonces) = (id, nonces);
        self.profile.labels = self.hosts.labels(number);
        self.members[place].client.start(&self.profile, None, &mut self.out);
        self.send(place);
    }

    /// Something has happened to an agent's socket.
    pub(super) fn ready(&mut self, readiness: &Readiness) {
        let place = readiness.token().0;
        if self.members[place].stage == Stage::Frozen {
            return;
        }
        if readiness.is_readable() || readiness.is_error() {
            self.read(place, readiness.is_read_closed());
        }
        if readiness.is_writable() && self.members[place].has_unwritten() && self.send(place) {
            let member = &mut self.members[place];
            let report = member.rare.as_mut().and_then(|rare| rare.report.take());
            member.tidy();
            if let Some(report) = report {
                self.reported(place, report);
            }
        }
    }

    /// Reads what is there: to the end where one is announced, or else once.
    fn read(&mut self, place: usize, to_the_end: bool) {
        let mut scratch = std::mem::take(&mut self.scratch);
        while let Some(stream) = &mut self.members[place].stream {
            match stream.read(&mut scratch) {
                Ok(0) => self.lost(place, "closed"),
                Ok(read) => {
                    self.open(place, &scratch[..read]);
                    // What comes after a short read makes itself felt anew.
                    if read < scratch.len() && !to_the_end {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => self.lost(place, &cause(&error)),
            }
        }
        self.scratch = scratch;
    }

    /// Hears what came, which may be under TLS.
    fn open(&mut self, place: usize, bytes: &[u8]) {
        let Some(tls) = &mut self.tls else { return self.hear(place, bytes) };
        match tls.open(place, bytes) {
            Opened::Said(said) => self.hear(place, &said),
            Opened::Plain => {
                tls.close(place);
                self.hear(place, bytes);
            }
            Opened::Broken => self.lost(place, "tls"),
        }
        if self.tls.as_mut().is_some_and(|tls| tls.has_to_say(place)) {
            self.send(place);
        }
    }

    /// Writes out what is to be sent, and keeps what the socket does not take. Whether it took all.
    pub(super) fn send(&mut self, place: usize) -> bool {
        let now = self.ledger.now();
        if let Some(tls) = &mut self.tls {
            tls.seal(place, &mut self.out);
        }
        let member = &mut self.members[place];
        let waited = member.has_unwritten();
        if let Some(rare) = member.rare.as_mut().filter(|_| waited) {
            // What came before goes first.
            rare.unwritten.append(&mut self.out);
            std::mem::swap(&mut rare.unwritten, &mut self.out);
        }
        let written = match member.stream.as_mut().map(|stream| stream.write(&self.out)) {
            Some(Ok(written)) => written,
            Some(Err(error)) if !is_later(&error) => {
                self.out.clear();
                if error.kind() != io::ErrorKind::ConnectionRefused {
                    // Why the other end has closed may lie here unread.
                    self.read(place, true);
                }
                self.lost(place, &cause(&error));
                return false;
            }
            _ => 0,
        };
        let done = written == self.out.len();
        if !done {
            let rare = member.rare.get_or_insert_default();
            if written > 0 || !waited {
                rare.stuck_since = now;
            }
            rare.unwritten.extend_from_slice(&self.out[written..]);
        }
        self.out.clear();
        done
    }

    /// Gives up agents whose Welcome does not come or whose collector takes nothing.
    pub(super) fn drop_the_stuck(&mut self, now: Duration) {
        for place in 0..self.members.len() {
            let member = &self.members[place];
            if member.stage == Stage::Greeted && now > member.since() + WELCOME_TIMEOUT {
                self.lost(place, "no_welcome");
            } else if member.has_unwritten()
                && member.rare.as_ref().is_some_and(|rare| now > rare.stuck_since + WRITE_TIMEOUT)
            {
                self.lost(place, "timed_out");
            }
        }
    }

    /// Closes an agent's connection, if it has one.
    pub(super) fn close(&mut self, place: usize) {
        self.give_up_pings(place);
        let member = &mut self.members[place];
        member.rare = None;
        drop(member.stream.take());
        if let Some(tls) = &mut self.tls {
            tls.close(place);
        }
        let stage = std::mem::take(&mut member.stage);
        self.greeted -= usize::from(stage == Stage::Greeted);
        if matches!(stage, Stage::Welcomed | Stage::Frozen) {
            let now = self.ledger.now();
            self.ledger.record(place).gone(now);
            self.sample.present -= 1;
        }
    }

    /// Has it connect after a wait.
    pub(super) fn dial_after(&mut self, place: usize, wait: Duration) {
        let attempt = self.members[place].attempt;
        self.agenda.add(self.ledger.now() + wait, place as u32, attempt, Act::Dial);
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected | io::ErrorKind::Interrupted
    )
}

/// The stable name of a system's error.
fn cause(error: &io::Error) -> String {
    error.kind().to_string().replace(' ', "_")
}
