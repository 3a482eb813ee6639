//! Flags of `forward`.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::help_headings::{BOUNDS, COLLECTORS, SCENARIO};
use super::scenario_args::ScenarioFleetArgs;
use super::value_parsers as parse;
use crate::fault::judge_fault::JudgeFault;

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
    /// with a report that is missing it would be two.
    #[must_use]
    pub fn max_gap(&self) -> Duration {
        self.fleet.interval().mul_f64(1.5) + self.fleet.tolerance
    }

    /// The troubles that happen one after the other.
    pub fn timed_faults(&self) -> impl Iterator<Item = Trouble> {
        self.faults.iter().copied().filter(|fault| *fault != Trouble::PoisonedSeries)
    }

    /// Whether a trouble is among the faults.
    #[must_use]
    pub fn has(&self, trouble: Trouble) -> bool {
        self.faults.contains(&trouble)
    }
}
