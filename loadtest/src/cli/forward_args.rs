//! Flags of `forward`.

use std::time::Duration;

use clap::{Args, ValueEnum};
use fleetgauge_collector::config::Compression;

use super::help_headings::{BOUNDS, COLLECTORS, SCENARIO};
use super::scenario_args::ScenarioFleetArgs;
use super::value_parsers as parse;
use crate::engine_size::EngineSize;
use crate::fault::judge_fault::JudgeFault;
use crate::plan::ForwardNeeds;

/// Maximum of `--backlog`: less than the default of the collectors' `max_age`.
const MAX_BACKLOG: Duration = Duration::from_secs(5 * 3600);
/// Time for which agents report besides `--duration` and `--recovery-timeout`: while they connect
/// and leave.
const EXTRA_TIME: Duration = Duration::from_secs(60);
/// Samples of a series besides those of reports: stale markers.
const EXTRA_REPORTS: u32 = 8;

/// Trouble between agents, collectors and engine that must not lose a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Trouble {
    /// The engine is down: connections are refused
    EngineAway,
    /// The engine takes half a second for each request
    EngineSlow,
    /// The engine answers 429 with Retry-After
    #[value(name = "engine-429")]
    Engine429,
    /// The engine answers 500
    #[value(name = "engine-500")]
    Engine500,
    /// The engine never answers
    EngineHangs,
    /// The engine stores samples, but the connection ends before the answer
    EngineCut,
    /// The agents lose their network
    AgentsCut,
    /// All collectors are killed and restarted
    CollectorKilled,
    /// Agents move to another collector and back
    AgentsMoved,
    /// Each collector in turn is drained, restarted, and gets agents back
    CollectorsRestarted,
    /// The engine refuses one series with 400, from start to end
    PoisonedSeries,
}

/// Settings of `forward`.
#[derive(Debug, Clone, Args)]
pub struct ForwardArgs {
    /// Settings of the fleet.
    #[command(flatten)]
    pub fleet: ScenarioFleetArgs,
    /// Start N collectors and spread the agents over them
    #[arg(long, value_name = "N", default_value = "1", help_heading = COLLECTORS)]
    #[arg(value_parser = parse::collectors)]
    pub collectors: usize,
    /// Set the clocks of all collectors but the first ahead (requires libfaketime)
    #[arg(long, value_name = "DURATION", help_heading = COLLECTORS)]
    #[arg(value_parser = parse::duration)]
    pub clock_offset: Option<Duration>,
    /// Compression of requests to the engine
    #[arg(long, value_name = "COMPRESSION", value_enum, default_value_t)]
    #[arg(help_heading = COLLECTORS)]
    pub compression: Compression,
    /// Let agents start with a log of reports of this time, as after an outage
    ///
    /// Then --recovery-timeout is also the maximum time until the engine has these logs.
    #[arg(long, value_name = "DURATION", help_heading = SCENARIO)]
    #[arg(value_parser = parse::run_time)]
    pub backlog: Option<Duration>,
    /// Send live samples before the agents' logs: the engine takes samples out of order
    #[arg(long, help_heading = SCENARIO)]
    pub out_of_order: bool,
    /// Length of the test until agents leave
    #[arg(long, value_name = "DURATION", default_value = "60s", help_heading = SCENARIO)]
    #[arg(value_parser = parse::run_time)]
    pub duration: Duration,
    /// Troubles to cause, one after the other, at even intervals (comma-separated)
    ///
    /// Example: --faults engine-away,collector-killed
    #[arg(long, value_name = "FAULTS", value_enum, value_delimiter = ',')]
    #[arg(help_heading = SCENARIO)]
    pub faults: Vec<Trouble>,
    /// Length of each trouble
    #[arg(long, value_name = "DURATION", default_value = "5s", help_heading = SCENARIO)]
    #[arg(value_parser = parse::run_time)]
    pub fault_time: Duration,
    /// Maximum time after the last trouble until the engine has all samples
    #[arg(long, value_name = "DURATION", default_value = "1m", help_heading = BOUNDS)]
    #[arg(value_parser = parse::run_time)]
    pub recovery_timeout: Duration,
    /// Maximum time from the death of an agent until the engine has the end of its series
    #[arg(long, value_name = "DURATION", default_value = "2s", help_heading = BOUNDS)]
    #[arg(value_parser = parse::duration)]
    pub max_marker_delay: Duration,
    /// Maximum time beyond an interval without a sample of an agent while collectors are restarted
    #[arg(long, value_name = "DURATION", default_value = "1s", help_heading = BOUNDS)]
    #[arg(value_parser = parse::duration)]
    pub max_roster_delay: Duration,
    /// Maximum age of live samples while logs are sent (with --backlog and --out-of-order)
    #[arg(long, value_name = "DURATION", default_value = "5s", help_heading = BOUNDS)]
    #[arg(value_parser = parse::duration)]
    pub max_live_age: Duration,
    /// Let the engine refuse samples that are older than the newest of their series
    #[arg(long, help_heading = SCENARIO, conflicts_with = "out_of_order")]
    pub in_order_only: bool,
    /// Change what the engine receives, which the test must find
    #[arg(long, value_name = "KIND", hide = true)]
    pub judge_fault: Option<JudgeFault>,
}

