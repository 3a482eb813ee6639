//! The figures of a run.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::results::quantiles::Quantiles;

/// All figures of a run.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// How agents connected: the ramp, and all attempts of the run.
    pub connects: Connects,
    /// How reports were processed.
    pub reports: Reports,
    /// How sessions ended.
    pub sessions: Sessions,
    /// How pages were scraped.
    pub scrapes: Scrapes,
    /// Resources of all collectors together; `None` for collectors that the run did not start.
    pub collector: Option<CollectorFigures>,
    /// Resources of the load test itself; `None` if unknown.
    pub generator: Option<GeneratorFigures>,
}

/// How agents connected: the ramp, and all attempts of the run.
#[derive(Debug, Serialize)]
pub struct Connects {
    /// Number of agents that had reported by the end of the ramp.
    pub agents: u32,
    /// Time until the last agent had reported, in seconds.
    pub took_seconds: f64,
    /// Mean number of agents that connected and reported per second of the ramp.
    pub agents_per_second: f64,
    /// Time from connect to Welcome, in the whole run.
    pub latency: Quantiles,
    /// TLS sessions resumed in the whole run, not only in the ramp.
    pub resumed: u64,
    /// Failed attempts to connect in the whole run, by Reject code or error.
    pub refused: BTreeMap<String, u64>,
}

/// How reports were processed.
#[derive(Debug, Serialize)]
pub struct Reports {
    /// Reports that agents wrote to their sockets, in the whole run.
    pub written: u64,
    /// Reports per second in the steady phase.
    pub steady_per_second: f64,
    /// Reports with a Ping that were processed late in the steady phase; see `--max-lag`.
    pub late: u64,
    /// Reports whose Ping was unanswered at the end of the session, or a second after the end of
    /// the steady phase.
    pub unanswered: u64,
    /// Time from the due time of a report until the collector had processed it, in the steady
    /// phase.
    pub lag: Quantiles,
    /// `lag` without the delays of the load test itself.
    pub answer: Quantiles,
    /// Time from the due time of a report until it was written to the socket, in the steady phase.
    pub written_after: Quantiles,
    /// Delays of reports that the load test itself caused, in the steady phase.
    pub own_lag: Quantiles,
    /// `lag` in the ramp, which ends when all agents have connected and reported.
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

/// How pages were scraped.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names and their units say it")]
pub struct Scrapes {
    pub count: usize,
    pub median_ms: f64,
    pub max_ms: f64,
    pub largest_bytes: u64,
    pub max_samples: u64,
}

/// Resources of all collectors together.
#[derive(Debug, Serialize)]
pub struct CollectorFigures {
    /// User and system CPU time in the steady phase per report, including the kernel's work on the
    /// sockets, timers, churn and scrapes.
    pub cpu_us_per_report: f64,
    /// CPU time per report, not counting the periods in which a page was scraped.
    pub cpu_us_per_report_outside_scrapes: f64,
    /// Mean number of CPU cores used in the steady phase.
    pub cpu_cores: f64,
    /// Names of the figures in this object that are based on too little CPU time to be precise:
    /// fewer than 50 ticks of 10 ms per reading that was summed.
    pub few_ticks: Vec<&'static str>,
    /// CPU time until all agents had connected and reported, per agent; includes their reports.
    pub cpu_us_per_connect: f64,
    /// Growth of resident memory per agent: from before the first agent until all were connected,
    /// before the first scrape.
    pub resident_bytes_per_agent: f64,
    /// Resident memory before the first agent.
    pub resident_bytes_before: u64,
    /// Resident memory with all agents connected.
    pub resident_bytes_connected: u64,
    /// Resident memory at the end of the steady phase, including scrapes.
    pub resident_bytes_after: u64,
    /// Resident memory ten seconds after all agents had disconnected, or earlier in a shorter run.
    pub resident_bytes_gone: u64,
}

/// Resources of the load test itself.
#[derive(Debug, Serialize)]
pub struct GeneratorFigures {
    /// Number of worker processes.
    pub workers: usize,
    /// Growth of the workers' resident memory per agent: from before the first agent until all were
    /// connected, before the first scrape.
    pub resident_bytes_per_agent: f64,
    /// Resident memory before the first agent.
    pub resident_bytes_before: u64,
    /// Resident memory with all agents connected.
    pub resident_bytes_connected: u64,
    /// User and system CPU time in the steady phase per report, including fetching and judging
    /// pages.
    pub cpu_us_per_report: f64,
    /// Mean number of CPU cores used in the steady phase.
    pub cpu_cores: f64,
    /// Names of the figures in this object that are based on too little CPU time to be precise:
    /// fewer than 50 ticks of 10 ms per reading that was summed.
    pub few_ticks: Vec<&'static str>,
}
