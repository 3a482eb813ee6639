//! Close reasons: how sessions end, and which ends count as failures of the peer's address.

use fleetgauge_proto::Code;

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The agent sent Bye.
    Bye,
    /// The agent sent Bye in answer to Drain.
    Drained,
    /// The peer closed the stream between two frames, without Bye.
    Closed,
    /// The connection broke.
    Reset,
    /// The peer did not read in time.
    WriteTimeout,
    /// A load balancer sent no valid PROXY header.
    BadProxyHeader,
    /// TLS failed: a protocol error, or an invalid client certificate.
    Tls,
    /// The peer closed the connection before TLS was established.
    TlsUnfinished,
    /// The peer began TLS on a port without TLS.
    TlsNotEnabled,
    /// The collector sent a Reject with this code.
    Rejected(Code),
}

impl CloseReason {
    /// One reason for each name in logs and metrics, the names of Reject codes excluded.
    pub const WITHOUT_REJECT: [Self; 8] = [
        Self::Bye,
        Self::Closed,
        Self::Reset,
        Self::WriteTimeout,
        Self::BadProxyHeader,
        Self::Tls,
        Self::TlsUnfinished,
        Self::TlsNotEnabled,
    ];

    /// Whether the collector had asked the agent to leave. It may be at another collector by now.
    #[must_use]
    pub const fn was_asked_to_leave(self) -> bool {
        matches!(self, Self::Drained | Self::Rejected(Code::Draining))
    }

    /// Whether this end of a session counts as a failure of the peer's source address: the peer
    /// broke the protocol, or held a handshake permit without reporting. Exhausted limits and
    /// network errors do not count.
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
                | Code::CatalogsFull
                | Code::Draining
                | Code::AddressPaused
                | Code::CredentialRevoked,
            ) => false,
            Self::Rejected(_) => true,
        }
    }

    /// Returns the name used in logs and metrics.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the rules in `docs/limits.md`, "Addresses".
    #[test]
    fn protocol_errors_and_unused_handshakes_count_as_failures() {
        let never = [
            Code::Superseded,
            Code::CollectorFull,
            Code::AddressFull,
            Code::HandshakesFull,
            Code::CatalogsFull,
            Code::Draining,
            Code::AddressPaused,
            Code::CredentialRevoked,
        ];
        for (code, close_reason) in
            Code::ALL.iter().map(|code| (code, CloseReason::Rejected(*code)))
        {
            let failed = [false, true].map(|reported| close_reason.is_failure(reported));
            let expected = match code {
                Code::ReportTimeout => [true, false],
                code => [!never.contains(code); 2],
            };
            assert_eq!(failed, expected, "{code}");
        }
        for close_reason in CloseReason::WITHOUT_REJECT.into_iter().chain([CloseReason::Drained]) {
            let held_a_permit = matches!(
                close_reason,
                CloseReason::Tls | CloseReason::TlsNotEnabled | CloseReason::WriteTimeout
            );
            assert_eq!(close_reason.is_failure(false), held_a_permit, "{close_reason:?}");
            assert!(!close_reason.is_failure(true), "may be a network error: {close_reason:?}");
        }
    }
}
