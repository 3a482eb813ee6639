//! A journal of forwarded agents is read without a panic, keeps what precedes damage, and gives
//! only series that its catalogs declare.
//!
//! An input is `f` and a file, or `r` and bodies of records, each after its length in two bytes,
//! which become a file with valid lengths and checksums.

use std::sync::Arc;

use fleetgauge_collector::limits::memory_budget::MemoryBudget;
use fleetgauge_collector::registry::{CatalogLimits, ConfiguredKinds, Registry};
use fleetgauge_collector::remote_write::journal::{
    JournalContents, check_agents, read_journal, write_agent, write_catalog, write_header,
    write_heartbeat, write_record,
};
use fleetgauge_proto::Limits;

/// Maximum size of a file that is read.
const MAX_BYTES: u64 = 1 << 20;
/// Memory for catalogs and rows: little, so that some agents find none.
const MEMORY: usize = 1 << 20;

/// Reads the file of an input, its beginnings, and what it says when written again.
pub fn check(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    let file = match kind {
        b'f' => rest.to_vec(),
        b'r' => with_checksums(rest),
        _ => return,
    };
    let (contents, damage) = read_journal(&*file, MAX_BYTES);
    let written = write(&contents);
    let (again, again_damage) = read_journal(&*written, u64::MAX);
    assert!(again_damage.is_none(), "{again_damage:?}");
    assert_eq!(again, JournalContents { is_torn: false, ..contents.clone() });
    if damage.is_none() {
        // As if the collector had been killed while it wrote.
        let header = 18..=file.len();
        for length in header.step_by(file.len() / 8 + 1) {
            let (_, damage) = read_journal(&file[..length], MAX_BYTES);
            assert!(damage.is_none(), "{length} bytes: {damage:?}");
        }
    }
    let agents = contents.agents.len();
    assert!(check_agents(contents, &registry(), &Limits::default()).len() <= agents);
}

fn with_checksums(mut bodies: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    write_header(&mut file);
    while let Some((length, rest)) = bodies.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (body, rest) = rest.split_at(length);
        write_record(&mut file, |out| out.extend_from_slice(body));
        bodies = rest;
    }
    file
}

fn write(contents: &JournalContents) -> Vec<u8> {
    let mut file = Vec::new();
    write_header(&mut file);
    for (number, frame) in &contents.catalogs {
        write_catalog(*number, frame, &mut file);
    }
    for (id, agent) in &contents.agents {
        write_agent(id, agent, &mut file);
    }
    if let Some(heartbeat_ms) = contents.heartbeat_ms {
        write_heartbeat(heartbeat_ms, &mut file);
    }
    file
}

fn registry() -> Registry {
    let limits = CatalogLimits { catalogs: 4, bytes: 1 << 16 };
    Registry::new(limits, ConfiguredKinds::new(), Arc::new(MemoryBudget::new(MEMORY)))
}
