//! Findings of `forward`, with texts that say what the engine has and what it should have.

use std::fmt;
use std::time::Duration;

use crate::judge::finding::Problem;
use crate::sim_values::agent_name;

/// A failed check. Agents are given by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ForwardFailure {
    Lost { agent: u32, series: String, samples: u64, first: u64 },
    WrongValue { agent: u32, series: String, samples: u64 },
    UnknownSample { agent: u32, series: String, samples: u64 },
    UnknownSeries { labels: String },
    MisplacedMarker { agent: u32, series: String, markers: u64 },
    MissingMarker { agent: u32, series: String, markers: u64 },
    EarlyMarker { agent: u32, series: String },
    NotMarked { agent: u32, series: String },
    MarkedAlive { agent: u32, series: String },
    MarkedLate { agent: u32, after: Duration, allowed: Duration },
    PoisonedStored { agent: u32, series: String },
    Protocol { kind: &'static str, count: u64, text: String },
    NotAcknowledged { agents: u32, of: u32, within: Duration },
    LiveLate { age: Duration, allowed: Duration },
    BadAcknowledgement { agent: u32, times: u64 },
    MissingFromRoster { agent: u32, missing: Duration, allowed: Duration },
    Gap { agent: u32, longest: Duration, allowed: Duration },
    NotMoved { agents: u64, of: u64, within: Duration },
    EmptyPage { collector: usize },
    OnPages { agent: u32, pages: u32 },
}

impl Problem for ForwardFailure {
    fn reason(&self) -> &'static str {
        match self {
            Self::Lost { .. } => "lost",
            Self::WrongValue { .. } => "wrong_value",
            Self::UnknownSample { .. } => "unknown_sample",
            Self::UnknownSeries { .. } => "unknown_series",
            Self::MisplacedMarker { .. } => "misplaced_marker",
            Self::MissingMarker { .. } => "missing_marker",
            Self::EarlyMarker { .. } => "early_marker",
            Self::NotMarked { .. } => "not_marked",
            Self::MarkedAlive { .. } => "marked_alive",
            Self::MarkedLate { .. } => "marked_late",
            Self::PoisonedStored { .. } => "poisoned_stored",
            Self::Protocol { kind, .. } => kind,
            Self::NotAcknowledged { .. } => "not_acknowledged",
            Self::LiveLate { .. } => "live_late",
            Self::BadAcknowledgement { .. } => "bad_acknowledgement",
            Self::MissingFromRoster { .. } => "missing_from_roster",
            Self::Gap { .. } => "gap",
            Self::NotMoved { .. } => "not_moved",
            Self::EmptyPage { .. } => "empty_page",
            Self::OnPages { pages: 0, .. } => "not_shown",
            Self::OnPages { .. } => "shown_twice",
        }
    }
}

impl fmt::Display for ForwardFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |agent: &u32| agent_name(*agent);
        match self {
            Self::Lost { agent, series, samples, first } => write!(
                f,
                "the engine lacks {samples} samples of {series} of {}, the first from report \
                 {first}",
                name(agent)
            ),
            Self::WrongValue { agent, series, samples } => write!(
                f,
                "{samples} samples of {series} of {} have another value than the report",
                name(agent)
            ),
            Self::UnknownSample { agent, series, samples } => write!(
                f,
                "the engine has {samples} samples of {series} of {} that are of no report",
                name(agent)
            ),
            Self::UnknownSeries { labels } => {
                write!(f, "the engine has a series that no agent has: {labels}")
            }
            Self::MisplacedMarker { agent, series, markers } => write!(
                f,
                "{markers} stale markers of {series} of {} are not 1 ms after a sample",
                name(agent)
            ),
            Self::MissingMarker { agent, series, markers } => write!(
                f,
                "{series} of {} was absent {markers} times without a stale marker",
                name(agent)
            ),
            Self::EarlyMarker { agent, series } => {
                write!(f, "{series} of {} has a stale marker from before its end", name(agent))
            }
            Self::NotMarked { agent, series } => {
                write!(f, "{} has left, but its {series} has no stale marker", name(agent))
            }
            Self::MarkedAlive { agent, series } => {
                write!(f, "{} is connected, but its {series} is marked as stale", name(agent))
            }
            Self::MarkedLate { agent, after, allowed } => write!(
                f,
                "{} was marked as stale {} ms after it left; the limit is {} ms",
                name(agent),
                after.as_millis(),
                allowed.as_millis()
            ),
            Self::PoisonedStored { agent, series } => write!(
                f,
                "the engine has {series} of {}, although it refuses that series",
                name(agent)
            ),
            Self::Protocol { kind, count, text } => {
                write!(f, "the receiver has {count} findings of kind {kind}, such as {text}")
            }
            Self::NotAcknowledged { agents, of, within } => write!(
                f,
                "the reports of {agents} of {of} agents were not acknowledged within {} s",
                within.as_secs()
            ),
            Self::LiveLate { age, allowed } => write!(
                f,
                "a live sample arrived {} ms after its time, while logs were sent; the limit is {} \
                 ms",
                age.as_millis(),
                allowed.as_millis()
            ),
            Self::BadAcknowledgement { agent, times } => write!(
                f,
                "{} received {times} acknowledgements of reports that the collector did not have",
                name(agent)
            ),
            Self::MissingFromRoster { agent, missing, allowed } => write!(
                f,
                "a query did not show {} for {} ms: no new sample had arrived, or it was marked as \
                 stale; the limit is {} ms",
                name(agent),
                missing.as_millis(),
                allowed.as_millis()
            ),
            Self::Gap { agent, longest, allowed } => write!(
                f,
                "two samples of {} follow each other after {} ms; the limit is {} ms",
                name(agent),
                longest.as_millis(),
                allowed.as_millis()
            ),
            Self::NotMoved { agents, of, within } => write!(
                f,
                "{of} agents were asked to leave, and {agents} are not where they should be after \
                 {} s",
                within.as_secs()
            ),
            Self::EmptyPage { collector } => write!(f, "collector {collector} has no agents"),
            Self::OnPages { agent, pages } => {
                write!(f, "{} is on {pages} pages instead of one", name(agent))
            }
        }
    }
}
