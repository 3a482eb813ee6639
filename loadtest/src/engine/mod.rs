//! The engine of a worker: many simulated agents on one thread and one set of events, against one collector.
//!
//! A task an agent would be simpler and take some kilobytes of each. Here an idle agent is a member of a vector,
//! the record of what it did, and an entry of the agenda; it has no buffer and no timer.

mod commands;
mod connection;
mod fleet_model;
mod page_fetcher;
mod pings;
mod session;
mod sim_agent;
mod timer_queue;
mod tls;

use std::collections::HashMap;
use std::io;
use std::sync::mpsc;
use std::time::Duration;

pub use fleet_model::{FleetModel, TracedFleet};
use fleetgauge_agent::backoff::Backoff;
use fleetgauge_agent::identity::Nonces;
use fleetgauge_agent::profile::Profile;
use fleetgauge_proto::StaticLabels;
use mio::{Events, Poll, Token, Waker};
use page_fetcher::{FetchedPage, JUDGE_DELAY, PageFetcher};
use pings::Flush;
use sim_agent::SimAgent;
use timer_queue::{Action, TimerQueue};
use tls::TlsClients;

use crate::judge::ground_truth::GroundTruth;
use crate::tally::Tally;
use crate::worker_protocol::{Command, Event, WorkerConfig, WorkerSample};

/// Where commands make themselves felt; agents have their places as tokens.
const INPUT_TOKEN: Token = Token(usize::MAX);
/// Most sockets heard of at once.
const MAX_EVENTS_PER_POLL: usize = 1024;
/// Most acts between two looks at the sockets: an engine that cannot keep up still hears.
const MAX_ACTIONS_PER_POLL: usize = 1024;
/// Room for what comes from the collector, in bytes: its frames are small.
const READ_BYTES: usize = 4096;
/// Between two samples, and between two looks for agents that are stuck.
const SAMPLE_PERIOD: Duration = Duration::from_secs(1);

/// What comes to an engine from outside its sockets.
enum Input {
    Command(Command),
    Page(Box<FetchedPage>),
    Stop,
}

/// Whom to tell what an engine shall do.
#[derive(Clone)]
pub struct Handle {
    inputs: mpsc::Sender<Input>,
    waker: std::sync::Arc<Waker>,
}

impl Handle {
    /// Gives it a command. Nothing if it has ended.
    pub fn send(&self, command: Command) {
        self.push(Input::Command(command));
    }

    /// Ends it. Its connections are closed without a word.
    pub fn stop(&self) {
        self.push(Input::Stop);
    }

