//! What can be wrong with a page or a run, in plain words.

use std::fmt;
use std::time::Duration;

use fleetgauge_page::InvalidLine;

use crate::sim_values::{NAMES, ValueOrigin, agent_name};

/// Something that should not have happened; its text says what.
pub trait Problem: fmt::Display {
    /// Stable name that it is counted by.
    fn reason(&self) -> &'static str;
}

/// Something wrong with a page or a run. Agents are given by number.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the texts below say what the variants and fields are")]
pub enum Finding {
    Missing { agent: u32, sequence: u64 },
    Incomplete { agent: u32, shown: usize },
    Leftover { agent: u32, sequence: u64, gone_before: Duration },
    Torn { agent: u32, positions: (usize, usize), sequences: (u64, u64) },
    Stale { agent: u32, shown: u64, written: u64 },
    Future { agent: u32, shown: u64, sent: u64 },
    Misplaced { agent: u32, position: usize, holds: ValueOrigin },
    Garbled { agent: u32, position: usize, value: f64 },
    Duplicate { agent: u32, position: usize },
    WrongLabels { agent: u32, shown: String },
    Stranger { name: String, agent: Option<String> },
    NoOwnMetrics,
    Unreadable(InvalidLine),
    ScrapeFailed { why: String },
    NotConnected { agents: u32, of: u32 },
    SessionsEnded { sessions: u64, why: String, own_lag_ms: f64 },
    ReportsLate { reports: u64, of: u64, late_ms: u64, longest_ms: f64 },
    NotReturned { times: u64, within: Duration },
    Refused { attempts: u64, why: String },
    NotLeft { agents: u32 },
    NoCheckpoint,
    OtherInterval { welcomes: u64 },
    TooFewAnswers { answered: u64, least: u64 },
    NothingCompared { what: &'static str },
    CollectorFailed { how: String },
}

impl Finding {
    /// Stable name that it is counted by.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Incomplete { .. } => "incomplete",
            Self::Leftover { .. } => "leftover",
            Self::Torn { .. } => "torn",
            Self::Stale { .. } => "stale",
            Self::Future { .. } => "future",
            Self::Misplaced { .. } => "misplaced",
            Self::Garbled { .. } => "garbled",
            Self::Duplicate { .. } => "duplicate",
            Self::WrongLabels { .. } => "wrong_labels",
            Self::Stranger { .. } => "stranger",
            Self::NoOwnMetrics => "no_own_metrics",
            Self::Unreadable(_) => "unreadable",
            Self::ScrapeFailed { .. } => "scrape_failed",
            Self::NotConnected { .. } => "not_connected",
            Self::SessionsEnded { .. } => "sessions_ended",
            Self::ReportsLate { .. } => "reports_late",
            Self::NotReturned { .. } => "not_returned",
            Self::Refused { .. } => "refused",
            Self::NotLeft { .. } => "not_left",
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
            Self::Missing { agent, sequence } => {
                let name = agent_name(*agent);
                write!(
                    f,
                    "{name} is connected and has reported (report {sequence}), but is missing"
                )
            }
            Self::Incomplete { agent, shown } => {
                let (name, all) = (agent_name(*agent), NAMES.len());
                write!(f, "{name} is shown with {shown} of its {all} values")
            }
            Self::Leftover { agent, sequence, gone_before } => write!(
                f,
                "{} left {} ms before the request, but is still shown (report {sequence})",
                agent_name(*agent),
                gone_before.as_millis()
            ),
            Self::Torn { agent, positions: (one, other), sequences: (first, second) } => write!(
                f,
                "{} is torn: {} is from report {first}, {} from report {second}",
                agent_name(*agent),
                NAMES[*one],
                NAMES[*other]
            ),
            Self::Stale { agent, shown, written } => write!(
                f,
                "{} is shown with report {shown}, but {written} was written a second, plus \
                 --tolerance, before the request",
                agent_name(*agent)
            ),
            Self::Future { agent, shown, sent } => write!(
                f,
                "{} is shown with report {shown}, but {sent} was the last one sent",
                agent_name(*agent)
            ),
            Self::Misplaced { agent, position, holds } => write!(
                f,
                "{} of {} has the value of position {} of {}",
                NAMES[*position],
                agent_name(*agent),
                holds.position,
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
                write!(
                    f,
                    "{} is shown with labels that it did not report: {{{shown}}}",
                    agent_name(*agent)
                )
            }
            Self::Stranger { name, agent: Some(agent) } => {
                write!(f, "{name} of {agent:?} belongs to no agent of this fleet")
            }
            Self::NoOwnMetrics => f.write_str("/metrics has none of the collector's own metrics"),
            Self::Stranger { name, agent: None } => {
                write!(f, "{name} has no agent label")
            }
            Self::Unreadable(InvalidLine { line, text, problem }) => {
                write!(f, "line {line} of the page {problem}: {text:?}")
            }
            Self::ScrapeFailed { why } => write!(f, "the page could not be fetched: {why}"),
            Self::NotConnected { agents, of } => {
                write!(f, "{agents} of {of} agents did not connect and report")
            }
            Self::SessionsEnded { sessions, why, own_lag_ms } => write!(
                f,
                "the collector ended {sessions} sessions: {why} (the generator itself was up to \
                 {own_lag_ms:.0} ms late)"
            ),
            Self::ReportsLate { reports, of, late_ms, longest_ms } => write!(
                f,
                "{reports} of {of} reports were not processed within {late_ms} ms after they were \
                 due; the slowest took {longest_ms:.0} ms"
            ),
            Self::NotReturned { times, within } => {
                let seconds = within.as_secs();
                write!(f, "{times} agents that disconnected were not back within {seconds} s")
            }
            Self::Refused { attempts, why } => {
                write!(f, "{attempts} attempts to connect were refused after the ramp: {why}")
            }
            Self::NotLeft { agents } => {
                write!(f, "{agents} agents could not disconnect in time: their writes were blocked")
            }
            Self::NoCheckpoint => f.write_str("no page was judged while all agents were connected"),
            Self::OtherInterval { welcomes } => write!(
                f,
                "the collector gave {welcomes} agents another interval than requested: the load is \
                 not the planned one"
            ),
            Self::TooFewAnswers { answered, least } => write!(
                f,
                "{answered} reports were answered by a Pong, {least} are needed for a verdict: run \
                 longer than the interval"
            ),
            Self::NothingCompared { what } => {
                write!(f, "no {what}: there is no verdict on the collector; run longer")
            }
            Self::CollectorFailed { how } => write!(f, "the collector {how}"),
        }
    }
}
