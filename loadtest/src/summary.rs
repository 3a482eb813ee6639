//! The figures of a run, as JSON and as text.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::tally::Times;

/// Everything that a run found out.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// What was asked for.
    pub settings: Settings,
    /// Whether the pages were right.
    pub verdict: VerdictFigures,
    /// How agents got in.
    pub connects: Connects,
    /// How reports went.
    pub reports: Reports,
    /// How sessions ended.
    pub sessions: Sessions,
    /// What pages took.
    pub scrapes: Scrapes,
    /// What the collector used; none of a collector that was running already.
    pub collector: Option<CollectorFigures>,
}

/// What was asked for.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names and their units say it")]
pub struct Settings {
    pub agents: usize,
    pub interval_seconds: f64,
    pub duration_seconds: f64,
    pub ramp_per_second: f64,
    pub churn_percent_per_second: f64,
}

/// Whether the pages were right.
#[derive(Debug, Serialize)]
pub struct VerdictFigures {
    /// Every check held.
    pub passed: bool,
    /// Pages judged while the fleet was reporting.
    pub checkpoints: usize,
    /// Findings by their reason.
    pub findings: BTreeMap<&'static str, u64>,
    /// The first of them in words.
    pub first_findings: Vec<String>,
}

/// A distribution of times, in milliseconds.
#[derive(Debug, Default, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Quantiles {
    pub count: u64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
}

impl From<&Times> for Quantiles {
    fn from(times: &Times) -> Self {
        Self {
            count: times.count(),
            p50_ms: times.quantile_ms(0.5),
            p90_ms: times.quantile_ms(0.9),
            p99_ms: times.quantile_ms(0.99),
            p999_ms: times.quantile_ms(0.999),
            max_ms: times.longest_ms(),
        }
    }
}

impl fmt::Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50_ms, p90_ms, p99_ms, p999_ms, max_ms, .. } = self;
        write!(
            f,
            "p50 {p50_ms:.2}  p90 {p90_ms:.2}  p99 {p99_ms:.2}  p99.9 {p999_ms:.2}  max {max_ms:.2} ms"
        )
    }
}

/// How agents got in.
#[derive(Debug, Serialize)]
pub struct Connects {
    /// Agents that got connected and reported.
    pub agents: usize,
    /// Until the last of them had reported, in seconds.
    pub seconds: f64,
    /// Agents a second until then.
    pub per_second: f64,
    /// From connect to Welcome.
    pub latency: Quantiles,
    /// Attempts that failed, by Reject code or error.
    pub refused: BTreeMap<String, u64>,
}

/// How reports went.
#[derive(Debug, Serialize)]
pub struct Reports {
    /// All that were written.
    pub written: u64,
    /// In the steady part.
    pub per_second: f64,
    /// From when a report was due to when it was written.
    pub lag: Quantiles,
    /// The generator's own part of it: its timer woke late.
    pub own_lag: Quantiles,
    /// Over 100 ms beyond the generator's own lag.
    pub late: u64,
    /// From when the generator turned to a report to the Pong behind it: the collector has taken it in.
    pub answer: Quantiles,
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
    pub max_bytes: usize,
    pub max_samples: usize,
}

/// What the collector used.
#[derive(Debug, Serialize)]
pub struct CollectorFigures {
    /// CPU in the steady part, user and system, over the reports in it: kernel's work on its sockets, sweeps,
    /// churn and scrapes included.
    pub cpu_us_per_report: f64,
    /// The same without the times between a scrape's request and the end of its response.
    pub cpu_us_per_report_outside_scrapes: f64,
    /// Share of one core that it used in the steady part.
    pub cpu_cores: f64,
    /// Resident memory with all agents connected, before the first scrape, less that before, by agent.
    pub resident_bytes_per_agent: f64,
    /// Resident memory before any agent.
    pub resident_bytes_before: u64,
    /// With all agents connected.
    pub resident_bytes_connected: u64,
    /// At the end of the steady part, scrapes included.
    pub resident_bytes_after: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { settings, connects, reports, sessions, scrapes, .. } = self;
        writeln!(
            f,
            "agents     {} of {} reporting after {:.1} s: {:.0}/s",
            connects.agents, settings.agents, connects.seconds, connects.per_second
        )?;
        writeln!(f, "connect    {}", connects.latency)?;
        writeln!(f, "refused    {}", Causes(&connects.refused))?;
        writeln!(
            f,
            "reports    {}, {:.0}/s, {} late (over 100 ms beyond the generator's own lag)",
            reports.written, reports.per_second, reports.late
        )?;
        writeln!(f, "lag        {}", reports.lag)?;
        writeln!(f, "  own      {}", reports.own_lag)?;
        writeln!(f, "answered   {} ({} sampled)", reports.answer, reports.answer.count)?;
        writeln!(
            f,
            "sessions   {} begun, ended: {} by Bye, {} by reset, by the collector: {}",
            sessions.begun,
            sessions.ended_by_bye,
            sessions.ended_by_reset,
            Causes(&sessions.ended_by_collector)
        )?;
        writeln!(
            f,
            "scrapes    {}, median {:.1} ms, max {:.1} ms, {} bytes, {} lines",
            scrapes.count,
            scrapes.median_ms,
            scrapes.max_ms,
            scrapes.max_bytes,
            scrapes.max_samples
        )?;
        if let Some(collector) = &self.collector {
            write!(f, "{collector}")?;
        }
        write!(f, "{}", self.verdict)
    }
}

impl fmt::Display for CollectorFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "collector  {:.1} us CPU a report (kernel, sweeps, churn and scrapes included), {:.1} outside \
             scrapes; {:.2} cores",
            self.cpu_us_per_report, self.cpu_us_per_report_outside_scrapes, self.cpu_cores
        )?;
        writeln!(
            f,
            "memory     {:.0} bytes resident an agent; {:.1} MiB before, {:.1} connected, {:.1} after",
            self.resident_bytes_per_agent,
            mib(self.resident_bytes_before),
            mib(self.resident_bytes_connected),
            mib(self.resident_bytes_after)
        )
    }
}

impl fmt::Display for VerdictFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.passed {
            return write!(f, "verdict    passed: {} pages judged, no finding", self.checkpoints);
        }
        let all: u64 = self.findings.values().sum();
        writeln!(f, "verdict    FAILED: {all} findings ({})", Causes(&self.findings))?;
        for finding in &self.first_findings {
            writeln!(f, "  {finding}")?;
        }
        let told = self.first_findings.len() as u64;
        if all > told { write!(f, "  and {} more", all - told) } else { Ok(()) }
    }
}

/// Counts by cause on one line.
struct Causes<'a, K>(&'a BTreeMap<K, u64>);

impl<K: fmt::Display> fmt::Display for Causes<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (number, (cause, count)) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{cause} {count}")?;
        }
        Ok(())
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
