//! The engine of a worker: simulates many agents on one thread with one poll, against one
//! collector.
//!
//! A task per agent would be simpler but take kilobytes each. Here an idle agent is an element of a
//! vector, a history and an entry of the timer queue, without a buffer.

mod commands;
mod connection;
mod fleet_model;
mod logs;
mod node_fleet;
mod page_fetcher;
mod pings;
mod session;
mod sim_agent;
mod sim_log;
mod timer_queue;
mod tls;

use std::collections::HashMap;
use std::io;
use std::sync::mpsc;
use std::time::Duration;

pub use fleet_model::{ChangedRows, FleetModel, ReportValues, TracedFleet};
use fleetgauge_agent::backoff::Backoff;
use fleetgauge_agent::client::ReportEncoder;
use fleetgauge_agent::identity::Nonces;
use fleetgauge_agent::profile::Profile;
use fleetgauge_proto::StaticLabels;
use mio::{Events, Poll, Token, Waker};
pub use node_fleet::NodeFleet;
use page_fetcher::{FetchedPage, JUDGE_DELAY, PageFetcher};
use pings::Flush;
use sim_agent::SimAgent;
use sim_log::SimLog;
use timer_queue::{Action, TimerQueue};
use tls::TlsClients;

use crate::judge::ground_truth::GroundTruth;
use crate::tally::Tally;
use crate::worker_protocol::{Command, Event, WorkerConfig, WorkerSample};

/// Token of the waker; an agent's index is the token of its socket.
const INPUT_TOKEN: Token = Token(usize::MAX);
/// Maximum socket events per poll.
const MAX_EVENTS_PER_POLL: usize = 1024;
/// Maximum due actions between two polls, so that an overloaded engine still reads its sockets.
const MAX_ACTIONS_PER_POLL: usize = 1024;
/// Size of the read buffer, in bytes: the collector's frames are small.
const READ_BYTES: usize = 4096;
/// How often counts are emitted and stuck agents are closed.
const SAMPLE_PERIOD: Duration = Duration::from_secs(1);

/// Input of the engine besides its sockets.
enum Input {
    Command(Command),
    Page(Box<FetchedPage>),
    Stop,
}

/// Controls a running engine from another thread.
#[derive(Clone)]
pub struct Handle {
    inputs: mpsc::Sender<Input>,
    waker: std::sync::Arc<Waker>,
}

impl Handle {
    /// Sends a command. Does nothing if the engine has stopped.
    pub fn send(&self, command: Command) {
        self.push(Input::Command(command));
    }

    /// Stops the engine. Its connections are closed without Bye.
    pub fn stop(&self) {
        self.push(Input::Stop);
    }

    fn push(&self, input: Input) {
        let _ = self.inputs.send(input);
        // Fails only if the engine has stopped.
        let _ = self.waker.wake();
    }
}

/// The ramp in progress: the engine connects agents at this rate.
#[derive(Debug, Clone, Copy)]
struct Ramp {
    began: Duration,
    per_second: f64,
    started: usize,
}

/// An engine. It passes its events to `emit`.
pub struct Engine<M, E> {
    config: WorkerConfig,
    model: M,
    emit: E,
    poll: Poll,
    inputs: mpsc::Receiver<Input>,
    page_fetcher: PageFetcher,
    agents: Vec<SimAgent>,
    /// Logs of the agents; none if they keep none.
    logs: Vec<SimLog>,
    truth: GroundTruth,
    timers: TimerQueue,
    /// Backoff of each agent whose last attempt failed, with
    /// [`BackoffPolicy::Agent`](crate::worker_protocol::BackoffPolicy::Agent).
    backoffs: HashMap<usize, Backoff>,
    /// TLS state of the agents; `None` without TLS.
    tls: Option<TlsClients>,
    /// Profile of the agent that is connecting; interval and catalogs are the same for all.
    profile: Profile,
    /// Values of the current report, and their encoder.
    report_values: ReportValues,
    encoder: ReportEncoder,
    rng: fastrand::Rng,
    /// Output of the current agent; empty between two agents.
    out: Vec<u8>,
    read_buffer: Vec<u8>,
    ramp: Option<Ramp>,
    /// Number of agents that are connecting.
    connecting: usize,
    /// Share of the agents that disconnects per second.
    churn: f64,
    next_churn: Duration,
    next_sample: Duration,
    /// Pages that wait to be judged.
    pages: Vec<FetchedPage>,
    /// Whether the last poll may not have returned all events.
    more_events_pending: bool,
    /// Everything that arrived before this time has been handled.
    handled_until: Duration,
    sample: WorkerSample,
    /// The flush in progress.
    flush: Option<Flush>,
    /// Whether all agents have disconnected for good.
    finished: bool,
}

