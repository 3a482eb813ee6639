//! Records the timeline of a test, second by second.

use std::time::{Duration, Instant};

use crate::results::timeline::{Lag, Phase, ScrapeRecord, Second, Timeline, TimelineEvent};
use crate::tally::{Histograms, Tally};
use crate::usage::Usage;
use crate::worker_protocol::PageResult;

/// Minimum length of the incomplete last second. A shorter one is not recorded.
const MIN_SECOND: Duration = Duration::from_millis(100);

/// The timeline so far, and the second in progress.
pub(crate) struct TimelineRecorder {
    began: Instant,
    pub(crate) timeline: Timeline,
    /// Counts of all workers in the second in progress.
    pub(crate) second: Tally,
    /// Start of this second, and resource usage of the collectors at that time.
    second_began: Duration,
    usage: Option<Usage>,
    /// Name and start of the current phase.
    phase: (String, Duration),
    /// Number of agents on the last page of each worker's collector; `None` if unknown.
    shown: Vec<Option<u64>>,
}

impl TimelineRecorder {
    pub(crate) fn start() -> Self {
        Self {
            began: Instant::now(),
            timeline: Timeline::default(),
            second: Tally::default(),
            second_began: Duration::ZERO,
            usage: None,
            phase: ("starting".to_owned(), Duration::ZERO),
            shown: Vec::new(),
        }
    }

    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Begins a phase and ends the previous one. Returns the name of the previous one.
    pub(crate) fn begin_phase(&mut self, what: &str) -> String {
        let now = self.now();
        let (before, second_began) = std::mem::replace(&mut self.phase, (what.to_owned(), now));
        let took_seconds = (now - second_began).as_secs_f64();
        let phases = &mut self.timeline.phases;
        match phases.iter_mut().find(|phase| phase.what == before) {
            Some(phase) => phase.took_seconds += took_seconds,
            None => phases.push(Phase { what: before.clone(), took_seconds }),
        }
        before
    }

    /// Ends the timeline.
    pub(crate) fn take(&mut self) -> Timeline {
        self.begin_phase("");
        std::mem::take(&mut self.timeline)
    }

    /// Adds an event.
    pub(crate) fn record_event(&mut self, what: &str) {
        let at_seconds = self.now().as_secs_f64();
        self.timeline.events.push(TimelineEvent { at_seconds, what: what.to_owned() });
    }

    /// Adds a page that a worker fetched, or could not fetch.
    pub(crate) fn record_page(&mut self, worker: usize, page: &PageResult) {
        let whole = page.error.is_none();
        self.shown.resize(self.shown.len().max(worker + 1), None);
        self.shown[worker] = whole.then_some(page.agents.into());
        let took = Duration::from_micros(page.took_us);
        self.timeline.scrapes.push(ScrapeRecord {
            at_seconds: self.now().saturating_sub(took).as_secs_f64(),
            took_ms: took.as_secs_f64() * 1e3,
            bytes: page.bytes as usize,
            samples: whole.then_some(page.samples as usize),
        });
    }

    /// Adds a page of the only collector, with this many agents.
    pub(crate) fn record_scrape(&mut self, page: ScrapeRecord, agents: u64) {
        self.shown = vec![Some(agents)];
        self.timeline.scrapes.push(page);
    }

    /// Ends the current second.
    pub(crate) fn end_second(&mut self, present: u32, usage: Option<Usage>) {
        let now = self.now();
        let length = now - self.second_began;
        if length < MIN_SECOND {
            return;
        }
        let second = std::mem::take(&mut self.second);
        let cpu = |before: Usage, after: Usage| after.cpu.saturating_sub(before.cpu);
        let cpu = self.usage.zip(usage).map(|(before, after)| cpu(before, after));
        let shown: Vec<_> = self.shown.iter().flatten().collect();
        self.timeline.seconds.push(Second {
            at_seconds: now.as_secs_f64(),
            agents_connected: present.into(),
            agents_shown: (!shown.is_empty()).then(|| shown.into_iter().sum()),
            reports: second.reports,
            lag: lag(&second.times),
            collector_cores: cpu.map(|cpu| cpu.as_secs_f64() / length.as_secs_f64()),
            collector_resident_bytes: usage.map(|usage| usage.resident),
        });
        (self.second_began, self.usage) = (now, usage);
    }
}

fn lag(times: &Histograms) -> Option<Lag> {
    let Histograms { lag, written, own_lag, .. } = times;
    (lag.count() > 0).then(|| Lag {
        p50_ms: lag.quantile_ms(0.5),
        p99_ms: lag.quantile_ms(0.99),
        max_ms: lag.longest_ms(),
        written_p99_ms: written.quantile_ms(0.99),
        own_p99_ms: own_lag.quantile_ms(0.99),
    })
}
