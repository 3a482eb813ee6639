//! Findings on a page or a run, with texts that say what was seen and what was allowed.

use std::fmt;
use std::time::Duration;

use fleetgauge_page::InvalidLine;

use crate::sim_values::{NAMES, ValueOrigin, agent_name};

/// A failed check. Its `Display` text says what was seen and what was allowed.
pub trait Problem: fmt::Display {
    /// Stable name, used to count findings.
    fn reason(&self) -> &'static str;
}

/// A failed check of a page or of a run. Agents are given by number.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the texts below say what the variants and fields are")]
pub enum Finding {
    Missing { agent: u32, sequence: u64, settled: Duration },
    Incomplete { agent: u32, shown: usize, of: usize },
    Surplus { agent: u32, shown: usize, of: usize },
    OtherSeries { agent: u32, sequence: u64 },
    RemovedRow { agent: u32, series: String, removed: u64, shown: u64 },
    Leftover { agent: u32, sequence: u64, gone_before: Duration, allowed: Duration },
    TornHost { agent: u32, series: String, sequences: (u64, u64), others: (u64, u64) },
    Foreign { agent: u32, series: String, value: f64 },
    Torn { agent: u32, positions: (usize, usize), sequences: (u64, u64) },
    Stale { agent: u32, shown: u64, written: u64, settled: Duration },
    Future { agent: u32, shown: u64, sent: u64 },
    Misplaced { agent: u32, position: usize, holds: ValueOrigin },
    Garbled { agent: u32, position: usize, value: f64 },
    Duplicate { agent: u32, position: usize },
    WrongLabels { agent: u32, shown: String },
    UnknownSeries { name: String, agent: Option<String> },
    NoOwnMetrics,
    Unreadable(InvalidLine),
    ScrapeFailed { why: String },
    NotConnected { agents: u32, of: u32 },
    SessionsEnded { sessions: u64, why: String, own_lag_ms: f64 },
    ReportsLate { reports: u64, of: u64, late_ms: u64, longest_ms: f64 },
    NotReturned { times: u64, within: Duration },
    Refused { attempts: u64, why: String },
    NotDisconnected { agents: u32 },
    NoCheckpoint,
    OtherInterval { welcomes: u64 },
    TooFewAnswers { answered: u64, min: u64 },
    NothingCompared { what: &'static str },
    CollectorFailed { how: String },
}

impl Finding {
    /// Stable name, used to count findings.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Incomplete { .. } => "incomplete",
            Self::Leftover { .. } => "leftover",
            Self::RemovedRow { .. } => "removed_row",
            Self::Torn { .. } | Self::TornHost { .. } => "torn",
            Self::Foreign { .. } => "foreign",
            Self::Stale { .. } => "stale",
            Self::Future { .. } => "future",
            Self::Misplaced { .. } | Self::OtherSeries { .. } => "misplaced",
            Self::Garbled { .. } => "garbled",
            Self::Duplicate { .. } | Self::Surplus { .. } => "duplicate",
            Self::WrongLabels { .. } => "wrong_labels",
            Self::UnknownSeries { .. } => "unknown_series",
            Self::NoOwnMetrics => "no_own_metrics",
            Self::Unreadable(_) => "unreadable",
            Self::ScrapeFailed { .. } => "scrape_failed",
            Self::NotConnected { .. } => "not_connected",
            Self::SessionsEnded { .. } => "sessions_ended",
            Self::ReportsLate { .. } => "reports_late",
            Self::NotReturned { .. } => "not_returned",
            Self::Refused { .. } => "refused",
            Self::NotDisconnected { .. } => "not_disconnected",
            Self::NoCheckpoint => "no_checkpoint",
            Self::OtherInterval { .. } => "other_interval",
            Self::TooFewAnswers { .. } => "too_few_answers",
            Self::NothingCompared { .. } => "nothing_compared",
            Self::CollectorFailed { .. } => "collector_failed",
        }
    }
}

