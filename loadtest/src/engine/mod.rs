//! The engine of a worker: many simulated agents on one thread and one set of events, against one collector.
//!
//! A task an agent would be simpler and take some kilobytes of each. Here an idle agent is a member of a vector,
//! the record of what it did, and an entry of the agenda; it has no buffer and no timer.

mod agenda;
mod commands;
mod connection;
mod hosts;
mod inspector;
mod member;
mod pings;
mod session;
mod tls;

use std::collections::HashMap;
use std::io;
use std::sync::mpsc;
use std::time::Duration;

use agenda::{Act, Agenda};
use fleetgauge_agent::backoff::Backoff;
use fleetgauge_agent::identity::Nonces;
use fleetgauge_agent::profile::Profile;
use fleetgauge_proto::StaticLabels;
pub use hosts::{Hosts, Marked};
use inspector::{HEARSAY, Inspector, Page};
use member::Member;
use mio::{Events, Poll, Token, Waker};
use pings::Flush;
use tls::Tls;

use crate::ledger::Ledger;
use crate::orders::{Command, Event, Order, Sample};
use crate::tally::Tally;

/// Where commands make themselves felt; agents have their places as tokens.
const INPUT: Token = Token(usize::MAX);
/// Most sockets heard of at once.
const EVENTS: usize = 1024;
/// Most acts between two looks at the sockets: an engine that cannot keep up still hears.
const BATCH: usize = 1024;
/// Room for what comes from the collector, in bytes: its frames are small.
const READ_BYTES: usize = 4096;
/// Between two samples, and between two looks for agents that are stuck.
const SECOND: Duration = Duration::from_secs(1);

/// What comes to an engine from outside its sockets.
enum Input {
    Command(Command),
    Page(Box<Page>),
    End,
}

/// Whom to tell what an engine shall do.
#[derive(Clone)]
pub struct Handle {
    inputs: mpsc::Sender<Input>,
    waker: std::sync::Arc<Waker>,
}

impl Handle {
    /// Gives it a command. Nothing if it has ended.
    pub fn tell(&self, command: Command) {
        self.put(Input::Command(command));
    }

    /// Ends it. Its connections are closed without a word.
    pub fn end(&self) {
        self.put(Input::End);
    }

    fn put(&self, input: Input) {
        let _ = self.inputs.send(input);
        // It fails only if the other end is gone.
        let _ = self.waker.wake();
    }
}

/// Agents being started.
#[derive(Debug, Clone, Copy)]
struct Ramp {
    began: Duration,
    per_second: f64,
    started: usize,
}

/// An engine. What it has to tell goes to `emit`.
pub struct Engine<H, E> {
    order: Order,
    hosts: H,
    emit: E,
    poll: Poll,
    inputs: mpsc::Receiver<Input>,
    inspector: Inspector,
    members: Vec<Member>,
    ledger: Ledger,
    agenda: Agenda,
    /// How those that failed come back, where they do as the real agent does.
    backoffs: HashMap<usize, Backoff>,
    /// How they speak TLS, if they do.
    tls: Option<Tls>,
    /// That of the agent that is connecting; its interval and schema are the same for all.
    profile: Profile,
    rng: fastrand::Rng,
    /// What is about to be written, empty between two agents.
    out: Vec<u8>,
    scratch: Vec<u8>,
    ramp: Option<Ramp>,
    /// Agents that are connecting.
    greeted: usize,
    /// The share of agents that leaves in a second, and when the next one does.
    churn: f64,
    next_departure: Duration,
    next_second: Duration,
    /// Pages that wait to be judged.
    pages: Vec<Page>,
    /// More sockets may have something to say than were heard.
    behind: bool,
    /// Everything that had come by then has been heard.
    heard_until: Duration,
    sample: Sample,
    /// The end of a part of the test that is under way.
    flush: Option<Flush>,
    /// All have left for good.
    finished: bool,
}

