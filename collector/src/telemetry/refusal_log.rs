//! Log lines about rejected connections.

use std::net::SocketAddr;

use fleetgauge_proto::{AgentId, Code};
use tracing::{debug, field, info, warn};

use crate::peers::refusal::Refusal;
use crate::state::CollectorState;
use crate::telemetry::log_limiter::shortened;

/// The level of a refusal's log line.
enum Level {
    /// A security problem, or a limit that prevents agents from connecting.
    Warn,
    /// A protocol error of the peer.
    Info,
    /// Routine, or logged elsewhere.
    Debug,
}

const fn level(code: Code) -> Level {
    match code {
        Code::CollectorFull
        | Code::AddressFull
        | Code::CatalogsFull
        | Code::IdConflict
        | Code::CredentialRevoked
        | Code::TlsRequired => Level::Warn,
        // `agent unauthorized`, `address paused` and the end of a session have lines of their own.
        Code::Unauthorized
        | Code::AddressPaused
        | Code::HelloTimeout
        | Code::ReportTimeout
        | Code::Superseded
        | Code::Draining => Level::Debug,
        _ => Level::Info,
    }
}

/// Logs a rejected connection, with its agent if that is known.
pub(crate) fn log(
    collector: &CollectorState,
    refusal: &Refusal,
    address: SocketAddr,
    agent: Option<&AgentId>,
) {
    let code = refusal.code;
    let agent = agent.map(field::display);
    let detail = (!refusal.detail.is_empty()).then(|| shortened(&refusal.detail));
    let level = level(code);
    let count = match level {
        Level::Debug => None,
        _ => collector.log_due(("connection rejected", code.reason())),
    };
    match (level, count) {
        (Level::Warn, Some(count)) => {
            warn!(%code, %address, agent, detail, count, "connection rejected");
        }
        (Level::Info, Some(count)) => {
            info!(%code, %address, agent, detail, count, "connection rejected");
        }
        _ => debug!(%code, %address, agent, detail, "connection rejected"),
    }
}
