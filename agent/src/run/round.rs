//! A round of attempts, one at each address of the collector, and when an address may be tried
//! again.
//!
//! An address that fails, in whatever way, gives way to the next at once. Only when all have failed
//! does the agent wait: until the first of all addresses may be tried again. An address that has
//! asked for more time is left out until then.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fleetgauge_proto::Code;

use super::advice::{advice, meaning};
use crate::backoff::{HOPELESS_WAIT, LONGEST_OBEYED};
use crate::client::code_reason;

/// How long to leave a failed address alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    /// It named no time, and the agent chooses one.
    Own,
    /// It gave the agent a turn in its queue.
    Turn(Duration),
    /// It named this time.
    Named(Duration),
    /// The same again will not help. Ends earlier when an operator may have mended the cause.
    Mended(Duration),
}

impl Pause {
    fn least(self) -> Duration {
        match self {
            Self::Own => Duration::ZERO,
            Self::Turn(wait) | Self::Named(wait) | Self::Mended(wait) => wait.min(LONGEST_OBEYED),
        }
    }

    /// The same pause with `left` to go.
    const fn with(self, left: Duration) -> Self {
        match self {
            Self::Own => Self::Own,
            Self::Turn(_) => Self::Turn(left),
            Self::Named(_) => Self::Named(left),
            Self::Mended(_) => Self::Mended(left),
        }
    }
}

/// A failed attempt, a lost session, or a whole round of them.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) cause: String,
    /// What an operator can do about it.
    pub(super) advice: Option<String>,
    pub(super) pause: Pause,
    /// The turn that another address has given, which no wait of our own may miss.
    pub(super) turn: Option<Duration>,
    /// The other addresses would say the same, or must not be asked.
    pub(super) concerns_agent: bool,
}

impl Failure {
    pub(super) fn new(cause: impl std::fmt::Display) -> Self {
        let cause = cause.to_string();
        Self { cause, advice: None, pause: Pause::Own, turn: None, concerns_agent: false }
    }

    /// The same again will not help.
    pub(super) fn hopeless(cause: impl std::fmt::Display, advice: &str) -> Self {
        let advice = Some(advice.to_owned());
        Self { advice, pause: Pause::Mended(HOPELESS_WAIT), ..Self::new(cause) }
    }

    /// The collector's Reject.
    pub(super) fn rejected(code: u16, text: &str, retry_after: Option<Duration>) -> Self {
        let (pause, advice) = match retry_after {
            Some(turn) if code == Code::HandshakesFull.to_u16() => {
                (Pause::Turn(turn), advice(code))
            }
            Some(wait) => (Pause::Named(wait), advice(code)),
            None => (Pause::Mended(HOPELESS_WAIT), advice(code).or_else(|| Some(meaning(code)))),
        };
        Self {
            cause: format!("rejected, {}: {text:?}", code_reason(code)),
            advice: advice.map(str::to_owned),
            pause,
            turn: None,
            concerns_agent: concerns_agent(code),
        }
    }

    /// Whether the same again will not help.
    pub(super) const fn is_refusal(&self) -> bool {
        matches!(self.pause, Pause::Mended(_))
    }
}

/// Whether a Reject ends the round: another host holds the id at this collector. Other collectors
/// do not know that, and would show one id for two hosts.
fn concerns_agent(code: u16) -> bool {
    matches!(Code::from_u16(code), Some(Code::IdConflict | Code::Superseded))
}

/// The failures of one round, and before it of the addresses that it leaves out.
#[derive(Debug, Default)]
pub(super) struct Failures(Vec<(SocketAddr, Failure)>);

impl Failures {
    pub(super) fn push(&mut self, address: SocketAddr, failure: Failure) {
        self.0.push((address, failure));
    }

    /// The failure of the round. Asks for time only if the last failure concerns the agent.
    pub(super) fn whole(&self) -> Failure {
        let mut advice: Vec<&str> = Vec::new();
        for given in self.0.iter().filter_map(|(_, failure)| failure.advice.as_deref()) {
            if !advice.contains(&given) {
                advice.push(given);
            }
        }
        let advice = (!advice.is_empty()).then(|| advice.join("; "));
        let whole = Failure { advice, ..Failure::new(self.cause()) };
        match self.0.last() {
            Some((_, Failure { pause, concerns_agent: true, .. })) => {
                Failure { pause: *pause, concerns_agent: true, ..whole }
            }
            _ => whole,
        }
    }

