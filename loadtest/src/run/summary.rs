//! The figures of a run.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::results::quantiles::Quantiles;

/// Everything that a run measured.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// How agents got in.
    pub connects: Connects,
    /// How reports went.
    pub reports: Reports,
    /// How sessions ended.
    pub sessions: Sessions,
    /// What pages took.
    pub scrapes: Scrapes,
    /// What the collectors used together; none of collectors that were running already.
    pub collector: Option<CollectorFigures>,
    /// What the load test itself used.
    pub generator: Option<GeneratorFigures>,
}

/// How agents got in.
#[derive(Debug, Serialize)]
pub struct Connects {
    /// Agents that got connected and reported.
    pub agents: u32,
    /// Until the last of them had reported, in seconds.
    pub took_seconds: f64,
    /// Agents a second until then.
    pub agents_per_second: f64,
    /// From connect to Welcome.
    pub latency: Quantiles,
    /// Those that came by a ticket of TLS, later ones included.
    pub resumed: u64,
    /// Attempts that failed, by Reject code or error.
    pub refused: BTreeMap<String, u64>,
}

/// How reports went.
#[derive(Debug, Serialize)]
pub struct Reports {
    /// All that were written.
    pub written: u64,
    /// In the steady part.
    pub steady_per_second: f64,
    /// Taken in late in the steady part, see `--late`, of those whose lag was measured.
    pub late: u64,
    /// Those whose Ping was not answered by the end of their session or a second after that of the
    /// steady part.
    pub unanswered: u64,
    /// From when a report was due to when the collector had taken it in, in the steady part.
    pub lag: Quantiles,
    /// That without the generator's own lag.
    pub answer: Quantiles,
    /// From when a report was due to when it was written, into the kernel's buffer, in the steady
    /// part.
    pub written_after: Quantiles,
    /// By how much the generator itself turned to reports late, in the steady part.
    pub own_lag: Quantiles,
    /// Lag until the steady part.
    pub lag_while_connecting: Quantiles,
}

/// How sessions ended.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Sessions {
    pub begun: u64,
    pub ended_by_bye: u64,
    pub ended_by_reset: u64,
    pub ended_by_collector: BTreeMap<String, u64>,
}

/// What pages took.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names and their units say it")]
pub struct Scrapes {
    pub count: usize,
    pub median_ms: f64,
    pub max_ms: f64,
    pub max_bytes: u64,
    pub max_samples: u64,
}

/// What the collectors used together.
#[derive(Debug, Serialize)]
pub struct CollectorFigures {
    /// CPU in the steady part, user and system, over the reports in it: kernel's work on its sockets, sweeps,
    /// churn and scrapes included.
    pub cpu_us_per_report: f64,
    /// The same without the times between a scrape's request and the end of its response.
    pub cpu_us_per_report_outside_scrapes: f64,
    /// Share of one core that it used in the steady part.
    pub cpu_cores: f64,
    /// Names of the figures here that rest on fewer than 50 ticks of CPU time, 10 ms each.
    pub few_ticks: Vec<&'static str>,
    /// CPU until all had connected and reported, over the agents: their reports until then included.
    pub cpu_us_per_connect: f64,
    /// Resident memory with all agents connected, before the first scrape, less that before, by agent.
    pub resident_bytes_per_agent: f64,
    /// Resident memory before any agent.
    pub resident_bytes_before: u64,
    /// With all agents connected.
    pub resident_bytes_connected: u64,
    /// At the end of the steady part, scrapes included.
    pub resident_bytes_after: u64,
    /// Ten seconds after all agents had left; in a run that was shorter, after as long as it lasted.
    pub resident_bytes_gone: u64,
}

/// What the load test itself used.
#[derive(Debug, Serialize)]
pub struct GeneratorFigures {
    /// Processes that simulated agents.
    pub workers: usize,
    /// Their resident memory with all agents connected, before the first scrape, less that before, by agent.
    pub resident_bytes_per_agent: f64,
    /// Their resident memory before any agent.
    pub resident_bytes_before: u64,
    /// With all agents connected.
    pub resident_bytes_connected: u64,
    /// CPU in the steady part, user and system, over the reports in it: pages fetched and judged included.
    pub cpu_us_per_report: f64,
    /// Cores that they used in the steady part.
    pub cpu_cores: f64,
    /// Names of the figures here that rest on fewer than 50 ticks of CPU time, 10 ms each.
    pub few_ticks: Vec<&'static str>,
}
