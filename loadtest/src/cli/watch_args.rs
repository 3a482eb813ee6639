//! Flags of `watch`.

use std::time::Duration;

use clap::Args;

use super::help_headings::{BOUNDS, SCENARIO};
use super::scenario_args::ScenarioFleetArgs;
use super::value_parsers as parse;

/// Settings of `watch`.
#[derive(Debug, Clone, Args)]
pub struct WatchArgs {
    /// Settings of the fleet.
    #[command(flatten)]
    pub fleet: ScenarioFleetArgs,
    /// Keep N pages open, over the stream of each
    #[arg(long, value_name = "N", default_value = "10", help_heading = SCENARIO)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub browsers: u32,
    /// Length of each of the three phases: before, while and after pages are open
    #[arg(long, value_name = "DURATION", default_value = "30s", help_heading = SCENARIO)]
    #[arg(value_parser = parse::run_time)]
    pub duration: Duration,
    /// Maximum time until the first byte of a page, in the median
    #[arg(long, value_name = "DURATION", default_value = "50ms", help_heading = BOUNDS)]
    #[arg(value_parser = parse::duration)]
    pub max_first_byte: Duration,
    /// Maximum size of a page, in bytes without compression
    #[arg(long, value_name = "BYTES", default_value = "100000", help_heading = BOUNDS)]
    pub max_page_bytes: u64,
    /// Maximum CPU of all open pages together, in percent of a core
    #[arg(long, value_name = "PERCENT", default_value = "1%", help_heading = BOUNDS)]
    #[arg(value_parser = parse::percent)]
    pub max_cost: f64,
    /// Maximum increase of the p99 answer time while pages are open
    ///
    /// Answer time: see --max-lag.
    #[arg(long, value_name = "DURATION", default_value = "50ms", help_heading = BOUNDS)]
    #[arg(value_parser = parse::duration)]
    pub max_p99_increase: Duration,
}
