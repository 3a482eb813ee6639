//! Findings of scenarios, with texts that say what was seen and what was allowed.

use std::fmt;
use std::time::Duration;

use super::death_cause::DeathCause;
use crate::judge::finding::Problem;
use crate::sim_values::agent_name;

/// A failed check of a scenario. Agents are given by number.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the texts below say what the variants and fields are")]
pub enum Failure {
    NotRecovered { agents: u64, of: u64, within: Duration },
    LiveAgentRemoved { agent: usize },
    RemovedEarly { agent: usize, cause: DeathCause, early: Duration },
    NotRemoved { agent: usize, cause: DeathCause, after: Duration, allowed: Duration },
    ShownAgain { agent: usize, cause: DeathCause },
    CloneAdmitted { clones: u64 },
    CloneNotRejected { named: u64, of: u64 },
    NotReadmitted { agents: u64, of: u64, within: Duration },
    ReadmittedLate { longest: Duration, bound: Duration },
    DelayedBy { what: &'static str, with_ms: f64, without_ms: f64, bound_ms: f64 },
    SlowWithoutLoad { p99_ms: f64, bound_ms: f64 },
    SlowPage { path: &'static str, first_byte_ms: f64, bound_ms: f64 },
    LargePage { path: &'static str, bytes: u64, bound_bytes: u64 },
    CostlyBrowsers { browsers: u32, percent: f64, bound_percent: f64 },
    StreamEnded { path: &'static str, why: String },
    NothingMeasured { what: &'static str },
    MemoryGrows { collector: usize, rise_bytes: f64, bound_bytes: f64 },
    FilesLeak { collector: usize, before: usize, after: usize },
    AttackNotRefused { kind: &'static str, code: &'static str, of: u64 },
    AttackWelcomed { kind: &'static str, times: u64 },
    RefusalsUncounted { code: &'static str, received: u64, counted: u64 },
    DelayedByAttacks { what: &'static str, attacked_ms: f64, quiet_ms: f64, bound_ms: f64 },
    MemoryOverBound { what: &'static str, bytes: u64, bound_bytes: u64 },
    LeftBehind { what: &'static str, count: u64, of: u64, within: Duration },
}

impl Failure {
    /// Stable name, used to count findings.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NotRecovered { .. } => "not_recovered",
            Self::LiveAgentRemoved { .. } => "live_agent_removed",
            Self::RemovedEarly { .. } => "removed_early",
            Self::NotRemoved { .. } => "not_removed",
            Self::ShownAgain { .. } => "shown_again",
            Self::CloneAdmitted { .. } => "clone_admitted",
            Self::CloneNotRejected { .. } => "clone_not_rejected",
            Self::NotReadmitted { .. } => "not_readmitted",
            Self::ReadmittedLate { .. } => "readmitted_late",
            Self::DelayedBy { .. } => "delayed",
            Self::SlowWithoutLoad { .. } => "slow_without_load",
            Self::SlowPage { .. } => "slow_page",
            Self::LargePage { .. } => "large_page",
            Self::CostlyBrowsers { .. } => "costly_browsers",
            Self::StreamEnded { .. } => "stream_ended",
            Self::NothingMeasured { .. } => "nothing_measured",
            Self::MemoryGrows { .. } => "memory_grows",
            Self::FilesLeak { .. } => "files_leak",
            Self::AttackNotRefused { .. } => "attack_not_refused",
            Self::AttackWelcomed { .. } => "attack_welcomed",
            Self::RefusalsUncounted { .. } => "refusals_uncounted",
            Self::DelayedByAttacks { .. } => "delayed_by_attacks",
            Self::MemoryOverBound { .. } => "memory_over_bound",
            Self::LeftBehind { .. } => "left_behind",
        }
    }
}

impl Problem for Failure {
    fn reason(&self) -> &'static str {
        Self::reason(self)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |agent: &usize| agent_name(u32::try_from(*agent).unwrap_or(u32::MAX));
        match self {
            Self::NotRecovered { agents, of, within } => {
                let within = within.as_secs();
                write!(f, "{agents} of {of} agents were not on the pages within {within} s")
            }
            Self::LiveAgentRemoved { agent } => {
                write!(f, "{} is alive, but not on the page", name(agent))
            }
            Self::RemovedEarly { agent, cause, early } => write!(
                f,
                "{} ({}) was removed {} ms before the earliest time allowed: the collector could \
                 not know of its death yet",
                name(agent),
                cause.name(),
                early.as_millis()
            ),
            Self::NotRemoved { agent, cause, after, allowed } => write!(
                f,
                "{} ({}) is still on the page {} ms after its death; the limit is {} ms",
                name(agent),
                cause.name(),
                after.as_millis(),
                allowed.as_millis()
            ),
            Self::ShownAgain { agent, cause } => {
                write!(f, "{} ({}) is dead and was removed, but is back", name(agent), cause.name())
            }
            Self::CloneAdmitted { clones } => write!(
                f,
                "clones were welcomed {clones} times while the original hosts were connected; none \
                 is allowed"
            ),
            Self::CloneNotRejected { named, of } => {
                write!(f, "only {named} of {of} clones were rejected with id_conflict")
            }
            Self::NotReadmitted { agents, of, within } => write!(
                f,
                "{agents} of {of} rebooted hosts were not welcomed within {} s",
                within.as_secs_f64()
            ),
            Self::ReadmittedLate { longest, bound } => write!(
                f,
                "a rebooted host was welcomed after {} ms; the limit is {} ms",
                longest.as_millis(),
                bound.as_millis()
            ),
            Self::DelayedBy { what, with_ms, without_ms, bound_ms } => write!(
                f,
                "{what} delay reports: p99 answer time {with_ms:.1} ms with, \
                 {without_ms:.1} ms without; the limit is an increase of {bound_ms:.0} ms"
            ),
            Self::SlowWithoutLoad { p99_ms, bound_ms } => write!(
                f,
                "p99 answer time was {p99_ms:.1} ms without other load; the limit is \
                 {bound_ms:.0} ms. The machine may be too busy"
            ),
            Self::SlowPage { path, first_byte_ms, bound_ms } => write!(
                f,
                "the first byte of {path} took {first_byte_ms:.1} ms; the limit is {bound_ms:.0} ms"
            ),
            Self::LargePage { path, bytes, bound_bytes } => {
                write!(f, "{path} has {bytes} bytes; the limit is {bound_bytes}")
            }
            Self::CostlyBrowsers { browsers, percent, bound_percent } => write!(
                f,
                "{browsers} open pages cost {percent:.2} % of a core; the limit is {bound_percent} %"
            ),
            Self::StreamEnded { path, why } => write!(f, "the stream of {path} ended: {why}"),
            Self::NothingMeasured { what } => {
                write!(f, "{what} could not be measured, so there is no verdict")
            }
            Self::MemoryGrows { collector, rise_bytes, bound_bytes } => write!(
                f,
                "resident memory of collector {collector} grew by {:.1} MiB in the second half; \
                 the limit is {:.1} MiB",
                rise_bytes / 1_048_576.0,
                bound_bytes / 1_048_576.0
            ),
            Self::FilesLeak { collector, before, after } => write!(
                f,
                "collector {collector} has {after} open files after all agents have disconnected; \
                 it had {before} at the start"
            ),
            Self::AttackNotRefused { kind, code, of } => {
                write!(f, "none of {of} {kind} attacks was rejected with {code}")
            }
            Self::AttackWelcomed { kind, times } => {
                write!(f, "{kind} attacks were welcomed {times} times; none is allowed")
            }
            Self::RefusalsUncounted { code, received, counted } => write!(
                f,
                "attackers received {code} {received} times, but the collector counted {counted}"
            ),
            Self::DelayedByAttacks { what, attacked_ms, quiet_ms, bound_ms } => write!(
                f,
                "attacks delay {what}: p99 {attacked_ms:.1} ms with, {quiet_ms:.1} ms without; \
                 the limit is {bound_ms:.1} ms"
            ),
            Self::MemoryOverBound { what, bytes, bound_bytes } => write!(
                f,
                "{what} memory reached {:.1} MiB; the limit is {:.1} MiB",
                *bytes as f64 / 1_048_576.0,
                *bound_bytes as f64 / 1_048_576.0
            ),
            Self::LeftBehind { what, count, of, within } => write!(
                f,
                "the collector has {count} {what} {} s after the attacks; honest agents have {of}",
                within.as_secs()
            ),
        }
    }
}