    /// What went wrong, at each address if there are several.
    fn cause(&self) -> String {
        match &*self.0 {
            [] => "no address was tried".to_owned(),
            [(_, only)] => only.cause.clone(),
            all => {
                let causes = all.iter().map(|(address, failure)| {
                    let named = failure.cause.starts_with(&address.to_string());
                    let address = if named { String::new() } else { format!("{address}: ") };
                    format!("{address}{}", failure.cause)
                });
                causes.collect::<Vec<_>>().join("; ")
            }
        }
    }
}

/// Addresses that have asked for time, and until when.
#[derive(Debug, Default)]
pub(super) struct Paused(Vec<Rest>);

#[derive(Debug)]
struct Rest {
    address: SocketAddr,
    until: Instant,
    failure: Failure,
}

impl Paused {
    /// Replaces what `address` asked for before.
    pub(super) fn note(&mut self, address: SocketAddr, failure: &Failure, now: Instant) {
        self.0.retain(|rest| rest.address != address);
        if failure.pause != Pause::Own {
            let until = now + failure.pause.least();
            self.0.push(Rest { address, until, failure: failure.clone() });
        }
    }

    /// Those of `addresses` that may be tried at `now`.
    pub(super) fn due(&mut self, addresses: &[SocketAddr], now: Instant) -> Vec<SocketAddr> {
        self.0.retain(|rest| rest.until > now);
        let paused = |address| self.0.iter().any(|rest| rest.address == address);
        addresses.iter().copied().filter(|address| !paused(*address)).collect()
    }

    /// Why some of `addresses` are left out.
    pub(super) fn failures(&self, addresses: &[SocketAddr]) -> Failures {
        let left_out = self.0.iter().filter(|rest| addresses.contains(&rest.address));
        let failures = left_out.map(|rest| {
            // It does not end this round.
            (rest.address, Failure { concerns_agent: false, ..rest.failure.clone() })
        });
        Failures(failures.collect())
    }

    /// What is left at `now` of the pause that ends first among all of `addresses`.
    pub(super) fn soonest(&self, addresses: &[SocketAddr], now: Instant) -> Pause {
        let left = |address: &SocketAddr| {
            let own = self.0.iter().find(|rest| rest.address == *address);
            own.map_or(Pause::Own, |rest| {
                rest.failure.pause.with(rest.until.saturating_duration_since(now))
            })
        };
        addresses.iter().map(left).min_by_key(|pause| pause.least()).unwrap_or(Pause::Own)
    }

    /// What is left at `now` until the first turn that one of `addresses` has given.
    pub(super) fn next_turn(&self, addresses: &[SocketAddr], now: Instant) -> Option<Duration> {
        let turns = self.0.iter().filter(|rest| {
            matches!(rest.failure.pause, Pause::Turn(_)) && addresses.contains(&rest.address)
        });
        turns.map(|rest| rest.until.saturating_duration_since(now)).min()
    }

    /// Whether a pause would end if an operator mended the cause.
    pub(super) fn is_mendable(&self) -> bool {
        self.0.iter().any(Rest::is_mendable)
    }

    /// The cause may be mended: pauses that no collector has named end.
    pub(super) fn mended(&mut self) {
        self.0.retain(|rest| !rest.is_mendable());
    }
}

