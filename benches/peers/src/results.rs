//! Results of a comparison.

use serde::Serialize;

use crate::fleet_kind::FleetKind;
use crate::machine::{self, Machine};
use crate::measure::{Figures, Idle};
use crate::peer::{Peer, Product};
use crate::vanish::{Gone, Plan};

/// All results of a comparison.
#[derive(Debug, Serialize)]
pub struct Results {
    /// What the hosts reported.
    pub fleet: FleetKind,
    /// The machine of the measurement.
    pub machine: Machine,
    /// Requested reports per second in total.
    pub rate: f64,
    /// Length of the measurement window, in seconds.
    pub seconds: f64,
    /// Version and idle resource usage of each program.
    pub programs: Vec<Program>,
    /// Cost for each program, setting and size of the fleet.
    pub rows: Vec<Row>,
    /// How long each program shows vanished hosts.
    pub vanishing: Vec<Vanishing>,
}

/// A result, or why there is none.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measurement<T> {
    /// The result.
    Done(T),
    /// The reason: the program is not installed, or failed.
    Failed(String),
}

/// Version of a program, and its resource usage without hosts.
#[derive(Debug, Serialize)]
pub struct Program {
    /// Name of the program.
    pub name: &'static str,
    /// Version; empty if unknown.
    pub version: String,
    /// Resource usage of the program without hosts.
    pub idle: Measurement<Idle>,
}

/// Cost of a fleet to a program with one setting.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Name of the program.
    pub name: &'static str,
    /// Description of the setting.
    pub setting: &'static str,
    /// What the hosts reported.
    pub fleet: FleetKind,
    /// Number of hosts.
    pub hosts: usize,
    /// Name of the page; empty if it is the one that Prometheus scrapes.
    pub page: &'static str,
    /// Cost of the reports and of the page that `page` names.
    pub figures: Measurement<Figures>,
}

/// How long a program shows vanished hosts.
#[derive(Debug, Serialize)]
pub struct Vanishing {
    /// Name of the program.
    pub name: &'static str,
    /// Description of the setting.
    pub setting: &'static str,
    /// The rule by which the program removes the series of vanished hosts.
    pub decided_by: &'static str,
    /// Settings of the test.
    pub plan: Plan,
    /// Time until the series of vanished hosts were gone.
    pub gone: Measurement<Gone>,
}

impl Results {
    /// Empty results of a run on this machine.
    #[must_use]
    pub fn new(fleet: FleetKind, rate: f64, seconds: f64) -> Self {
        Self {
            fleet,
            machine: Machine::this(),
            rate,
            seconds,
            programs: Vec::new(),
            rows: Vec::new(),
            vanishing: Vec::new(),
        }
    }
}

impl Program {
    /// Describes an installed program, with its version.
    #[must_use]
    pub fn new(product: &Product, idle: Measurement<Idle>) -> Self {
        Self { name: product.name, version: machine::version(product.package), idle }
    }
}

impl Row {
    /// Creates the row of a server and a fleet.
    #[must_use]
    pub fn new(
        peer: &dyn Peer,
        fleet: FleetKind,
        hosts: usize,
        figures: Measurement<Figures>,
    ) -> Self {
        let (product, setting) = (peer.product(), peer.setting());
        Self { name: product.name, setting, fleet, hosts, page: product.page_name, figures }
    }
}

impl<T> Measurement<T> {
    /// The reason why there is no result; empty if there is one.
    #[must_use]
    pub fn failure(&self) -> &str {
        match self {
            Self::Done(_) => "",
            Self::Failed(why) => why,
        }
    }
}

impl<T> From<anyhow::Result<T>> for Measurement<T> {
    fn from(result: anyhow::Result<T>) -> Self {
        match result {
            Ok(result) => Self::Done(result),
            Err(error) => Self::Failed(format!("{error:#}")),
        }
    }
}
