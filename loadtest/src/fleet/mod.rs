//! The simulated fleet as the parent sees it: its collectors, its workers, and their total counts.

mod commands;
mod exclusions;
pub(crate) mod phases;
mod timeline_recorder;
mod worker_state;

use std::time::Duration;

use anyhow::bail;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use crate::agent_account::AgentAccount;
use crate::child::collector::CollectorProcess;
use crate::child::worker::{WorkerMessage, WorkerProcess};
use crate::judge::finding::Finding;
use crate::judge::verdict::Verdict;
use crate::pki::TestPki;
use crate::plan::{CollectorEndpoint, Plan, TargetCollectors};
use crate::progress::Progress;
use crate::results::timeline::{ScrapeRecord, Timeline};
use crate::tally::Tally;
use crate::usage::{self, Usage};
use crate::worker_protocol::{Event, PageResult, WorkerConfig, WorkerSample};
use timeline_recorder::TimelineRecorder;
use worker_state::WorkerState;

/// Maximum queued messages from workers; beyond it workers block.
const MESSAGE_QUEUE: usize = 1_024;
/// How long workers may take to start or to carry out a command.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
/// How long workers may take to deliver a page in addition to the timeout of its scrape.
const PAGE_MARGIN: Duration = Duration::from_secs(10);

/// A simulated fleet.
pub struct Fleet {
    /// Collectors that the test started.
    pub collectors: Vec<CollectorProcess>,
    /// Certificate authority of collectors and agents; `None` without TLS.
    pki: Option<TestPki>,
    workers: Vec<WorkerState>,
    messages: mpsc::Receiver<(usize, WorkerMessage)>,
    /// Sender for new workers.
    message_sender: mpsc::Sender<(usize, WorkerMessage)>,
    timeline: TimelineRecorder,
    tick: Interval,
    /// A report is late if the collector processes it more than this after its due time, without
    /// the delays of the load test itself.
    pub(crate) late: Duration,
    /// Extra time for pages to show a change, in addition to the judge's tolerances.
    pub(crate) tolerance: Duration,
    /// How long a worker may take to deliver a page.
    page_timeout: Duration,
    /// Counts of all workers since the start of the test.
    pub total: Tally,
    /// Counts of the phase in which the agents connect.
    pub ramp: Tally,
    /// Findings so far.
    pub verdict: Verdict,
    /// Results of pages, with their workers, until the caller takes them.
    pub received_pages: Vec<(usize, PageResult)>,
    /// Ground truth of agents with logs, until the caller takes it.
    pub accounts: Vec<AgentAccount>,
    /// Progress bar, if one is shown.
    pub progress: Option<Progress>,
}

impl Fleet {
    /// Starts the collectors of a plan, and a worker for each.
    ///
    /// # Errors
    /// If a process does not start.
    pub async fn start(plan: &Plan) -> anyhow::Result<Self> {
        let mut fleet = Self::without_workers(plan).await?;
        for config in plan.worker_configs(&fleet.endpoints()) {
            fleet.start_worker(&config, &[]).await?;
        }
        fleet.wait_until_ready().await?;
        Ok(fleet)
    }

