//! Why an agent is not there.

use fleetgauge_proto::Code;

use crate::ending::Ending;

/// Why an agent is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Its session ended so.
    Ended(Ending),
    /// It was connected before the collector started and has not come back.
    NotReturned,
    /// It is expected, and was not seen since the collector started.
    NeverSeen,
}

impl Reason {
    /// The name under which it is shown and kept.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ended(ending) => ending.reason(),
            Self::NotReturned => "not_returned",
            Self::NeverSeen => "never_seen",
        }
    }

    /// The reason of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|reason| reason.name() == name)
    }

    /// Every reason with a name of its own.
    fn all() -> impl Iterator<Item = Self> {
        let rejected = Code::ALL.iter().copied().map(Ending::Rejected);
        let ended = Ending::UNTOLD.into_iter().chain(rejected).map(Self::Ended);
        ended.chain([Self::NotReturned, Self::NeverSeen])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back() {
        let all: Vec<_> = Reason::all().collect();
        for reason in &all {
            assert_eq!(Reason::named(reason.name()), Some(*reason));
        }
        for ending in [Ending::Bye, Ending::BadProxyHeader, Ending::Rejected(Code::BadMagic)] {
            assert!(all.contains(&Reason::Ended(ending)), "{ending:?}");
        }
        assert_eq!(Reason::named(Ending::Drained.reason()), Some(Reason::Ended(Ending::Bye)));
        assert_eq!(Reason::named("bored"), None);
    }
}
