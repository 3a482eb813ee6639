//! What an operator can do about a refusal.

use fleetgauge_proto::Code;

/// What an operator can do about a refusal, whether it names a time or not.
pub(super) fn advice(code: u16) -> Option<&'static str> {
    Some(match Code::from_u16(code)? {
        Code::IdConflict | Code::Superseded => {
            "give each host an id of its own (--id, --id-from machine-id)"
        }
        Code::Unauthorized => {
            "give this agent a credential that the collector knows and that is for its id"
        }
        Code::LabelNotAllowed => "leave out or change the labels that the collector names",
        Code::TlsRequired => "set tls, or tls_ca to the file of the collector's authority",
        Code::UnsupportedVersion => "run an agent and a collector of the same major version",
        _ => return None,
    })
}

/// What a code says where there is nothing to advise.
pub(super) fn meaning(code: u16) -> &'static str {
    Code::from_u16(code).map_or("update the agent: it does not know this code", Code::meaning)
}