impl Rest {
    const fn is_mendable(&self) -> bool {
        self.failure.is_refusal()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn addresses() -> [SocketAddr; 2] {
        [1, 2].map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// What the first and the second address have asked for.
    fn paused(pauses: [Pause; 2], now: Instant) -> Paused {
        let mut paused = Paused::default();
        for (address, pause) in addresses().into_iter().zip(pauses) {
            paused.note(address, &Failure { pause, ..Failure::new("no") }, now);
        }
        paused
    }

    fn full(seconds: u64) -> Pause {
        Failure::rejected(80, "full", Some(Duration::from_secs(seconds))).pause
    }

    #[test]
    fn the_wait_is_that_of_the_address_to_be_tried_soonest() {
        let now = Instant::now();
        let soonest = |pauses| paused(pauses, now).soonest(&addresses(), now);
        let mend = Failure::hopeless("bad", "mend it").pause;
        assert_eq!(soonest([mend, Pause::Own]), Pause::Own);
        assert_eq!(soonest([mend, full(7)]), Pause::Named(SECOND * 7));
        assert_eq!(soonest([full(9), full(7)]), Pause::Named(SECOND * 7));
        assert_eq!(soonest([mend, mend]), Pause::Mended(HOPELESS_WAIT));
        let turn = Failure::rejected(Code::HandshakesFull.to_u16(), "", Some(SECOND)).pause;
        assert_eq!(soonest([full(9), turn]), Pause::Turn(SECOND));
    }

    #[test]
    fn an_address_that_was_left_out_of_the_round_counts_for_the_wait() {
        let ([a, b], now) = (addresses(), Instant::now());
        let mut paused = paused([full(45), Pause::Own], now);
        let later = now + SECOND * 5;
        assert_eq!(paused.due(&[a, b], later), [b]);
        paused.note(b, &Failure::rejected(90, "no", None), later);
        assert_eq!(paused.soonest(&[a, b], later), Pause::Named(SECOND * 40));
    }

    #[test]
    fn an_address_that_asked_for_time_is_left_out_until_then() {
        let ([a, b], now) = (addresses(), Instant::now());
        let mut paused = paused([full(30), Pause::Own], now);
        assert_eq!(paused.due(&[a, b], now), [b]);
        assert_eq!(paused.due(&[a, b], now + SECOND * 29), [b]);
        paused.mended();
        assert_eq!(paused.due(&[a, b], now), [b], "a collector has named this time");
        assert_eq!(paused.due(&[a, b], now + SECOND * 30), [a, b]);
    }

    #[test]
    fn if_all_have_asked_for_time_none_is_tried_before_the_first_is_due() {
        let ([a, b], now) = (addresses(), Instant::now());
        let mut paused = paused([full(30), full(20)], now);
        assert_eq!(paused.due(&[a, b], now + SECOND * 19), []);
        assert_eq!(paused.due(&[a, b], now + SECOND * 20), [b]);
        assert_eq!(paused.due(&[], now), []);
    }

    #[test]
    fn a_pause_that_nobody_named_ends_when_the_cause_may_be_mended() {
        let ([a, b], now) = (addresses(), Instant::now());
        let mut paused = paused([Failure::rejected(90, "no", None).pause, full(30)], now);
        assert_eq!(paused.due(&[a, b], now), []);
        assert!(paused.is_mendable());
        paused.mended();
        assert_eq!(paused.due(&[a, b], now), [a]);
        assert!(!paused.is_mendable());
    }

    #[test]
    fn no_collector_silences_an_address_for_days() {
        let ([a, b], now) = (addresses(), Instant::now());
        let mut paused = paused([full(1 << 30), Pause::Own], now);
        assert_eq!(paused.due(&[a, b], now + LONGEST_OBEYED), [a, b]);
    }

    #[test]
    fn the_cause_names_each_address_once_and_the_advice_is_kept() {
        let [a, b] = addresses();
        let mut failures = Failures::default();
        failures.push(a, Failure::new(format!("{a}: refused")));
        failures.push(b, Failure::rejected(Code::TlsRequired.to_u16(), "no", None));
        let whole = failures.whole();
        assert_eq!(whole.cause, format!("{a}: refused; {b}: rejected, tls_required: \"no\""));
        assert_eq!(whole.advice.as_deref(), advice(Code::TlsRequired.to_u16()));
    }

    #[test]
    fn the_cause_and_the_advice_of_an_address_that_is_left_out_are_kept() {
        let ([a, b], now) = (addresses(), Instant::now());
        let mut paused = Paused::default();
        paused.note(a, &Failure::rejected(Code::Unauthorized.to_u16(), "no", None), now);
        let mut failures = paused.failures(&[a, b]);
        failures.push(b, Failure::new(format!("{b}: Connection refused")));
        let whole = failures.whole();
        let refusal = format!("{a}: rejected, unauthorized: \"no\"");
        assert_eq!(whole.cause, format!("{refusal}; {b}: Connection refused"));
        assert_eq!(whole.advice.as_deref(), advice(Code::Unauthorized.to_u16()));
    }

    #[test]
    fn an_id_conflict_alone_says_when_the_next_round_is_due() {
        let [a, b] = addresses();
        let mut failures = Failures::default();
        failures.push(a, Failure::new("closed"));
        assert!(!failures.whole().concerns_agent);
        failures.push(b, Failure::rejected(Code::IdConflict.to_u16(), "no", Some(SECOND)));
        let whole = failures.whole();
        assert!(whole.concerns_agent);
        assert_eq!(whole.pause, Pause::Named(SECOND));
    }

    #[test]
    fn the_next_turn_is_the_first_of_those_that_the_addresses_have_given() {
        let ([a, b], now) = (addresses(), Instant::now());
        let turn = |seconds| Pause::Turn(SECOND * seconds);
        let next = |pauses| paused(pauses, now).next_turn(&[a, b], now + SECOND);
        assert_eq!(next([Pause::Own, turn(3)]), Some(SECOND * 2));
        assert_eq!(next([turn(5), turn(3)]), Some(SECOND * 2));
        assert_eq!(next([full(1), turn(3)]), Some(SECOND * 2));
        assert_eq!(next([Pause::Own, full(3)]), None, "a time is a minimum, and no turn");
        assert_eq!(paused([Pause::Own, turn(3)], now).next_turn(&[a], now), None);
    }
}
