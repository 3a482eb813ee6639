//! Failures to connect, lost sessions, and when to retry.

use std::fmt;
use std::time::Duration;

use fleetgauge_proto::Code;

use super::reject_advice::{advice, meaning};
use crate::backoff::{MAX_REQUESTED_DELAY, REJECTED_DELAY};
use crate::client::code_reason;

/// When to retry an address after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    /// After the agent's own backoff.
    Backoff,
    /// At the retry slot that the collector assigned: after this delay.
    Slot(Duration),
    /// After the delay that the collector asked for.
    After(Duration),
    /// After this delay, or earlier if the credentials change: retrying alone will not help.
    AfterFix(Duration),
}

impl Retry {
    /// Returns the shortest delay before the retry.
    pub(super) fn min_delay(self) -> Duration {
        match self {
            Self::Backoff => Duration::ZERO,
            Self::Slot(delay) | Self::After(delay) | Self::AfterFix(delay) => {
                delay.min(MAX_REQUESTED_DELAY)
            }
        }
    }

    /// Returns this retry with `left` as the remaining delay.
    pub(super) const fn with_remaining(self, left: Duration) -> Self {
        match self {
            Self::Backoff => Self::Backoff,
            Self::Slot(_) => Self::Slot(left),
            Self::After(_) => Self::After(left),
            Self::AfterFix(_) => Self::AfterFix(left),
        }
    }
}

/// A failed attempt, a lost session, or a failed round of attempts.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// What happened, for logs.
    pub(super) cause: String,
    /// What the operator can do, if there is any advice.
    pub(super) advice: Option<String>,
    pub(super) retry: Retry,
    /// Time until the earliest retry slot of all addresses; the backoff must not exceed it.
    pub(super) retry_slot: Option<Duration>,
    /// Whether the round ends: the other addresses are not tried.
    pub(super) ends_round: bool,
}

impl Failure {
    /// Creates a failure that is retried after the backoff.
    pub(super) fn new(cause: impl fmt::Display) -> Self {
        let cause = cause.to_string();
        Self { cause, advice: None, retry: Retry::Backoff, retry_slot: None, ends_round: false }
    }

    /// Creates a failure that the operator must fix.
    pub(super) fn permanent(cause: impl fmt::Display, advice: &str) -> Self {
        let advice = Some(advice.to_owned());
        Self { advice, retry: Retry::AfterFix(REJECTED_DELAY), ..Self::new(cause) }
    }

    /// Creates the failure for a Reject.
    pub(super) fn rejected(code: u16, text: &str, retry_after: Option<Duration>) -> Self {
        let (retry, advice) = match retry_after {
            Some(slot) if code == Code::HandshakesFull.to_u16() => {
                (Retry::Slot(slot), advice(code))
            }
            Some(delay) => (Retry::After(delay), advice(code)),
            None => (Retry::AfterFix(REJECTED_DELAY), advice(code).or_else(|| Some(meaning(code)))),
        };
        Self {
            cause: format!("rejected, {}: {text:?}", code_reason(code)),
            advice: advice.map(str::to_owned),
            retry,
            retry_slot: None,
            ends_round: ends_round(code),
        }
    }

    /// Returns whether the operator must fix the cause.
    pub(super) const fn is_permanent(&self) -> bool {
        matches!(self.retry, Retry::AfterFix(_))
    }
}

/// Returns whether a Reject code ends the round: another agent with this id reports to the
/// collector. The collectors at the other addresses do not know that agent and would accept this
/// one.
fn ends_round(code: u16) -> bool {
    matches!(Code::from_u16(code), Some(Code::IdConflict | Code::Superseded))
}

/// Failures of one round by address or name: first of the paused addresses, then of the names
/// without an address, then of the attempts.
#[derive(Debug, Default)]
pub(super) struct Failures(Vec<(String, Failure)>);

impl Failures {
    /// Adds the failure of an address or a name.
    pub(super) fn push(&mut self, of: impl fmt::Display, failure: Failure) {
        self.0.push((of.to_string(), failure));
    }

    /// Returns the failure of the round. Its retry is the backoff, unless the last failure ended
    /// the round.
    pub(super) fn summary(&self) -> Failure {
        let mut advice: Vec<&str> = Vec::new();
        for one in self.0.iter().filter_map(|(_, failure)| failure.advice.as_deref()) {
            if !advice.contains(&one) {
                advice.push(one);
            }
        }
        let advice = (!advice.is_empty()).then(|| advice.join("; "));
        let summary = Failure { advice, ..Failure::new(self.cause()) };
        match self.0.last() {
            Some((_, Failure { retry, ends_round: true, .. })) => {
                Failure { retry: *retry, ends_round: true, ..summary }
            }
            _ => summary,
        }
    }

    /// Returns the causes of all failures as one text; each with its address if there are several.
    fn cause(&self) -> String {
        match &*self.0 {
            [] => "no address was tried".to_owned(),
            [(_, only)] => only.cause.clone(),
            all => {
                let causes = all.iter().map(|(address, failure)| {
                    let has_address = failure.cause.starts_with(address);
                    let address = if has_address { String::new() } else { format!("{address}: ") };
                    format!("{address}{}", failure.cause)
                });
                causes.collect::<Vec<_>>().join("; ")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn addresses() -> [SocketAddr; 2] {
        [1, 2].map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
    }

    #[test]
    fn summary_names_each_address_once_and_keeps_the_advice() {
        let [a, b] = addresses();
        let mut failures = Failures::default();
        failures.push(a, Failure::new(format!("{a}: refused")));
        failures.push(b, Failure::rejected(Code::TlsRequired.to_u16(), "no", None));
        let summary = failures.summary();
        assert_eq!(summary.cause, format!("{a}: refused; {b}: rejected, tls_required: \"no\""));
        assert_eq!(summary.advice.as_deref(), advice(Code::TlsRequired.to_u16()));
    }

    #[test]
    fn only_an_id_conflict_sets_the_retry_of_the_summary() {
        let [a, b] = addresses();
        let mut failures = Failures::default();
        failures.push(a, Failure::new("closed"));
        assert!(!failures.summary().ends_round);
        failures.push(b, Failure::rejected(Code::IdConflict.to_u16(), "no", Some(SECOND)));
        let summary = failures.summary();
        assert!(summary.ends_round);
        assert_eq!(summary.retry, Retry::After(SECOND));
    }
}
