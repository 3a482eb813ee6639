//! Tests of one thing each that can happen to a fleet, with a verdict. What they have in common is a scene; what
//! they compute without sockets and clocks is in files of its own.

pub mod args;
pub mod clones;
pub mod deaths;
pub mod failure;
pub mod hostile;
mod own;
pub mod recovery;
pub mod removals;
mod scene;
pub mod scraping;
pub mod soak;
pub mod storm;
pub mod trend;
mod wire;

use crate::results::Results;
use args::Scenario;

/// Plays a scenario.
///
/// # Errors
/// What keeps it from being played: no room, no collector, a worker that ended. What is wrong with what was played is
/// in the results' verdict.
pub async fn play(scenario: &Scenario) -> anyhow::Result<Results> {
    match scenario {
        Scenario::Storm(args) => storm::storm(args).await,
        Scenario::Deaths(args) => deaths::deaths(args).await,
        Scenario::Clones(args) => clones::clones(args).await,
        Scenario::Scrape(args) => scraping::scrape(args).await,
        Scenario::Soak(args) => soak::soak(args).await,
        Scenario::Hostile(args) => hostile::hostile(args).await,
    }
}