impl<H: Hosts, E: FnMut(Event)> Engine<H, E> {
    /// An engine that carries the order out, and who tells it how.
    ///
    /// # Errors
    /// The system's.
    pub fn new(order: Order, hosts: H, emit: E) -> io::Result<(Self, Handle)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), INPUT)?;
        let (sender, inputs) = mpsc::channel();
        let handle = Handle { inputs: sender, waker: std::sync::Arc::new(waker) };
        let interval = Duration::from_millis(order.interval_ms.into());
        let ledger = Ledger::new(interval, order.tolerance());
        let tls = order.tls.as_ref().map(|authority| Tls::new(authority, order.collector.ip()));
        let tls = tls.transpose().map_err(io::Error::other)?;
        let profile = Profile {
            id: hosts.id(order.agents.first),
            nonces: Nonces { host: [0; 16], process: [0; 16] },
            labels: StaticLabels::default(),
            interval,
            agent_version: env!("CARGO_PKG_VERSION"),
            schema: hosts.schema(),
        };
        let engine = Self {
            inspector: Inspector::start(&order, ledger.epoch(), handle.clone())?,
            rng: fastrand::Rng::with_seed(order.seed ^ u64::from(order.agents.first)),
            order,
            hosts,
            emit,
            poll,
            inputs,
            members: Vec::new(),
            ledger,
            agenda: Agenda::default(),
            backoffs: HashMap::new(),
            tls,
            profile,
            out: Vec::new(),
            scratch: vec![0; READ_BYTES],
            ramp: None,
            greeted: 0,
            churn: 0.0,
            next_departure: Duration::MAX,
            next_second: SECOND,
            pages: Vec::new(),
            behind: false,
            heard_until: Duration::ZERO,
            sample: Sample::default(),
            flush: None,
            finished: false,
        };
        Ok((engine, handle))
    }

    /// Runs until it is told to end.
    ///
    /// # Errors
    /// The system's, of waiting for sockets.
    pub fn run(mut self) -> io::Result<()> {
        (self.emit)(Event::Ready);
        let mut events = Events::with_capacity(EVENTS);
        loop {
            let asked = self.ledger.now();
            match self.poll.poll(&mut events, Some(self.pause())) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in &events {
                if event.token() != INPUT {
                    self.ready(event);
                }
            }
            self.heard(asked, events.iter().count());
            while let Ok(input) = self.inputs.try_recv() {
                match input {
                    Input::Command(command) => self.obey(command),
                    Input::Page(page) => self.pages.push(*page),
                    Input::End => return Ok(()),
                }
            }
            self.work();
        }
    }

    /// So many sockets were heard of, which were asked at that moment.
    fn heard(&mut self, asked: Duration, sockets: usize) {
        self.behind = sockets == EVENTS;
        if !self.behind {
            self.heard_until = asked;
        }
    }

    /// How long to wait for sockets: until the next thing is due, and then to the end of that tick.
    fn pause(&self) -> Duration {
        let now = self.ledger.now();
        let tick = Duration::from_millis(self.order.tick_ms.max(1).into());
        let soonest = [
            self.agenda.next(),
            self.ramp.map(|_| now + tick),
            Some(self.next_departure),
            Some(self.next_second),
            self.pages.first().map(|page| page.window.ended + HEARSAY),
            self.flush.map(|flush| flush.next),
        ];
        let soonest = soonest.into_iter().flatten().min().unwrap_or(now);
        let ticks = soonest.as_nanos().div_ceil(tick.as_nanos());
        let end = tick.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX));
        end.saturating_sub(now)
    }

    /// Does what is due.
    fn work(&mut self) {
        self.start_more();
        for _ in 0..BATCH {
            let Some(entry) = self.agenda.due_by(self.ledger.now()) else { break };
            let place = entry.agent as usize;
            if self.members[place].attempt != entry.attempt {
                continue;
            }
            match entry.act {
                Act::Dial => self.dial(place),
                Act::Report => self.report(place, entry.due(), true),
                Act::LeaveDrained => self.leave_drained(place),
            }
        }
        let now = self.ledger.now();
        // A Pong that lies unread when its agent leaves would be missed.
        if !self.behind {
            self.let_some_leave(now);
        }
        self.end_flush(now);
        // Only who has heard all that was said before a page came can judge it.
        let is_due = |page: &Page| page.window.ended + HEARSAY <= now;
        if !self.behind && self.pages.first().is_some_and(is_due) {
            let page = self.pages.remove(0);
            self.judge(page);
        }
        if self.next_second <= now {
            self.next_second = now + SECOND;
            self.drop_the_stuck(now);
            self.count_not_returned(now);
            self.emit_sample();
        }
    }

    fn emit_sample(&mut self) {
        let counts = std::mem::take(&mut self.sample.counts);
        let sample = Sample { counts, ..self.sample };
        (self.emit)(Event::Sample(Box::new(sample)));
    }

    fn tally(&mut self) -> &mut Tally {
        &mut self.sample.counts
    }

    /// The number of the agent at this place.
    fn number(&self, place: usize) -> u32 {
        self.order.agents.first + place as u32
    }
}
