//! Agents that go and come back, the roster's page and its file, with 100,000 agents that have gone.

use std::hint::black_box;
use std::time::Duration;

use fleetgauge_benches::{Clock, Fleet, criterion};
use fleetgauge_collector::clock::Moment;
use fleetgauge_collector::ending::Ending;
use fleetgauge_collector::exposition::{Broken, Format, Sink};
use fleetgauge_collector::registry::PageShard;
use fleetgauge_collector::roster::{Census, Expected, Memory, Roster, page, state};
use fleetgauge_proto::AgentId;

/// The collector's own.
#[global_allocator]
static ALLOCATOR: fleetgauge_collector::Allocator = fleetgauge_collector::Allocator;

const AGENTS: usize = 100_000;
const NOW: Moment = Moment { awake: 1_000, unix: 1_763_812_800 };

/// Takes the page as a fast reader would.
struct Discard;

impl Sink for Discard {
    fn chunk(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        black_box(bytes);
        Ok(())
    }
}

/// A roster of as many as have gone, and who they are.
fn roster() -> (Roster, Vec<AgentId>) {
    let roster = Roster::new(Memory {
        departed: AGENTS,
        departed_for: Duration::from_secs(72 * 3600),
        patience: Duration::from_secs(30),
        expected: Expected::default(),
    });
    let id = |n| AgentId::try_new(&format!("old-{n:06}.example")).expect("a legal id");
    let ids: Vec<_> = (0..AGENTS).map(id).collect();
    for id in &ids {
        roster.departed(id, 15_000, Ending::Reset, NOW);
    }
    (roster, ids)
}

fn main() {
    let mut c = criterion(Clock::Thread);
    let mut group = c.benchmark_group("roster");
    let (roster, ids) = roster();
    let mut turn = 0;
    group.bench_function("come_and_go", |b| {
        b.iter(|| {
            // A stride that visits every agent in an order the cache does not foresee.
            turn = (turn + 48_271) % AGENTS;
            roster.arrived(&ids[turn]);
            roster.departed(&ids[turn], 15_000, Ending::Reset, NOW);
        });
    });
    group.sample_size(10);
    let fleet = Fleet::new(AGENTS);
    group.bench_function("page_of_100k_up_and_100k_down", |b| {
        b.iter(|| {
            let census = Census::take(&fleet.registry, &roster, PageShard::ALL);
            page::render(&census, &roster, Format::Text, &mut Discard)
        });
    });
    group.bench_function("file_of_100k_up_and_100k_down", |b| {
        b.iter(|| {
            let known = Census::known(&fleet.registry, &roster);
            state::write(&known, NOW.unix, std::io::sink())
        });
    });
    group.finish();
    c.final_summary();
}