impl Problem for Finding {
    fn reason(&self) -> &'static str {
        Self::reason(self)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { agent, sequence, settled } => write!(
                f,
                "{} is missing, but it is connected and report {sequence} was written more than {} \
                 ms before the request",
                agent_name(*agent),
                settled.as_millis()
            ),
            Self::Incomplete { agent, shown, of } => {
                write!(f, "the page has {shown} of the {of} values of {}", agent_name(*agent))
            }
            Self::Surplus { agent, shown, of } => {
                let name = agent_name(*agent);
                write!(f, "the page has {shown} values of {name}, but it sent only {of}")
            }
            Self::OtherSeries { agent, sequence } => {
                let name = agent_name(*agent);
                write!(f, "the page shows other series of {name} than report {sequence} has")
            }
            Self::RemovedRow { agent, series, removed, shown } => write!(
                f,
                "{} has a row that report {removed} removed, and values of report {shown}; found \
                 at {series}",
                agent_name(*agent)
            ),
            Self::TornHost { agent, series, sequences, others } => write!(
                f,
                "{} has values of two reports: {series} is from report {} to {}, other series are \
                 from {} to {}",
                agent_name(*agent),
                sequences.0,
                sequences.1,
                others.0,
                others.1
            ),
            Self::Foreign { agent, series, value } => {
                let name = agent_name(*agent);
                write!(f, "{name} has never sent {value} as {series}")
            }
            Self::Leftover { agent, sequence, gone_before, allowed } => write!(
                f,
                "{} is still on the page (report {sequence}) {} ms after it disconnected; the \
                 limit is {} ms",
                agent_name(*agent),
                gone_before.as_millis(),
                allowed.as_millis()
            ),
            Self::Torn { agent, positions: (one, other), sequences: (first, second) } => write!(
                f,
                "{} has values of two reports: {} is from report {first}, {} from report {second}",
                agent_name(*agent),
                NAMES[*one],
                NAMES[*other]
            ),
            Self::Stale { agent, shown, written, settled } => write!(
                f,
                "{} has the values of report {shown}, but report {written} was written more than \
                 {} ms before the request",
                agent_name(*agent),
                settled.as_millis()
            ),
            Self::Future { agent, shown, sent } => write!(
                f,
                "{} has the values of report {shown}, but the last report sent was {sent}",
                agent_name(*agent)
            ),
            Self::Misplaced { agent, position, holds } => write!(
                f,
                "{} of {} has the value of {} of {}",
                NAMES[*position],
                agent_name(*agent),
                NAMES.get(holds.position).unwrap_or(&"an unknown series"),
                agent_name(holds.agent)
            ),
            Self::Garbled { agent, position, value } => {
                let name = agent_name(*agent);
                write!(f, "{} of {name} is {value}, which no agent has sent", NAMES[*position])
            }
            Self::Duplicate { agent, position } => {
                write!(f, "{} of {} is on the page twice", NAMES[*position], agent_name(*agent))
            }
            Self::WrongLabels { agent, shown } => {
                write!(f, "{} has labels that it did not send: {{{shown}}}", agent_name(*agent))
            }
            Self::UnknownSeries { name, agent: Some(agent) } => {
                write!(f, "{name} of {agent:?} is not a series of this fleet")
            }
            Self::NoOwnMetrics => f.write_str("/metrics has none of the collector's own metrics"),
            Self::UnknownSeries { name, agent: None } => {
                write!(f, "{name} has no agent label")
            }
            Self::Unreadable(InvalidLine { line, text, problem }) => {
                write!(f, "line {line} of the page {problem}: {text:?}")
            }
            Self::ScrapeFailed { why } => write!(f, "the scrape failed: {why}"),
            Self::NotConnected { agents, of } => {
                write!(
                    f,
                    "only {} of {of} agents connected and reported",
                    of.saturating_sub(*agents)
                )
            }
            Self::SessionsEnded { sessions, why, own_lag_ms } => write!(
                f,
                "the collector ended {sessions} sessions ({why}); none is allowed. The load test \
                 itself was up to {own_lag_ms:.0} ms late"
            ),
            Self::ReportsLate { reports, of, late_ms, longest_ms } => write!(
                f,
                "{reports} of {of} reports were processed more than {late_ms} ms (--max-lag) after \
                 they were due; the slowest after {longest_ms:.0} ms"
            ),
            Self::NotReturned { times, within } => {
                let seconds = within.as_secs();
                write!(f, "{times} disconnected agents did not return within {seconds} s")
            }
            Self::Refused { attempts, why } => write!(
                f,
                "{attempts} connection attempts were refused after the ramp ({why}); none is \
                 allowed"
            ),
            Self::NotDisconnected { agents } => {
                write!(f, "{agents} agents could not disconnect in time: their writes were blocked")
            }
            Self::NoCheckpoint => {
                f.write_str("no page was judged while all agents were connected; run longer")
            }
            Self::OtherInterval { welcomes } => write!(
                f,
                "the collector assigned another report interval in {welcomes} Welcomes, so the \
                 load is not the planned one"
            ),
            Self::TooFewAnswers { answered, min } => write!(
                f,
                "{answered} Pings were answered, but a verdict needs {min}; run longer than the \
                 report interval"
            ),
            Self::NothingCompared { what } => {
                write!(f, "no {what}, so there is no verdict; run longer")
            }
            Self::CollectorFailed { how } => write!(f, "the collector {how}"),
        }
    }
}
