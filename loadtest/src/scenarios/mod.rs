//! Tests of one thing each that can happen to a fleet, with a verdict. What they have in common is a scene; what
//! they compute without sockets and clocks is in files of its own.

pub mod clones;
pub mod death_cause;
pub mod deaths;
pub mod failure;
pub mod hostile;
mod netns;
pub mod recovery;
pub mod removals;
mod scenario_run;
pub mod scraping;
mod self_metrics;
pub mod soak;
pub mod storm;
pub mod trend;

use crate::cli::scenario_args::Scenario;
use crate::results::Results;

/// Plays a scenario.
///
/// # Errors
/// What keeps it from being played: no room, no collector, a worker that ended. What is wrong with what was played is
/// in the results' verdict.
pub async fn run(scenario: &Scenario) -> anyhow::Result<Results> {
    match scenario {
        Scenario::Storm(args) => storm::storm(args).await,
        Scenario::Deaths(args) => deaths::deaths(args).await,
        Scenario::Clones(args) => clones::clones(args).await,
        Scenario::Scrape(args) => scraping::scrape(args).await,
        Scenario::Soak(args) => soak::soak(args).await,
        Scenario::Hostile(args) => hostile::hostile(args).await,
    }
}
