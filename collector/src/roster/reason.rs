//! Why an agent has departed.

use fleetgauge_proto::Code;

use crate::peers::close_reason::CloseReason;

/// Why an agent has departed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Its session has ended.
    Ended(CloseReason),
    /// It was connected before a restart of the collector and has not returned.
    NotReturned,
    /// It is expected, and has not connected since the start.
    NeverSeen,
}

impl Reason {
    /// Returns the name used on pages and in the state file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ended(close_reason) => close_reason.reason(),
            Self::NotReturned => "not_returned",
            Self::NeverSeen => "never_seen",
        }
    }

    /// Returns the reason with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|reason| reason.name() == name)
    }

    /// Returns all reasons, one for each name.
    fn all() -> impl Iterator<Item = Self> {
        let rejected = Code::ALL.iter().copied().map(CloseReason::Rejected);
        let ended = CloseReason::WITHOUT_REJECT.into_iter().chain(rejected).map(Self::Ended);
        ended.chain([Self::NotReturned, Self::NeverSeen])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_yields_its_reason() {
        let all: Vec<_> = Reason::all().collect();
        for reason in &all {
            assert_eq!(Reason::named(reason.name()), Some(*reason));
        }
        for close_reason in
            [CloseReason::Bye, CloseReason::BadProxyHeader, CloseReason::Rejected(Code::BadMagic)]
        {
            assert!(all.contains(&Reason::Ended(close_reason)), "{close_reason:?}");
        }
        assert_eq!(
            Reason::named(CloseReason::Drained.reason()),
            Some(Reason::Ended(CloseReason::Bye))
        );
        assert_eq!(Reason::named("bored"), None);
    }
}
