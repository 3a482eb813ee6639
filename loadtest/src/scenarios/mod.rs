//! Scenarios, each with one kind of failure or load. They share `scenario_run`. Computations
//! without sockets and clocks are in separate files.

pub mod clones;
pub mod death_cause;
pub mod deaths;
pub mod failure;
pub mod forward;
pub mod hostile;
mod netns;
pub mod recovery;
pub mod removals;
mod scenario_run;
pub mod scraping;
mod self_metrics;
mod shown_agents;
pub mod soak;
pub mod storm;
pub mod trend;
pub mod watching;

use crate::cli::scenario_args::Scenario;
use crate::results::Results;

/// Runs a scenario.
///
/// # Errors
/// If the machine is too small, or a process does not start or exits. Failed checks are in the
/// verdict of the results.
pub async fn run(scenario: &Scenario) -> anyhow::Result<Results> {
    match scenario {
        Scenario::Storm(args) => storm::storm(args).await,
        Scenario::Deaths(args) => deaths::deaths(args).await,
        Scenario::Clones(args) => clones::clones(args).await,
        Scenario::Scrape(args) => scraping::scrape(args).await,
        Scenario::Soak(args) => soak::soak(args).await,
        Scenario::Hostile(args) => hostile::hostile(args).await,
        Scenario::Forward(args) => forward::forward(args).await,
        Scenario::Watch(args) => watching::watch(args).await,
    }
}
