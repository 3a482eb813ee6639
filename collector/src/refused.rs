//! Logs refused connections: at which level, and how much of what the peer has sent.

use std::net::SocketAddr;

use fleetgauge_proto::{AgentId, Code};
use tracing::{debug, field, info, warn};

use crate::ending::Refusal;
use crate::shared::Shared;
use crate::untold::shortened;

/// How much a refusal matters to an operator.
enum Matter {
    /// Security, or a bound that keeps agents away.
    Warn,
    /// A peer that breaks the protocol.
    Info,
    /// Routine, or logged elsewhere.
    Debug,
}

const fn matter(code: Code) -> Matter {
    match code {
        Code::CollectorFull
        | Code::AddressFull
        | Code::SchemasFull
        | Code::IdConflict
        | Code::CredentialRevoked
        | Code::TlsRequired => Matter::Warn,
        // `unauthorized`, `address paused` and the end of each session have lines of their own.
        Code::Unauthorized
        | Code::AddressPaused
        | Code::HelloTimeout
        | Code::ReportTimeout
        | Code::Superseded
        | Code::Draining => Matter::Debug,
        _ => Matter::Info,
    }
}

/// Logs that a connection from this address was refused, whose agent is known or not.
pub(crate) fn log(
    shared: &Shared,
    refusal: &Refusal,
    address: SocketAddr,
    agent: Option<&AgentId>,
) {
    let code = refusal.code;
    let agent = agent.map(field::display);
    let detail = (!refusal.detail.is_empty()).then(|| shortened(&refusal.detail));
    let matter = matter(code);
    let count = match matter {
        Matter::Debug => None,
        _ => shared.untold.add(("refused", code.reason()), shared.clock.now()),
    };
    match (matter, count) {
        (Matter::Warn, Some(count)) => warn!(%code, %address, agent, detail, count, "refused"),
        (Matter::Info, Some(count)) => info!(%code, %address, agent, detail, count, "refused"),
        _ => debug!(%code, %address, agent, detail, "refused"),
    }
}
