//! The bytes that attackers send, prepared once.

use std::net::SocketAddr;

use fleetgauge_proto::catalog::{self, FamilyKind};
use fleetgauge_proto::frame::HEADER_LEN;
use fleetgauge_proto::message::{Catalog, Column, Family, Hello, Label, Report, Table};
use fleetgauge_proto::report::EncodedValues;
use fleetgauge_proto::{Fingerprint, Message, VERSION, Violation};

use super::{AttackKind, AttackTarget};
use crate::sim_values::{self, NAMES, ValueOrigin, agent_name};

/// Number of agents that connect and then flood the collector. Pages may show their series. Their
/// numbers follow those of the honest agents.
pub const FLOODERS: u32 = 100;
/// Reports and catalogs that a flood sends at once.
const FLOOD_REPORTS: u64 = 2_000;
const FLOOD_CATALOGS: usize = 40;
/// Columns of a catalog that is too wide: more than a collector's default limit.
const WIDE_COLUMNS: usize = 50_001;
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
    /// A flood of reports, preceded by their catalog.
    pub(super) reports: Vec<u8>,
    bomb: Vec<u8>,
    wide: Vec<u8>,
    catalogs: Vec<u8>,
}

impl AttackPayloads {
    /// Prepares the payloads for a target.
    ///
    /// # Errors
    /// Only if a compiled-in name is invalid.
    pub(super) fn try_new(target: &AttackTarget) -> Result<Self, Violation> {
        let one = |index: usize| gauges(&format!("hostile_{index}"), 1);
        let catalogs: Result<Vec<_>, _> = (0..FLOOD_CATALOGS).map(one).collect();
        // Announces 2^64 - 1 families.
        let bomb = [&[0, 0, 0xfd][..], &[0xff; 8]].concat();
        Ok(Self {
            collector: target.collector,
            agents: target.agents,
            reports: reports(target.agents)?,
            bomb: [&header(3, 11)[..], &bomb].concat(),
            wide: gauges("hostile", WIDE_COLUMNS)?,
            catalogs: catalogs?.concat(),
        })
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

    /// Returns the frames with the catalogs that attacks of this kind send.
    pub(super) fn catalogs(&self, kind: AttackKind) -> &[u8] {
        match kind {
            AttackKind::CatalogBomb => &self.bomb,
            AttackKind::WideCatalog => &self.wide,
            _ => &self.catalogs,
        }
    }
}

fn header(kind: u8, len: u16) -> [u8; HEADER_LEN] {
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

/// Encodes a catalog with one gauge family of this name and number of columns.
fn gauges(name: &str, columns: usize) -> Result<Vec<u8>, Violation> {
    let numbers: Vec<_> = (0..columns).map(|index| index.to_string()).collect();
    let columns = numbers.iter().map(|index| Column {
        family: 0,
        width: 1,
        decimals: 0,
        parameters: Vec::new(),
        labels: vec![Label { name: "n", value: index }],
    });
    let family = Family { name, kind: FamilyKind::Gauge as u8, unit: "", help: "" };
    let table = Table { row_labels: Vec::new(), columns: columns.collect() };
    let catalog = Catalog { stream: 0, slot: 0, families: vec![family], tables: vec![table] };
    Ok(catalog::encode(&catalog)?.0)
}

/// A flood of reports for an agent that does not exist, preceded by their catalog.
fn reports(agent: u32) -> Result<Vec<u8>, Violation> {
    let catalogs = sim_values::catalogs()?;
    let mut bytes: Vec<_> =
        catalogs.by_slot().iter().flat_map(|catalog| catalog.frame()).copied().collect();
    let mut encoded = EncodedValues::default();
    for sequence in 1..=FLOOD_REPORTS {
        let origin = |position| ValueOrigin { agent, sequence, position }.to_f64();
        let values: [f64; NAMES.len()] = std::array::from_fn(origin);
        encoded.encode_all(&values, std::iter::once((1, &[0; NAMES.len()][..])));
        let report = Report { stream: 0, sequence, unix_ms: 0, values: encoded.values() };
        Message::Report(report).encode(VERSION, &mut bytes)?;
    }
    Ok(bytes)
}
