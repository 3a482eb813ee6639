//! Results of the comparison of senders.

use serde::Serialize;

use super::args::Plan;
use super::cost::Cost;
use super::stale::Stale;
use super::trial::Outcome;
use crate::machine::Machine;
use crate::results::{Measurement, Program};

/// All results.
#[derive(Debug, Serialize)]
pub struct Results {
    /// The machine of the measurement.
    pub machine: Machine,
    /// Settings of the run.
    pub plan: Plan,
    /// Number of series of a host.
    pub series: usize,
    /// Version and idle resource usage of each program.
    pub programs: Vec<Program>,
    /// Cost and losses of each program and setting.
    pub rows: Vec<Row>,
    /// When the engine learns that series have ended.
    pub stale: Vec<StaleRow>,
}

/// A program with one setting.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Name of the program.
    pub name: &'static str,
    /// Description of the setting.
    pub setting: &'static str,
    /// What was measured.
    pub figures: Measurement<Figures>,
}

/// What was measured with the whole fleet.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// Cost without faults.
    pub cost: Cost,
    /// Outcomes of the trials, if there were any.
    pub trials: Vec<Outcome>,
    /// What the engine found wrong with the requests.
    pub findings: Vec<String>,
}

/// When the engine learns from a program that series have ended.
#[derive(Debug, Serialize)]
pub struct StaleRow {
    /// Name of the program.
    pub name: &'static str,
    /// Whether it scrapes the hosts, so that they have no other sender.
    pub is_scraper: bool,
    /// What was measured.
    pub stale: Measurement<Stale>,
}
