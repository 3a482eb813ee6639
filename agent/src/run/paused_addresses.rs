//! Addresses of collectors that are not to be tried for a while.
//!
//! A round tries the available addresses one after the other. The agent waits only after a round in
//! which all addresses failed, until the first of them may be tried again.

use std::fmt;
use std::time::{Duration, Instant};

use super::candidates::Candidate;
use super::failure::{Failure, Failures, Retry};

/// The paused addresses, each with the end of its pause and its last failure.
#[derive(Debug)]
pub(super) struct PausedAddresses<A = Candidate>(Vec<PausedAddress<A>>);

#[derive(Debug)]
struct PausedAddress<A> {
    address: A,
    until: Instant,
    failure: Failure,
}

impl<A> Default for PausedAddresses<A> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<A: Clone + PartialEq + fmt::Display> PausedAddresses<A> {
    /// Pauses `address` for the delay of `failure`. If the failure is retried by backoff, ends the
    /// pause.
    pub(super) fn record(&mut self, address: &A, failure: &Failure, now: Instant) {
        self.0.retain(|paused| paused.address != *address);
        if failure.retry != Retry::Backoff {
            let until = now + failure.retry.min_delay();
            let (address, failure) = (address.clone(), failure.clone());
            self.0.push(PausedAddress { address, until, failure });
        }
    }

    /// Returns those of `addresses` that are not paused at `now`.
    pub(super) fn available(&mut self, addresses: &[A], now: Instant) -> Vec<A> {
        self.0.retain(|paused| paused.until > now);
        let paused = |address: &A| self.0.iter().any(|paused| paused.address == *address);
        addresses.iter().filter(|address| !paused(address)).cloned().collect()
    }

    /// Returns the last failures of the paused addresses among `addresses`.
    pub(super) fn failures(&self, addresses: &[A]) -> Failures {
        let paused = self.0.iter().filter(|paused| addresses.contains(&paused.address));
        let mut failures = Failures::default();
        for paused in paused {
            // A failure of an earlier round does not end this one.
            let failure = Failure { ends_round: false, ..paused.failure.clone() };
            failures.push(&paused.address, failure);
        }
        failures
    }

    /// Returns the earliest retry among `addresses`, with the time left at `now`.
    pub(super) fn next_retry(&self, addresses: &[A], now: Instant) -> Retry {
        let retry = |address: &A| {
            let paused = self.0.iter().find(|paused| paused.address == *address);
            paused.map_or(Retry::Backoff, |paused| {
                paused.failure.retry.with_remaining(paused.until.saturating_duration_since(now))
            })
        };
        let retries = addresses.iter().map(retry);
        retries.min_by_key(|retry| retry.min_delay()).unwrap_or(Retry::Backoff)
    }

    /// Returns the time left at `now` until the earliest retry slot of `addresses`; `None` without
    /// one.
    pub(super) fn next_retry_slot(&self, addresses: &[A], now: Instant) -> Option<Duration> {
        let slots = self.0.iter().filter(|paused| {
            matches!(paused.failure.retry, Retry::Slot(_)) && addresses.contains(&paused.address)
        });
        slots.map(|paused| paused.until.saturating_duration_since(now)).min()
    }

    /// Returns whether an address is paused until the operator fixes the cause.
    pub(super) fn has_permanent(&self) -> bool {
        self.0.iter().any(PausedAddress::is_permanent)
    }

    /// Ends the pauses after permanent failures. Pauses that a collector asked for continue.
    pub(super) fn clear_permanent(&mut self) {
        self.0.retain(|paused| !paused.is_permanent());
    }
}

