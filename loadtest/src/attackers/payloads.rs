//! The bytes that attackers send, prepared once.

use std::net::SocketAddr;

use fleetgauge_proto::frame::HEADER_LEN;
use fleetgauge_proto::message::Hello;
use fleetgauge_proto::{Fingerprint, Message, VERSION, Violation};

use super::{AttackKind, AttackTarget, sessions};
use crate::sim_values::agent_name;

/// Number of agents that connect and then flood the collector. Pages may show their series. Their
/// numbers follow those of the honest agents.
pub const FLOODERS: u32 = 100;
/// Announced bytes of a frame that is never completed: few, so that the collector waits only
/// briefly.
const PARTIAL_BYTES: u16 = 2_000;
/// Report interval that attackers request. It is long, so that the timeout for an incomplete frame
/// expires before the one for a missing report.
const INTERVAL_MS: u32 = 15_000;
/// Host nonce of the attackers; no honest host has it.
const HOST_NONCE: [u8; 16] = *b"a hostile host!!";
/// First bytes of other protocols, as sent to a wrong port.
const GARBAGE: [&[u8]; 5] = [
    b"GET / HTTP/1.1\r\nHost: collector\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.1 51201 45678\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c",
    &[0; 4_096],
];

/// The bytes that attackers send.
#[derive(Debug)]
pub(super) struct AttackPayloads {
    /// Collector address for agents.
    pub(super) collector: SocketAddr,
    agents: u32,
    /// What each kind sends after its handshake; empty if it sends something else.
    sessions: [Vec<u8>; AttackKind::ALL.len()],
}

impl AttackPayloads {
    /// Prepares the payloads for a target.
    ///
    /// # Errors
    /// Only if a compiled-in name is invalid.
    pub(super) fn try_new(target: &AttackTarget) -> Result<Self, Violation> {
        let mut payloads = Self {
            collector: target.collector,
            agents: target.agents,
            sessions: Default::default(),
        };
        for kind in AttackKind::ALL {
            payloads.sessions[kind as usize] = sessions::frames(kind, target.agents)?;
        }
        Ok(payloads)
    }

    /// Bytes that are not a frame.
    pub(super) fn garbage(&self, index: u64) -> &'static [u8] {
        GARBAGE[index as usize % GARBAGE.len()]
    }

    /// Header of a Hello that announces more bytes than the protocol allows.
    pub(super) fn oversized_header(&self) -> [u8; HEADER_LEN] {
        header(1, u16::MAX)
    }

    /// A Catalog frame that is never completed.
    pub(super) fn partial_catalog(&self) -> Vec<u8> {
        [&header(3, PARTIAL_BYTES)[..], &[0; 64]].concat()
    }

    /// Hello of an agent that is not in the fleet.
    pub(super) fn unknown_agent(&self, index: u64) -> Vec<u8> {
        hello(&format!("hostile-{index}"))
    }

    /// Hello of another host with the id of an honest agent.
    pub(super) fn stolen_id(&self, index: u64) -> Vec<u8> {
        // A prime, so that all ids are claimed in turn and no neighbours together.
        let victim = index.wrapping_mul(7_919) % u64::from(self.agents);
        hello(&agent_name(victim as u32))
    }

    /// Hello of an agent that then floods the collector.
    pub(super) fn flooding_agent(&self, index: u64) -> Vec<u8> {
        hello(&agent_name(self.agents + (index % u64::from(FLOODERS)) as u32))
    }

    /// Returns the frames that an attack of this kind sends after its handshake.
    pub(super) fn session(&self, kind: AttackKind) -> &[u8] {
        &self.sessions[kind as usize]
    }
}

/// Returns the header of a frame.
pub(super) fn header(kind: u8, len: u16) -> [u8; HEADER_LEN] {
    let [low, high] = len.to_le_bytes();
    [b'F', b'G', VERSION, kind, low, high, 0, 0]
}

fn hello(id: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let hello = Hello {
        min_version: VERSION,
        max_version: VERSION,
        capabilities: 0,
        agent_id: id,
        host_nonce: HOST_NONCE,
        process_nonce: HOST_NONCE,
        labels: Vec::new(),
        interval_ms: INTERVAL_MS,
        agent_version: "hostile",
        catalogs: vec![Fingerprint([0; 16])],
        credential: None,
        extensions: Vec::new(),
    };
    let written = Message::Hello(hello).encode(VERSION, &mut bytes);
    debug_assert!(written.is_ok(), "a Hello is short");
    bytes
}
