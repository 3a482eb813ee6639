//! How sessions end, and what a peer that is refused is told.

use fleetgauge_proto::message::Reject;
use fleetgauge_proto::{Code, Message, VERSION, Violation};

use crate::clock::Millis;
use crate::stagger::stagger;

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The agent said Bye.
    Bye,
    /// The agent said Bye because the collector had asked it to leave.
    Drained,
    /// The stream ended between two frames.
    Closed,
    /// The connection broke.
    Reset,
    /// The peer did not read what was sent.
    WriteTimeout,
    /// A balancer did not say whose connection it passes on.
    BadProxyHeader,
    /// TLS failed: the peer broke it, or could not prove who it is.
    Tls,
    /// The peer closed the connection before TLS was established.
    TlsUnfinished,
    /// The peer began TLS on a port that does not speak it.
    TlsNotEnabled,
    /// A Reject was sent.
    Rejected(Code),
}

impl Ending {
    /// The ends without a Reject that can come, each under its own name.
    pub const UNTOLD: [Self; 8] = [
        Self::Bye,
        Self::Closed,
        Self::Reset,
        Self::WriteTimeout,
        Self::BadProxyHeader,
        Self::Tls,
        Self::TlsUnfinished,
        Self::TlsNotEnabled,
    ];

    /// Whether it speaks against the address that the connection came from, whose agent has `reported` or not: a rule
    /// was broken or a place taken for nothing. Want of room, and what networks do, do not.
    #[must_use]
    pub const fn is_failure(self, reported: bool) -> bool {
        match self {
            Self::Bye
            | Self::Drained
            | Self::Closed
            | Self::Reset
            | Self::BadProxyHeader
            | Self::TlsUnfinished => false,
            Self::WriteTimeout
            | Self::Tls
            | Self::TlsNotEnabled
            | Self::Rejected(Code::ReportTimeout) => !reported,
            Self::Rejected(
                Code::Superseded
                | Code::CollectorFull
                | Code::AddressFull
                | Code::HandshakesFull
                | Code::SchemasFull
                | Code::Draining
                | Code::AddressPaused
                | Code::CredentialRevoked,
            ) => false,
            Self::Rejected(_) => true,
        }
    }

    /// The name under which it is logged and counted.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Bye | Self::Drained => "bye",
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::WriteTimeout => "write_timeout",
            Self::BadProxyHeader => "bad_proxy_header",
            Self::Tls => "tls",
            Self::TlsUnfinished => "tls_unfinished",
            Self::TlsNotEnabled => "tls_not_enabled",
            Self::Rejected(code) => code.reason(),
        }
    }
}

/// Why a peer is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The code.
    pub code: Code,
    /// What exactly was wrong; empty where the code says it all.
    pub detail: String,
    /// When to come again, where that is this peer's turn and not a matter of the code alone.
    pub turn: Option<Millis>,
}

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        Self { code: violation.code(), detail: violation.to_string(), turn: None }
    }
}

impl Refusal {
    /// A refusal of which the code says everything.
    #[must_use]
    pub const fn of(code: Code) -> Self {
        Self { code, detail: String::new(), turn: None }
    }

    /// A refusal for want of room, until the peer's turn comes after so many milliseconds.
    #[must_use]
    pub fn until(turn: Millis, code: Code) -> Self {
        Self { turn: Some(turn), ..Self::of(code) }
    }

    /// Appends the Reject to `out`; `session` spreads those who are told to come again.
    pub fn write(&self, session: u64, out: &mut Vec<u8>) {
        let text = if self.detail.is_empty() { self.code.meaning() } else { &self.detail };
        let reject = Reject {
            stream: 0,
            code: self.code.to_u16(),
            text,
            retry_after_ms: match self.turn {
                Some(turn) => Some(u32::try_from(turn).unwrap_or(u32::MAX)),
                None => retry_after_ms(self.code, session),
            },
        };
        let written = Message::Reject(reject).encode(VERSION, out);
        debug_assert!(written.is_ok(), "a Reject is short");
    }
}

/// When to come again; `None` where the same again will not help.
fn retry_after_ms(code: Code, session: u64) -> Option<u32> {
    let spread = |from: u32, span: u32| Some(from + stagger(session, span));
    match code {
        Code::HelloTimeout | Code::FrameTimeout | Code::ReportTimeout | Code::TruncatedFrame => {
            Some(1_000)
        }
        Code::CollectorFull | Code::AddressFull => spread(15_000, 30_000),
        // For want of room in all each is given a turn instead.
        Code::HandshakesFull => spread(1_000, 5_000),
        // An agent may have been given another credential since; if not, that comes out at once.
        Code::Draining | Code::CredentialRevoked => spread(1_000, 5_000),
        Code::Superseded => Some(10_000),
        Code::IdConflict => Some(30_000),
        Code::SchemasFull | Code::TooManyReports => Some(60_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `docs/operations.md`, "Addresses".
    #[test]
    fn what_speaks_against_an_address() {
        let never = [
            Code::Superseded,
            Code::CollectorFull,
            Code::AddressFull,
            Code::HandshakesFull,
            Code::SchemasFull,
            Code::Draining,
            Code::AddressPaused,
            Code::CredentialRevoked,
        ];
        for (code, ending) in Code::ALL.iter().map(|code| (code, Ending::Rejected(*code))) {
            let failed = [false, true].map(|reported| ending.is_failure(reported));
            let expected = match code {
                Code::ReportTimeout => [true, false],
                code => [!never.contains(code); 2],
            };
            assert_eq!(failed, expected, "{code}");
        }
        for ending in Ending::UNTOLD.into_iter().chain([Ending::Drained]) {
            let takes_a_place =
                matches!(ending, Ending::Tls | Ending::TlsNotEnabled | Ending::WriteTimeout);
            assert_eq!(ending.is_failure(false), takes_a_place, "{ending:?}");
            assert!(!ending.is_failure(true), "a network can do that: {ending:?}");
        }
    }
}