impl<A> PausedAddress<A> {
    const fn is_permanent(&self) -> bool {
        self.failure.is_permanent()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use fleetgauge_proto::Code;

    use super::*;
    use crate::backoff::{MAX_REQUESTED_DELAY, REJECTED_DELAY};
    use crate::run::reject_advice::advice;

    const SECOND: Duration = Duration::from_secs(1);

    fn addresses() -> [SocketAddr; 2] {
        [1, 2].map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// Returns both addresses, paused as `retries` says.
    fn paused(retries: [Retry; 2], now: Instant) -> PausedAddresses<SocketAddr> {
        let mut paused = PausedAddresses::default();
        for (address, retry) in addresses().into_iter().zip(retries) {
            paused.record(&address, &Failure { retry, ..Failure::new("no") }, now);
        }
        paused
    }

    fn full(seconds: u64) -> Retry {
        Failure::rejected(80, "full", Some(Duration::from_secs(seconds))).retry
    }

    #[test]
    fn next_retry_is_that_of_the_earliest_address() {
        let now = Instant::now();
        let next_retry = |pauses| paused(pauses, now).next_retry(&addresses(), now);
        let fix = Failure::permanent("bad", "fix it").retry;
        assert_eq!(next_retry([fix, Retry::Backoff]), Retry::Backoff);
        assert_eq!(next_retry([fix, full(7)]), Retry::After(SECOND * 7));
        assert_eq!(next_retry([full(9), full(7)]), Retry::After(SECOND * 7));
        assert_eq!(next_retry([fix, fix]), Retry::AfterFix(REJECTED_DELAY));
        let slot = Failure::rejected(Code::HandshakesFull.to_u16(), "", Some(SECOND)).retry;
        assert_eq!(next_retry([full(9), slot]), Retry::Slot(SECOND));
    }

    #[test]
    fn next_retry_includes_addresses_skipped_in_the_round() {
        let ([a, b], now) = (addresses(), Instant::now());
        let mut paused = paused([full(45), Retry::Backoff], now);
        let later = now + SECOND * 5;
        assert_eq!(paused.available(&[a, b], later), [b]);
        paused.record(&b, &Failure::rejected(90, "no", None), later);
        assert_eq!(paused.next_retry(&[a, b], later), Retry::After(SECOND * 40));
    }

    #[test]
    fn paused_address_is_skipped_until_its_delay_is_over() {
        let ([a, b], now) = (addresses(), Instant::now());
        let mut paused = paused([full(30), Retry::Backoff], now);
        assert_eq!(paused.available(&[a, b], now), [b]);
        assert_eq!(paused.available(&[a, b], now + SECOND * 29), [b]);
        paused.clear_permanent();
        assert_eq!(paused.available(&[a, b], now), [b], "the collector asked for this delay");
        assert_eq!(paused.available(&[a, b], now + SECOND * 30), [a, b]);
    }

    #[test]
    fn no_address_is_available_while_all_are_paused() {
        let ([a, b], now) = (addresses(), Instant::now());
        let mut paused = paused([full(30), full(20)], now);
        assert_eq!(paused.available(&[a, b], now + SECOND * 19), []);
        assert_eq!(paused.available(&[a, b], now + SECOND * 20), [b]);
        assert_eq!(paused.available(&[], now), []);
    }

    #[test]
    fn clear_permanent_ends_only_pauses_without_a_requested_delay() {
        let ([a, b], now) = (addresses(), Instant::now());
        let mut paused = paused([Failure::rejected(90, "no", None).retry, full(30)], now);
        assert_eq!(paused.available(&[a, b], now), []);
        assert!(paused.has_permanent());
        paused.clear_permanent();
        assert_eq!(paused.available(&[a, b], now), [a]);
        assert!(!paused.has_permanent());
    }

    #[test]
    fn requested_pause_is_capped_at_an_hour() {
        let ([a, b], now) = (addresses(), Instant::now());
        let mut paused = paused([full(1 << 30), Retry::Backoff], now);
        assert_eq!(paused.available(&[a, b], now + MAX_REQUESTED_DELAY), [a, b]);
    }

    #[test]
    fn summary_includes_paused_addresses() {
        let ([a, b], now) = (addresses(), Instant::now());
        let mut paused = PausedAddresses::default();
        paused.record(&a, &Failure::rejected(Code::Unauthorized.to_u16(), "no", None), now);
        let mut failures = paused.failures(&[a, b]);
        failures.push(b, Failure::new(format!("{b}: Connection refused")));
        let summary = failures.summary();
        let rejected = format!("{a}: rejected, unauthorized: \"no\"");
        assert_eq!(summary.cause, format!("{rejected}; {b}: Connection refused"));
        assert_eq!(summary.advice.as_deref(), advice(Code::Unauthorized.to_u16()));
    }

    #[test]
    fn next_retry_slot_is_the_earliest_slot() {
        let ([a, b], now) = (addresses(), Instant::now());
        let slot = |seconds| Retry::Slot(SECOND * seconds);
        let next = |pauses| paused(pauses, now).next_retry_slot(&[a, b], now + SECOND);
        assert_eq!(next([Retry::Backoff, slot(3)]), Some(SECOND * 2));
        assert_eq!(next([slot(5), slot(3)]), Some(SECOND * 2));
        assert_eq!(next([full(1), slot(3)]), Some(SECOND * 2));
        assert_eq!(next([Retry::Backoff, full(3)]), None, "a delay is a minimum, not a slot");
        assert_eq!(paused([Retry::Backoff, slot(3)], now).next_retry_slot(&[a], now), None);
    }
}