impl ForwardArgs {
    pub(super) fn check(&self) -> Result<(), String> {
        if self.fleet.agents < 4 {
            return Err("--agents must be at least 4: some must leave and some stay".into());
        }
        for (trouble, name) in [
            (Trouble::AgentsMoved, "agents-moved"),
            (Trouble::CollectorsRestarted, "collectors-restarted"),
        ] {
            if self.has(trouble) && self.collectors < 2 {
                return Err(format!("--faults {name} needs --collectors 2 or more"));
            }
        }
        if self.judge_fault == Some(JudgeFault::NoDrain) && !self.has(Trouble::CollectorsRestarted)
        {
            return Err("--judge-fault no-drain needs --faults collectors-restarted".into());
        }
        if self.clock_offset.is_some() && self.collectors < 2 {
            return Err("--clock-offset needs --collectors 2 or more".into());
        }
        if self.backlog.is_some_and(|backlog| backlog > MAX_BACKLOG) {
            return Err(format!(
                "--backlog must be at most {} h: collectors drop samples that are older than 6 h",
                MAX_BACKLOG.as_secs() / 3600
            ));
        }
        let troubles = self.timed_faults().count() as u32;
        if self.duration < self.fault_time * (2 * troubles) {
            return Err(format!(
                "--duration must be at least {} s: twice the length of {troubles} troubles",
                (self.fault_time * (2 * troubles)).as_secs_f64()
            ));
        }
        Ok(())
    }

    /// Maximum time without a sample of an agent, by arrival at the engine.
    #[must_use]
    pub fn max_absence(&self) -> Duration {
        self.fleet.interval() + self.max_roster_delay + self.fleet.tolerance
    }

    /// Maximum time between two samples of an agent: half of the interval is for late timers, and
    /// with a report that is missing it would be two. An agent that moves follows another clock.
    #[must_use]
    pub fn max_gap(&self) -> Duration {
        let clocks = self.clock_offset.unwrap_or_default();
        self.fleet.interval().mul_f64(1.5) + clocks + self.fleet.tolerance
    }

    /// The troubles that happen one after the other.
    pub fn timed_faults(&self) -> impl Iterator<Item = Trouble> {
        self.faults.iter().copied().filter(|fault| *fault != Trouble::PoisonedSeries)
    }

    /// What the plan of the test needs.
    pub fn needs(&self) -> ForwardNeeds {
        ForwardNeeds {
            clock_offset: self.clock_offset.unwrap_or_default(),
            backlog_reports: self.backlog_reports(),
            engine_bytes: self.engine_size().bytes(),
        }
    }

    /// Number of reports with which each agent starts.
    #[must_use]
    pub fn backlog_reports(&self) -> u32 {
        reports_in(self.backlog.unwrap_or_default(), self.fleet.interval())
    }

    /// What the engine has to keep.
    #[must_use]
    pub fn engine_size(&self) -> EngineSize {
        let time = self.duration + self.recovery_timeout + EXTRA_TIME;
        let reports =
            self.backlog_reports() + reports_in(time, self.fleet.interval()) + EXTRA_REPORTS;
        // The collector adds one series of its own.
        let series = u64::from(self.fleet.agents) * (self.fleet.hosts.profile.series() as u64 + 1);
        EngineSize { series, reports, is_hashed: self.backlog.is_some() }
    }

    /// Whether a trouble is among the faults.
    #[must_use]
    pub fn has(&self, trouble: Trouble) -> bool {
        self.faults.contains(&trouble)
    }
}

/// Number of reports in this time, rounded up.
fn reports_in(time: Duration, interval: Duration) -> u32 {
    let reports = time.as_millis().div_ceil(interval.as_millis().max(1));
    u32::try_from(reports).unwrap_or(u32::MAX)
}
