//! Departures and returns of agents, the page of the roster and its file. 100,000 agents are up;
//! 100 or 100,000 are down.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Throughput};
use fleetgauge_benches::{Clock, Fleet, criterion};
use fleetgauge_collector::clock::Moment;
use fleetgauge_collector::exposition::{Disconnected, Format, Sink};
use fleetgauge_collector::peers::close_reason::CloseReason;
use fleetgauge_collector::registry::FleetShard;
use fleetgauge_collector::roster::{
    Expected, PresenceSnapshot, Roster, RosterLimits, file_format, text,
};
use fleetgauge_proto::AgentId;

/// The collector's allocator.
#[global_allocator]
static ALLOCATOR: fleetgauge_collector::Allocator = fleetgauge_collector::Allocator;

const AGENTS: usize = 100_000;
const NOW: Moment = Moment { awake: 1_000, unix: 1_763_812_800 };

/// A sink that accepts and discards every chunk.
struct Discard;

impl Sink for Discard {
    fn chunk(&mut self, bytes: &[u8]) -> Result<(), Disconnected> {
        black_box(bytes);
        Ok(())
    }
}

/// Creates a roster with this many departed agents. Returns it with their ids.
fn roster(departed: usize) -> (Roster, Vec<AgentId>) {
    let roster = Roster::new(RosterLimits {
        departed: AGENTS,
        departed_for: Duration::from_secs(72 * 3600),
        return_time: Duration::from_secs(30),
        expected: Expected::default(),
    });
    let id = |n| AgentId::try_new(&format!("old-{n:06}.example")).expect("a legal id");
    let ids: Vec<_> = (0..departed).map(id).collect();
    for id in &ids {
        roster.departed(id, 15_000, CloseReason::Reset, NOW);
    }
    (roster, ids)
}

fn main() {
    let mut c = criterion(Clock::Thread);
    let mut group = c.benchmark_group("roster");
    let (many, ids) = roster(AGENTS);
    let mut index = 0;
    group.bench_function("arrive_and_depart", |b| {
        b.iter(|| {
            // This stride visits every agent, in an order that the CPU cannot prefetch.
            index = (index + 48_271) % AGENTS;
            many.arrived(&ids[index]);
            many.departed(&ids[index], 15_000, CloseReason::Reset, NOW);
        });
    });
    group.sample_size(10);
    let fleet = Fleet::new(AGENTS);
    for (down, roster) in [(100, roster(100).0), (AGENTS, many)] {
        group.throughput(Throughput::Elements((AGENTS + 2 * down) as u64));
        group.bench_function(BenchmarkId::new("page", down), |b| {
            b.iter(|| {
                let presence = PresenceSnapshot::take(&fleet.registry, &roster, FleetShard::ALL);
                text::render(&presence, &roster, Format::Text, &mut Discard)
            });
        });
        group.throughput(Throughput::Elements((AGENTS + down) as u64));
        group.bench_function(BenchmarkId::new("file", down), |b| {
            b.iter(|| {
                let known = PresenceSnapshot::to_save(&fleet.registry, &roster);
                file_format::write(&known, NOW.unix, std::io::sink())
            });
        });
    }
    group.finish();
    c.final_summary();
}
