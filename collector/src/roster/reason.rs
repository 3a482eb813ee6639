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
        let ends =
            Ending::UNTOLD.into_iter().chain(Code::ALL.iter().copied().map(Ending::Rejected));
        let mut all = ends.map(Self::Ended).chain([Self::NotReturned, Self::NeverSeen]);
        all.find(|reason| reason.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back() {
        for reason in [
            Reason::NotReturned,
            Reason::NeverSeen,
            Reason::Ended(Ending::Bye),
            Reason::Ended(Ending::Closed),
            Reason::Ended(Ending::Reset),
            Reason::Ended(Ending::WriteTimeout),
            Reason::Ended(Ending::Tls),
            Reason::Ended(Ending::Tls),
            Reason::Ended(Ending::Rejected(Code::ReportTimeout)),
        ] {
            assert_eq!(Reason::named(reason.name()), Some(reason));
        }
        assert_eq!(Reason::named("bored"), None);
    }
}