    /// Starts the collectors of a plan.
    ///
    /// # Errors
    /// If a process does not start.
    pub async fn without_workers(plan: &Plan) -> anyhow::Result<Self> {
        let timeline = TimelineRecorder::start();
        let pki = plan.tls.then(TestPki::new).transpose()?;
        let mut flags = plan.collector_flags();
        flags.extend(pki.iter().flat_map(TestPki::flags));
        let collectors = match &plan.target {
            TargetCollectors::Started(count) => {
                CollectorProcess::start(*count, &flags, plan.forward.clock_offset).await?
            }
            TargetCollectors::Running(_) => Vec::new(),
        };
        let (message_sender, messages) = mpsc::channel(MESSAGE_QUEUE);
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            collectors,
            pki,
            messages,
            message_sender,
            timeline,
            workers: Vec::new(),
            tick,
            late: plan.late,
            tolerance: plan.tolerance,
            page_timeout: plan.scrape_timeout() + PAGE_MARGIN,
            total: Tally::default(),
            ramp: Tally::default(),
            verdict: Verdict::new(),
            received_pages: Vec::new(),
            accounts: Vec::new(),
            progress: None,
        })
    }

    /// Addresses and process ids of the collectors of the test, for workers.
    #[must_use]
    pub fn endpoints(&self) -> Vec<CollectorEndpoint> {
        self.collectors.iter().map(CollectorProcess::endpoint).collect()
    }

    /// Starts a worker, wrapped in the command line `prefix` if there is one. Returns its index.
    ///
    /// # Errors
    /// If the process does not start.
    pub async fn start_worker(
        &mut self,
        config: &WorkerConfig,
        prefix: &[String],
    ) -> anyhow::Result<usize> {
        let index = self.workers.len();
        let config = WorkerConfig { tls: self.pki.as_ref().map(TestPki::ca), ..config.clone() };
        let worker =
            WorkerProcess::start(&config, prefix, index, self.message_sender.clone()).await?;
        self.workers.push(WorkerState::new(worker));
        Ok(index)
    }

    /// Whether a worker has accepted its configuration.
    #[must_use]
    pub fn is_ready(&self, worker: usize) -> bool {
        self.workers[worker].ready
    }

    /// Waits until all workers have accepted their configuration.
    ///
    /// # Errors
    /// If a worker has exited, or is not done in time.
    pub async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let all_ready = |fleet: &Self| fleet.workers.iter().all(|state| state.ready);
        if !self.wait_until(Instant::now() + COMMAND_TIMEOUT, all_ready).await? {
            bail!("a worker did not start within {} s", COMMAND_TIMEOUT.as_secs());
        }
        Ok(())
    }

    /// Number of workers.
    #[must_use]
    pub fn worker_count(&self) -> usize {
        self.workers.len()
    }

    /// Adds an event to the timeline.
    pub fn record_event(&mut self, what: &str) {
        self.timeline.record_event(what);
    }

    /// Begins a phase and ends the previous one. Returns the name of the previous one. Phases with
    /// the same name are added up.
    pub fn begin_phase(&mut self, what: &str) -> String {
        self.timeline.begin_phase(what)
    }

    /// Takes the timeline so far.
    #[must_use]
    pub fn take_timeline(&mut self) -> Timeline {
        self.timeline.take()
    }

    /// Adds a page to the timeline that was not fetched by a worker and shows this many agents.
    pub fn record_scrape(&mut self, page: ScrapeRecord, agents: u64) {
        self.timeline.record_scrape(page, agents);
    }

    /// Counts of a worker so far.
    #[must_use]
    pub fn counts(&self, worker: usize) -> &Tally {
        &self.workers[worker].counts
    }

    /// Time since the fleet was started.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.timeline.now()
    }

    /// Agents in a session, as of the last second.
    #[must_use]
    pub fn present(&self) -> u32 {
        self.workers.iter().map(|state| state.last_sample.present).sum()
    }

    /// Agents that disconnected for a while and may still return in time, as of the last second.
    #[must_use]
    pub fn returning(&self) -> u32 {
        self.workers.iter().map(|state| state.last_sample.returning).sum()
    }

    /// Agents with reports that their collector should have acknowledged, as of the last second.
    #[must_use]
    pub fn behind(&self) -> u32 {
        self.workers.iter().map(|state| state.last_sample.behind).sum()
    }

    /// Agents that have reported at least once.
    #[must_use]
    pub fn reporting(&self) -> u32 {
        self.workers.iter().map(|state| state.last_sample.reporting).sum()
    }

    /// CPU time and memory of the collectors that the test started. `None` if there are none, or if
    /// the system does not provide them.
    #[must_use]
    pub fn collectors_usage(&self) -> Option<Usage> {
        usage::sum(self.collectors.iter().map(CollectorProcess::pid))
    }

    /// CPU time and memory of the workers.
    #[must_use]
    pub fn workers_usage(&self) -> Option<Usage> {
        usage::sum(
            self.workers.iter().filter(|state| !state.killed).map(|state| state.process.pid()),
        )
    }

    /// Handles messages of workers until `done` or the deadline. Returns whether it is done.
    ///
    /// # Errors
    /// If a worker has exited.
    pub async fn wait_until(
        &mut self,
        deadline: Instant,
        done: impl Fn(&Self) -> bool,
    ) -> anyhow::Result<bool> {
        while !done(self) {
            tokio::select! {
                message = self.messages.recv() => match message {
                    Some((worker, message)) => self.handle_message(worker, message)?,
                    None => bail!("there are no workers"),
                },
                _ = self.tick.tick() => self.end_second(),
                () = sleep_until(deadline) => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Handles messages of workers for a while.
    ///
    /// # Errors
    /// If a worker has exited.
    pub async fn wait(&mut self, time: Duration) -> anyhow::Result<()> {
        self.wait_until(Instant::now() + time, |_| false).await.map(drop)
    }

    fn handle_message(&mut self, worker: usize, message: WorkerMessage) -> anyhow::Result<()> {
        let state = &mut self.workers[worker];
        match message {
            WorkerMessage::Exited(_) if state.killed => state.last_sample.present = 0,
            WorkerMessage::Exited(stderr_tail) => {
                bail!("worker {worker} exited during the run: {stderr_tail}")
            }
            WorkerMessage::Event(event) => self.handle_event(worker, *event),
        }
        Ok(())
    }

    fn handle_event(&mut self, worker: usize, event: Event) {
        let state = &mut self.workers[worker];
        match event {
            Event::Ready => state.ready = true,
            Event::Sample(sample) => {
                self.total.merge(&sample.counts);
                state.counts.merge(&sample.counts);
                state.phase_counts.merge(&sample.counts);
                self.timeline.second.merge(&sample.counts);
                state.last_sample = WorkerSample { counts: Tally::default(), ..*sample };
                self.show_progress();
            }
            Event::Page(mut page) => {
                state.pending_pages = state.pending_pages.saturating_sub(usize::from(!page.more));
                self.verdict.merge(std::mem::take(&mut page.verdict));
                self.timeline.record_page(worker, &page);
                self.received_pages.push((worker, *page));
            }
            Event::Account(account) => self.accounts.push(*account),
            Event::CommandDone => state.pending_commands = state.pending_commands.saturating_sub(1),
            Event::Finished { stuck } => state.stuck_agents = Some(stuck),
        }
    }

    fn show_progress(&self) {
        if let Some(progress) = &self.progress {
            let last = self.timeline.timeline.seconds.last();
            progress.show(self.reporting(), self.present(), &self.total, last);
        }
    }

    /// Adds a second to the timeline.
    fn end_second(&mut self) {
        let (present, collectors) = (self.present(), self.collectors_usage());
        self.timeline.end_second(present, collectors);
    }

    /// Stops the workers and the collectors of the test. Agents that stay connected and collectors
    /// that fail are findings.
    ///
    /// # Errors
    /// If a worker has exited, or does not send its counts.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.begin_phase("stopping");
        self.end_transition("at the end").await?;
        self.check_required();
        // Without a final message, all agents that were in a session count as stuck.
        let stuck = |state: &WorkerState| state.stuck_agents.unwrap_or(state.last_sample.present);
        let stuck: u32 = self.workers.iter().map(stuck).sum();
        if stuck > 0 {
            self.verdict.add("at the end", [Finding::NotDisconnected { agents: stuck }]);
        }
        self.workers.clear();
        for collector in &mut self.collectors {
            collector.request_stop();
        }
        for collector in std::mem::take(&mut self.collectors) {
            if let Err(how) = collector.stop().await {
                self.verdict.add("at the end", [Finding::CollectorFailed { how }]);
            }
        }
        Ok(())
    }
}
