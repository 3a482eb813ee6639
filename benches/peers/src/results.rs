//! What was seen.

use serde::Serialize;

use crate::machine::{self, Machine};
use crate::measure::{Figures, Idle};
use crate::peer::{Peer, Product};
use crate::vanish::{Gone, Plan};

/// All that was seen.
#[derive(Debug, Serialize)]
pub struct Results {
    /// Where.
    pub machine: Machine,
    /// Host reports a second that were asked for.
    pub rate: f64,
    /// Seconds for which reports were measured.
    pub seconds: f64,
    /// The programs.
    pub programs: Vec<Program>,
    /// A row for each program, setting and size of the fleet.
    pub rows: Vec<Row>,
    /// A row for each program that was watched.
    pub vanishing: Vec<Vanishing>,
}

/// What came of a program.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Found<T> {
    /// It was seen.
    Seen(T),
    /// It was not, and why: it is not installed, or did not do what it must.
    Unseen(String),
}

/// A program before there are hosts.
#[derive(Debug, Serialize)]
pub struct Program {
    /// What people call it.
    pub name: &'static str,
    /// Its version; empty if it is not known.
    pub version: String,
    /// What it uses.
    pub idle: Found<Idle>,
}

/// A program, at a setting, with a fleet.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The program.
    pub name: &'static str,
    /// The setting.
    pub setting: &'static str,
    /// Hosts.
    pub hosts: usize,
    /// What its page is, where it is not what Prometheus scrapes.
    pub page: &'static str,
    /// What it cost.
    pub figures: Found<Figures>,
}

/// A program that hosts vanished from.
#[derive(Debug, Serialize)]
pub struct Vanishing {
    /// The program.
    pub name: &'static str,
    /// The setting.
    pub setting: &'static str,
    /// What decides how long they are shown.
    pub decided_by: &'static str,
    /// How it was watched.
    pub plan: Plan,
    /// When their series were gone.
    pub gone: Found<Gone>,
}

impl Results {
    /// Of a run on this machine that has just begun.
    #[must_use]
    pub fn new(rate: f64, seconds: f64) -> Self {
        Self {
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
    /// The program as it is installed.
    #[must_use]
    pub fn new(product: &Product, idle: Found<Idle>) -> Self {
        Self { name: product.name, version: machine::version(product), idle }
    }
}

impl Row {
    /// The row of a program at its setting.
    #[must_use]
    pub fn new(peer: &dyn Peer, hosts: usize, figures: Found<Figures>) -> Self {
        let (product, setting) = (peer.product(), peer.setting());
        Self { name: product.name, setting, hosts, page: product.page_is, figures }
    }
}

impl<T> Found<T> {
    /// Why nothing was seen; empty if something was.
    #[must_use]
    pub fn unseen(&self) -> &str {
        match self {
            Self::Seen(_) => "",
            Self::Unseen(why) => why,
        }
    }
}

impl<T> From<anyhow::Result<T>> for Found<T> {
    fn from(result: anyhow::Result<T>) -> Self {
        match result {
            Ok(seen) => Self::Seen(seen),
            Err(error) => Self::Unseen(format!("{error:#}")),
        }
    }
}
