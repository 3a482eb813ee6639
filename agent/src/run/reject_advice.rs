//! Advice for the operator after a Reject.

use fleetgauge_proto::Code;

/// Returns what the operator can do about a Reject code.
pub(super) fn advice(code: u16) -> Option<&'static str> {
    Some(match Code::from_u16(code)? {
        Code::IdConflict | Code::Superseded => {
            "give each host its own id (--id or --id-from machine-id)"
        }
        Code::Unauthorized => {
            "give this agent a token or certificate that the collector accepts for its id"
        }
        Code::LabelNotAllowed => "remove or change the labels that the collector rejects",
        Code::TlsRequired => "enable TLS (--tls, or --tls-ca with the collector's CA file)",
        Code::UnsupportedVersion => "run an agent and a collector of the same major version",
        _ => return None,
    })
}

/// Returns the meaning of a code for which [`advice`] returns `None`. For an unknown code, returns
/// the advice to update the agent.
pub(super) fn meaning(code: u16) -> &'static str {
    Code::from_u16(code).map_or("update the agent; it does not know this code", Code::meaning)
}
