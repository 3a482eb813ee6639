//! Refusals of peers, and their Reject frames.

use fleetgauge_proto::message::Reject;
use fleetgauge_proto::{Code, Message, VERSION, Violation};

use super::stagger;
use crate::clock::Millis;

/// Why a peer is refused, as sent to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Code of the Reject.
    pub code: Code,
    /// Text of the Reject that says exactly what was wrong; empty if the code says it.
    pub detail: String,
    /// Milliseconds until this peer may retry; `None` for the default delay of the code.
    pub retry_after: Option<Millis>,
}

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        Self { code: violation.code(), detail: violation.to_string(), retry_after: None }
    }
}

impl Refusal {
    /// Creates a refusal without detail and with the code's default retry delay.
    #[must_use]
    pub const fn of(code: Code) -> Self {
        Self { code, detail: String::new(), retry_after: None }
    }

    /// Creates a refusal that allows a retry after this delay.
    #[must_use]
    pub fn until(retry_after: Millis, code: Code) -> Self {
        Self { retry_after: Some(retry_after), ..Self::of(code) }
    }

    /// Appends the Reject frame to `out`. Retries of peers that are refused with the same code are
    /// staggered by `session`.
    pub fn write(&self, session: u64, out: &mut Vec<u8>) {
        let text = if self.detail.is_empty() { self.code.meaning() } else { &self.detail };
        let reject = Reject {
            stream: 0,
            code: self.code.to_u16(),
            text,
            retry_after_ms: match self.retry_after {
                Some(millis) => Some(u32::try_from(millis).unwrap_or(u32::MAX)),
                None => retry_after_ms(self.code, session),
            },
        };
        let written = Message::Reject(reject).encode(VERSION, out);
        debug_assert!(written.is_ok(), "a Reject is short");
    }
}

/// Returns a code's default retry delay, in milliseconds; `None` if a retry cannot help.
fn retry_after_ms(code: Code, session: u64) -> Option<u32> {
    let spread = |from: u32, span: u32| Some(from + stagger(session, span));
    match code {
        Code::HelloTimeout | Code::FrameTimeout | Code::ReportTimeout | Code::TruncatedFrame => {
            Some(1_000)
        }
        Code::CollectorFull | Code::AddressFull => spread(15_000, 30_000),
        // The limit of one address; for the limit of all addresses the retry pacer sets the delay.
        Code::HandshakesFull => spread(1_000, 5_000),
        // The agent may have a new credential by now. If not, the retry fails at once.
        Code::Draining | Code::CredentialRevoked => spread(1_000, 5_000),
        Code::Superseded => Some(10_000),
        Code::IdConflict => Some(30_000),
        Code::CatalogsFull | Code::TooManyReports | Code::TooManyRowChanges => Some(60_000),
        _ => None,
    }
}
