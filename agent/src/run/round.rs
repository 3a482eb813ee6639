//! A round of attempts, one at each address of the collector, and when an address may be tried again.
//!
//! An address that fails, in whatever way, gives way to the next at once. Only when all have failed does the agent wait,
//! as long as the one that is to be tried soonest wants. One that has asked for more time is left out until then.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fleetgauge_proto::Code;

use super::advice::{advice, meaning};
use crate::backoff::{HOPELESS_WAIT, LONGEST_OBEYED};
use crate::client::code_reason;

/// How long a failed address wants to be left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    /// It has not said anything about it.
    Own,
    /// Its turn among those who wait comes then.
    Turn(Duration),
    /// It has named this time.
    Named(Duration),
    /// The same again will not help, until somebody mends the cause in this way.
    Mended(&'static str),
}

impl Pause {
    fn least(self) -> Duration {
        match self {
            Self::Own => Duration::ZERO,
            Self::Turn(wait) | Self::Named(wait) => wait.min(LONGEST_OBEYED),
            Self::Mended(_) => HOPELESS_WAIT,
        }
    }
}

/// An attempt that has led to no session.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) cause: String,
    pub(super) pause: Pause,
    /// The other addresses would say the same, or must not be asked.
    pub(super) concerns_agent: bool,
}

impl Failure {
    pub(super) fn new(cause: impl std::fmt::Display) -> Self {
        Self { cause: cause.to_string(), pause: Pause::Own, concerns_agent: false }
    }

    /// The same again will not help.
    pub(super) fn hopeless(cause: impl std::fmt::Display, advice: &'static str) -> Self {
        Self { pause: Pause::Mended(advice), ..Self::new(cause) }
    }

    /// The collector's Reject, before Welcome.
    pub(super) fn rejected(code: u16, text: &str, retry_after: Option<Duration>) -> Self {
        let pause = match retry_after {
            Some(turn) if code == Code::HandshakesFull.to_u16() => Pause::Turn(turn),
            Some(wait) => Pause::Named(wait),
            None => Pause::Mended(advice(code).unwrap_or_else(|| meaning(code))),
        };
        let advice = match (pause, advice(code)) {
            // It is told beside the cause.
            (Pause::Mended(_), _) | (_, None) => String::new(),
            (_, Some(advice)) => format!("; {advice}"),
        };
        let reason = code_reason(code);
        Self {
            cause: format!("rejected, {reason}: {text:?}{advice}"),
            pause,
            concerns_agent: concerns_agent(code),
        }
    }
}

/// Whether a Reject ends the round: another host holds the id at this collector. Others do not know of it, and would show
/// one id for two hosts.
fn concerns_agent(code: u16) -> bool {
    matches!(Code::from_u16(code), Some(Code::IdConflict | Code::Superseded))
}

/// The failures of one round.
#[derive(Debug, Default)]
pub(super) struct Failures(Vec<(SocketAddr, Failure)>);

impl Failures {
    pub(super) fn push(&mut self, address: SocketAddr, failure: Failure) {
        self.0.push((address, failure));
    }

