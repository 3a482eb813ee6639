//! Answers of the collector: the fields of `/api/…` that are shown. Others are ignored, so that a
//! newer collector can have more.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Names of the values that every agent can have, with their titles.
pub(crate) const HEADLINES: [(&str, &str); 3] =
    [("cpu", "CPU"), ("memory", "Memory"), ("disk", "Root filesystem")];

/// `/api/overview`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Overview {
    pub(crate) at: u64,
    pub(crate) agents: AgentCounts,
    pub(crate) series: u64,
    pub(crate) reports_per_second: Option<f64>,
    pub(crate) samples_per_second: Option<f64>,
    pub(crate) headlines: Vec<Headline>,
    pub(crate) missing: Vec<Missing>,
    pub(crate) collector: CollectorFigures,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AgentCounts {
    pub(crate) connected: u64,
    pub(crate) missing: u64,
    pub(crate) departed_today: u64,
}

/// A headline value over the fleet.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Headline {
    pub(crate) name: String,
    pub(crate) count: u64,
    pub(crate) mean: Option<f64>,
    /// Numbers of agents by tenth.
    pub(crate) bars: Vec<u64>,
    pub(crate) worst: Vec<Worst>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Worst {
    pub(crate) id: String,
    pub(crate) value: f64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Missing {
    pub(crate) id: String,
    pub(crate) at: u64,
    pub(crate) reason: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CollectorFigures {
    pub(crate) version: String,
    pub(crate) connections: u64,
    pub(crate) max_connections: u64,
    pub(crate) memory: f64,
    pub(crate) max_memory: f64,
    pub(crate) engines: Vec<Engine>,
}

/// An engine to which the collector forwards.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Engine {
    pub(crate) name: String,
    pub(crate) lag: f64,
}

/// `/api/search`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Listing {
    pub(crate) found: u64,
    pub(crate) page: usize,
    pub(crate) pages: usize,
    pub(crate) agents: Vec<Listed>,
}

impl Listing {
    /// Returns the line of an agent.
    pub(crate) fn position(&self, id: &str) -> Option<usize> {
        self.agents.iter().position(|agent| agent.id == id)
    }
}

/// An agent of a list.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Listed {
    pub(crate) id: String,
    pub(crate) state: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) cpu: Option<f64>,
    pub(crate) memory: Option<f64>,
    pub(crate) disk: Option<f64>,
}

/// `/api/agents/{id}`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Profile {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) address: String,
    pub(crate) version: Option<String>,
    pub(crate) since: u64,
    pub(crate) last_report: u64,
    pub(crate) interval_ms: u64,
    pub(crate) series: u64,
    pub(crate) cpu: Option<f64>,
    pub(crate) memory: Option<f64>,
    pub(crate) disk: Option<f64>,
}
