//! Findings of a scenario that concern more than a single page, in plain words.

use std::fmt;
use std::time::Duration;

use super::death_cause::DeathCause;
use crate::judge::finding::Problem;
use crate::sim_values::agent_name;

/// Something wrong that a scenario found. Agents are given by number.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the texts below say what the variants and fields are")]
pub enum Failure {
    NotBack { agents: u64, of: u64, within: Duration },
    RemovedAlive { agent: usize },
    RemovedEarly { agent: usize, cause: DeathCause, early: Duration },
    Left { agent: usize, cause: DeathCause, after: Duration },
    ShownAgain { agent: usize, cause: DeathCause },
    CloneAdmitted { clones: u64 },
    CloneUnnamed { named: u64, of: u64 },
    NotReadmitted { agents: u64, of: u64, within: Duration },
    ReadmittedLate { longest: Duration, bound: Duration },
    ReportsSlowed { scrapes: &'static str, with_ms: f64, without_ms: f64, bound_ms: f64 },
    SlowWithoutLoad { p99_ms: f64, bound_ms: f64 },
    NothingMeasured { what: &'static str },
    MemoryGrows { collector: usize, rise_bytes: f64, bound_bytes: f64 },
    FilesLeak { collector: usize, before: usize, after: usize },
    AttackNotRefused { kind: &'static str, code: &'static str, of: u64 },
    AttackWelcomed { kind: &'static str, times: u64 },
    RefusalsUncounted { code: &'static str, told: u64, counted: u64 },
    ReportsHeldUp { what: &'static str, attacked_ms: f64, quiet_ms: f64, bound_ms: f64 },
    MemoryOverBound { what: &'static str, bytes: u64, bound_bytes: u64 },
    ConnectionsLeft { open: u64, of: u64, within: Duration },
}

impl Failure {
    /// Stable name that it is counted by.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NotBack { .. } => "not_back",
            Self::RemovedAlive { .. } => "removed_alive",
            Self::RemovedEarly { .. } => "removed_early",
            Self::Left { .. } => "left",
            Self::ShownAgain { .. } => "shown_again",
            Self::CloneAdmitted { .. } => "clone_admitted",
            Self::CloneUnnamed { .. } => "clone_unnamed",
            Self::NotReadmitted { .. } => "not_readmitted",
            Self::ReadmittedLate { .. } => "readmitted_late",
            Self::ReportsSlowed { .. } => "reports_slowed",
            Self::SlowWithoutLoad { .. } => "slow_without_load",
            Self::NothingMeasured { .. } => "nothing_measured",
            Self::MemoryGrows { .. } => "memory_grows",
            Self::FilesLeak { .. } => "files_leak",
            Self::AttackNotRefused { .. } => "attack_not_refused",
            Self::AttackWelcomed { .. } => "attack_welcomed",
            Self::RefusalsUncounted { .. } => "refusals_uncounted",
            Self::ReportsHeldUp { .. } => "reports_held_up",
            Self::MemoryOverBound { .. } => "memory_over_bound",
            Self::ConnectionsLeft { .. } => "connections_left",
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
            Self::NotBack { agents, of, within } => {
                let within = within.as_secs();
                write!(f, "{agents} of {of} agents were not shown again within {within} s")
            }
            Self::RemovedAlive { agent } => {
                write!(f, "{} is alive, but is not shown", name(agent))
            }
            Self::RemovedEarly { agent, cause, early } => write!(
                f,
                "{} ({}) was removed {} ms before the collector could know",
                name(agent),
                cause.name(),
                early.as_millis()
            ),
            Self::Left { agent, cause, after } => write!(
                f,
                "{} ({}) is still shown {} ms after its death",
                name(agent),
                cause.name(),
                after.as_millis()
            ),
            Self::ShownAgain { agent, cause } => {
                write!(f, "{} ({}) had been removed, but is shown again", name(agent), cause.name())
            }
            Self::CloneAdmitted { clones } => {
                write!(f, "clones were welcomed {clones} times while the original hosts were alive")
            }
            Self::CloneUnnamed { named, of } => {
                write!(f, "only {named} of {of} clones were rejected with id_conflict")
            }
            Self::NotReadmitted { agents, of, within } => write!(
                f,
                "{agents} of {of} rebooted hosts were not welcomed within {} s",
                within.as_secs_f64()
            ),
            Self::ReadmittedLate { longest, bound } => write!(
                f,
                "a rebooted host was welcomed after {} ms; at most {} are allowed",
                longest.as_millis(),
                bound.as_millis()
            ),
            Self::ReportsSlowed { scrapes, with_ms, without_ms, bound_ms } => write!(
                f,
                "{scrapes} scrapes slow reports down: p99 {with_ms:.1} ms with, {without_ms:.1} ms \
                 without; at most {bound_ms:.0} ms more are allowed"
            ),
            Self::SlowWithoutLoad { p99_ms, bound_ms } => write!(
                f,
                "reports are slow without any load: p99 {p99_ms:.1} ms; at most {bound_ms:.0} are \
                 allowed"
            ),
            Self::NothingMeasured { what } => write!(f, "{what} could not be measured"),
            Self::MemoryGrows { collector, rise_bytes, bound_bytes } => write!(
                f,
                "collector {collector} grew by {:.1} MiB over the second half; at most {:.1} are \
                 allowed",
                rise_bytes / 1_048_576.0,
                bound_bytes / 1_048_576.0
            ),
            Self::FilesLeak { collector, before, after } => write!(
                f,
                "collector {collector} has {after} open files after the last agent, and had \
                 {before} before the first"
            ),
            Self::AttackNotRefused { kind, code, of } => {
                write!(f, "none of {of} attacks of kind {kind} was rejected with {code}")
            }
            Self::AttackWelcomed { kind, times } => {
                write!(f, "attacks of kind {kind} were welcomed {times} times")
            }
            Self::RefusalsUncounted { code, told, counted } => write!(
                f,
                "attackers received {code} {told} times, but the collector counted {counted}"
            ),
            Self::ReportsHeldUp { what, attacked_ms, quiet_ms, bound_ms } => write!(
                f,
                "attacks slow {what} down: p99 {attacked_ms:.1} ms with, {quiet_ms:.1} ms without, \
                 it must stay below {bound_ms:.1} ms"
            ),
            Self::MemoryOverBound { what, bytes, bound_bytes } => write!(
                f,
                "{what} memory reached {:.1} MiB, over the bound of {:.1}",
                *bytes as f64 / 1_048_576.0,
                *bound_bytes as f64 / 1_048_576.0
            ),
            Self::ConnectionsLeft { open, of, within } => write!(
                f,
                "{open} connections are open {} s after the attacks, but there are {of} honest \
                 agents",
                within.as_secs()
            ),
        }
    }
}