    /// What went wrong, at each address if there are several.
    pub(super) fn cause(&self) -> String {
        match &*self.0 {
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

    /// What the address wants that is to be tried soonest.
    pub(super) fn soonest(&self) -> Pause {
        let pauses = self.0.iter().map(|(_, failure)| failure.pause);
        pauses.min_by_key(|pause| pause.least()).unwrap_or(Pause::Own)
    }
}

/// Addresses that have asked for time, and until when.
#[derive(Debug, Default)]
pub(super) struct Paused(Vec<Rest>);

#[derive(Debug, Clone, Copy)]
struct Rest {
    address: SocketAddr,
    until: Instant,
    /// Nobody has named the time: it ends when somebody may have mended the cause.
    mendable: bool,
}

impl Paused {
    /// Notes what the failures of a round that ended at `now` ask for.
    pub(super) fn note(&mut self, failures: &Failures, now: Instant) {
        self.0.retain(|rest| rest.until > now);
        for (address, failure) in &failures.0 {
            let least = failure.pause.least();
            if least > Duration::ZERO {
                let mendable = matches!(failure.pause, Pause::Mended(_));
                self.0.push(Rest { address: *address, until: now + least, mendable });
            }
        }
    }

    /// Those of `addresses` that may be tried at `now`: if that is none, the one whose pause ends first.
    pub(super) fn due(&self, addresses: &[SocketAddr], now: Instant) -> Vec<SocketAddr> {
        let until = |address: &SocketAddr| {
            let own = self.0.iter().filter(|rest| rest.address == *address);
            own.map(|rest| rest.until).max().unwrap_or(now)
        };
        let due = addresses.iter().copied().filter(|address| until(address) <= now);
        let due: Vec<_> = due.collect();
        if due.is_empty() {
            addresses.iter().copied().min_by_key(until).into_iter().collect()
        } else {
            due
        }
    }

    /// The cause may be mended: pauses that no collector has named end.
    pub(super) fn mended(&mut self) {
        self.0.retain(|rest| !rest.mendable);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn addresses() -> [SocketAddr; 2] {
        [1, 2].map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
    }

    fn failed(causes: [Failure; 2]) -> Failures {
        Failures(addresses().into_iter().zip(causes).collect())
    }

    fn full(seconds: u64) -> Failure {
        Failure::rejected(80, "full", Some(SECOND * u32::try_from(seconds).unwrap()))
    }

    #[test]
    fn the_wait_is_that_of_the_address_to_be_tried_soonest() {
        let mend = || Failure::hopeless("bad", "mend it");
        let down = || Failure::new("connection refused");
        assert_eq!(failed([mend(), down()]).soonest(), Pause::Own);
        assert_eq!(failed([mend(), full(7)]).soonest(), Pause::Named(SECOND * 7));
        assert_eq!(failed([full(9), full(7)]).soonest(), Pause::Named(SECOND * 7));
        assert_eq!(failed([mend(), mend()]).soonest(), Pause::Mended("mend it"));
        let turn = Failure::rejected(Code::HandshakesFull.to_u16(), "", Some(SECOND));
        assert_eq!(failed([full(9), turn]).soonest(), Pause::Turn(SECOND));
    }

    #[test]
    fn an_address_that_asked_for_time_is_left_out_until_then() {
        let ([a, b], now) = (addresses(), Instant::now());
        let mut paused = Paused::default();
        paused.note(&failed([full(30), Failure::new("refused")]), now);
        assert_eq!(paused.due(&[a, b], now), [b]);
        assert_eq!(paused.due(&[a, b], now + SECOND * 29), [b]);
        assert_eq!(paused.due(&[a, b], now + SECOND * 30), [a, b]);
        paused.mended();
        assert_eq!(paused.due(&[a, b], now), [b], "a collector has named this time");
    }

    #[test]
    fn if_all_have_asked_for_time_the_first_to_be_due_is_tried() {
        let ([a, b], now) = (addresses(), Instant::now());
        let mut paused = Paused::default();
        paused.note(&failed([full(30), full(20)]), now);
        assert_eq!(paused.due(&[a, b], now + SECOND), [b]);
        assert_eq!(paused.due(&[], now), []);
    }

    #[test]
    fn a_pause_that_nobody_named_ends_when_the_cause_may_be_mended() {
        let ([a, b], now) = (addresses(), Instant::now());
        let mut paused = Paused::default();
        paused.note(&failed([Failure::rejected(90, "no", None), Failure::new("down")]), now);
        assert_eq!(paused.due(&[a, b], now), [b]);
        paused.mended();
        assert_eq!(paused.due(&[a, b], now), [a, b]);
    }

    #[test]
    fn no_collector_silences_an_address_for_days() {
        let ([a, b], now) = (addresses(), Instant::now());
        let mut paused = Paused::default();
        let days = Failure::rejected(80, "full", Some(Duration::from_secs(1 << 30)));
        paused.note(&failed([days, Failure::new("down")]), now);
        assert_eq!(paused.due(&[a, b], now + LONGEST_OBEYED), [a, b]);
    }

    #[test]
    fn the_cause_names_each_address_once() {
        let [a, b] = addresses();
        let failures = failed([Failure::new(format!("{a}: refused")), Failure::new("no Welcome")]);
        assert_eq!(failures.cause(), format!("{a}: refused; {b}: no Welcome"));
    }
}