impl<M: FleetModel, E: FnMut(Event)> Engine<M, E> {
    /// Creates an engine with this configuration, and the handle that controls it.
    ///
    /// # Errors
    /// If a system call fails, or the certificate authority is invalid.
    pub fn new(config: WorkerConfig, model: M, emit: E) -> io::Result<(Self, Handle)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), INPUT_TOKEN)?;
        let (sender, inputs) = mpsc::channel();
        let handle = Handle { inputs: sender, waker: std::sync::Arc::new(waker) };
        let interval = Duration::from_millis(config.interval_ms.into());
        let truth = GroundTruth::new(interval, config.scrape_timeout() + config.tolerance());
        let tls =
            config.tls.as_ref().map(|authority| TlsClients::new(authority, config.collector.ip()));
        let tls = tls.transpose().map_err(io::Error::other)?;
        let profile = Profile {
            id: model.id(config.agents.first),
            nonces: Nonces { host: [0; 16], process: [0; 16] },
            labels: StaticLabels::default(),
            interval,
            agent_version: env!("CARGO_PKG_VERSION"),
            catalogs: model.catalogs(),
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
            logs: Vec::new(),
            truth,
            timers: TimerQueue::default(),
            backoffs: HashMap::new(),
            tls,
            profile,
            report_values: ReportValues::default(),
            encoder: ReportEncoder::default(),
            out: Vec::new(),
            read_buffer: vec![0; READ_BYTES],
            ramp: None,
            connecting: 0,
            churn: 0.0,
            next_churn: Duration::MAX,
            next_sample: SAMPLE_PERIOD,
            pages: Vec::new(),
            more_events_pending: false,
            handled_until: Duration::ZERO,
            sample: WorkerSample::default(),
            flush: None,
            finished: false,
        };
        Ok((engine, handle))
    }

    /// Runs until [`Handle::stop`].
    ///
    /// # Errors
    /// If waiting for sockets fails.
    pub fn run(mut self) -> io::Result<()> {
        (self.emit)(Event::Ready);
        let mut events = Events::with_capacity(MAX_EVENTS_PER_POLL);
        loop {
            let polled_at = self.truth.now();
            match self.poll.poll(&mut events, Some(self.poll_timeout())) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in &events {
                if event.token() != INPUT_TOKEN {
                    self.socket_ready(event);
                }
            }
            self.events_handled(polled_at, events.iter().count());
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

    /// Records that the events of a poll at `polled_at` have been handled.
    fn events_handled(&mut self, polled_at: Duration, events: usize) {
        self.more_events_pending = events == MAX_EVENTS_PER_POLL;
        if !self.more_events_pending {
            self.handled_until = polled_at;
        }
    }

    /// Time until the next action, rounded up to the end of its batch.
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

    /// Runs all due work: ramp, timers, churn, the end of a flush, one page to judge, and once a
    /// second the sample.
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
        // An agent must not disconnect while its Pong may be unread.
        if !self.more_events_pending {
            self.apply_churn(now);
        }
        self.end_flush(now);
        // A page is judged only after all events before it have been handled.
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
        let sample = WorkerSample { counts, behind: self.behind(), ..self.sample };
        (self.emit)(Event::Sample(Box::new(sample)));
    }

    fn tally(&mut self) -> &mut Tally {
        &mut self.sample.counts
    }

    /// Number of the agent with this index.
    fn agent_number(&self, index: usize) -> u32 {
        self.config.agents.first + index as u32
    }
}