    fn push(&self, input: Input) {
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
pub struct Engine<M, E> {
    config: WorkerConfig,
    model: M,
    emit: E,
    poll: Poll,
    inputs: mpsc::Receiver<Input>,
    page_fetcher: PageFetcher,
    agents: Vec<SimAgent>,
    truth: GroundTruth,
    timers: TimerQueue,
    /// How those that failed come back, where they do as the real agent does.
    backoffs: HashMap<usize, Backoff>,
    /// How they speak TLS, if they do.
    tls: Option<TlsClients>,
    /// That of the agent that is connecting; its interval and schema are the same for all.
    profile: Profile,
    rng: fastrand::Rng,
    /// What is about to be written, empty between two agents.
    out: Vec<u8>,
    read_buffer: Vec<u8>,
    ramp: Option<Ramp>,
    /// Agents that are connecting.
    connecting: usize,
    /// The share of agents that leaves in a second, and when the next one does.
    churn: f64,
    next_churn: Duration,
    next_sample: Duration,
    /// Pages that wait to be judged.
    pages: Vec<FetchedPage>,
    /// More sockets may have something to say than were heard.
    more_events_pending: bool,
    sample: WorkerSample,
    /// The end of a part of the test that is under way.
    flush: Option<Flush>,
    /// All have left for good.
    finished: bool,
}

impl<M: FleetModel, E: FnMut(Event)> Engine<M, E> {
    /// An engine that carries the order out, and who tells it how.
    ///
    /// # Errors
    /// The system's.
    pub fn new(config: WorkerConfig, model: M, emit: E) -> io::Result<(Self, Handle)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), INPUT_TOKEN)?;
        let (sender, inputs) = mpsc::channel();
        let handle = Handle { inputs: sender, waker: std::sync::Arc::new(waker) };
        let interval = Duration::from_millis(config.interval_ms.into());
        let truth = GroundTruth::new(interval, config.tolerance());
        let tls =
            config.tls.as_ref().map(|authority| TlsClients::new(authority, config.collector.ip()));
        let tls = tls.transpose().map_err(io::Error::other)?;
        let profile = Profile {
            id: model.id(config.agents.first),
            nonces: Nonces { host: [0; 16], process: [0; 16] },
            labels: StaticLabels::default(),
            interval,
            agent_version: env!("CARGO_PKG_VERSION"),
            schema: model.schema(),
        };
        let engine = Self {
            page_fetcher: PageFetcher::start(&config, truth.epoch(), handle.clone())?,
            rng: fastrand::Rng::with_seed(config.seed ^ u64::from(config.agents.first)),
            config,
            model,
            emit,
            poll,
            inputs,
            agents: Vec::new(),
            truth,
            timers: TimerQueue::default(),
            backoffs: HashMap::new(),
            tls,
            profile,
            out: Vec::new(),
            read_buffer: vec![0; READ_BYTES],
            ramp: None,
            connecting: 0,
            churn: 0.0,
            next_churn: Duration::MAX,
            next_sample: SAMPLE_PERIOD,
            pages: Vec::new(),
            more_events_pending: false,
            sample: WorkerSample::default(),
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
        let mut events = Events::with_capacity(MAX_EVENTS_PER_POLL);
        loop {
            match self.poll.poll(&mut events, Some(self.poll_timeout())) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            self.more_events_pending = events.iter().count() == MAX_EVENTS_PER_POLL;
            for event in &events {
                if event.token() != INPUT_TOKEN {
                    self.socket_ready(event);
                }
            }
            while let Ok(input) = self.inputs.try_recv() {
                match input {
                    Input::Command(command) => self.handle_command(command),
                    Input::Page(page) => self.pages.push(*page),
                    Input::Stop => return Ok(()),
                }
            }
            self.run_due();
        }
    }

    /// How long to wait for sockets: until the next thing is due, and then to the end of that tick.
    fn poll_timeout(&self) -> Duration {
        let now = self.truth.now();
        let tick = Duration::from_millis(self.config.batch_ms.max(1).into());
        let soonest = [
            self.timers.next(),
            self.ramp.map(|_| now + tick),
            Some(self.next_churn),
            Some(self.next_sample),
            self.pages.first().map(|page| page.window.ended + JUDGE_DELAY),
            self.flush.map(|flush| flush.next),
        ];
        let soonest = soonest.into_iter().flatten().min().unwrap_or(now);
        let ticks = soonest.as_nanos().div_ceil(tick.as_nanos());
        let end = tick.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX));
        end.saturating_sub(now)
    }

    /// Does what is due.
    fn run_due(&mut self) {
        self.continue_ramp();
        for _ in 0..MAX_ACTIONS_PER_POLL {
            let Some(timer) = self.timers.due_by(self.truth.now()) else { break };
            let index = timer.agent as usize;
            if self.agents[index].attempt != timer.attempt {
                continue;
            }
            match timer.action {
                Action::Dial => self.dial(index),
                Action::Report => self.report(index, timer.due(), true),
                Action::DisconnectDrained => self.disconnect_drained(index),
            }
        }
        let now = self.truth.now();
        self.apply_churn(now);
        self.end_flush(now);
        // Only who has heard all that was said before a page came can judge it.
        let is_due = |page: &FetchedPage| page.window.ended + JUDGE_DELAY <= now;
        if !self.more_events_pending && self.pages.first().is_some_and(is_due) {
            let page = self.pages.remove(0);
            self.judge_page(page);
        }
        if self.next_sample <= now {
            self.next_sample = now + SAMPLE_PERIOD;
            self.close_stuck(now);
            self.count_overdue_returns(now);
            self.emit_sample();
        }
    }

    fn emit_sample(&mut self) {
        let counts = std::mem::take(&mut self.sample.counts);
        let sample = WorkerSample { counts, ..self.sample };
        (self.emit)(Event::Sample(Box::new(sample)));
    }

    fn tally(&mut self) -> &mut Tally {
        &mut self.sample.counts
    }

    /// The number of the agent at this place.
    fn agent_number(&self, index: usize) -> u32 {
        self.config.agents.first + index as u32
    }
}
