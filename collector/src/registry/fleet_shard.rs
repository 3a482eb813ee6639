//! Shards of the fleet, each scraped from a page of its own.

use fleetgauge_proto::fnv1a;

/// The agents whose id hash, modulo the number of shards, equals the shard index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FleetShard {
    shard: u64,
    shards: u64,
}

impl FleetShard {
    /// The whole fleet.
    pub const ALL: Self = Self { shard: 0, shards: 1 };
    /// Maximum number of shards.
    pub const MAX: u64 = 1024;

    /// Creates a shard. `shard` is its index, from 0, and `shards` the number of shards.
    #[must_use]
    pub const fn new(shard: u64, shards: u64) -> Self {
        debug_assert!(shard < shards && shards <= Self::MAX);
        Self { shard, shards }
    }

    /// Whether this is the first shard.
    #[must_use]
    pub const fn is_first(self) -> bool {
        self.shard == 0
    }

    /// Whether the agent with this id is in the shard: the FNV-1a 64 hash of the id, modulo the
    /// number of shards.
    #[must_use]
    pub fn has(self, id: &str) -> bool {
        fnv1a(id) % self.shards == self.shard
    }

    /// Selects the slots that can have agents of this shard. The same hash, modulo the number of
    /// slots, must select the slot of an agent.
    pub(super) fn among<T>(self, slots: &[T]) -> impl Iterator<Item = &T> {
        let step = gcd(self.shards, slots.len() as u64);
        let slot = move |at: usize| at as u64 % step == self.shard % step;
        slots.iter().enumerate().filter(move |(at, _)| slot(*at)).map(|(_, one)| one)
    }

    /// Whether each of `slots` slots has agents of only one shard.
    pub(super) const fn divides(self, slots: usize) -> bool {
        (slots as u64).is_multiple_of(self.shards)
    }

    /// Estimates how many of the agents in the slots of [`Self::among`] are in this shard.
    pub(super) fn share_of(self, agents: usize, slots: usize) -> usize {
        let shards = self.shards / gcd(self.shards, slots as u64);
        agents.div_ceil(usize::try_from(shards).unwrap_or(1))
    }
}

const fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_agent_is_in_one_shard_and_in_a_slot_of_it() {
        let slots: Vec<u64> = (0..64).collect();
        for shards in [1, 2, 3, 4, 7, 24, 64, 96, 100, 128, 1000, 1024] {
            for n in 0..200 {
                let id = format!("web-{n}");
                let matching: Vec<_> = (0..shards)
                    .map(|shard| FleetShard::new(shard, shards))
                    .filter(|fleet_shard| fleet_shard.has(&id))
                    .collect();
                let [fleet_shard] = matching[..] else { panic!("{id} is in {matching:?}") };
                let slot = fnv1a(&id) % 64;
                assert!(fleet_shard.among(&slots).any(|at| *at == slot), "{id} of {shards}");
                let divides = fleet_shard.divides(64);
                assert!(!divides || fleet_shard.among(&slots).count() as u64 == 64 / shards);
            }
        }
    }

    /// The table in `docs/prometheus.md` must be right.
    #[test]
    fn documented_shards_are_right() {
        let document = include_str!("../../../docs/prometheus.md");
        let table = document.split("| id | FNV-1a 64 | ").nth(1).expect("the table of shards");
        let rows: Vec<Vec<&str>> = table
            .lines()
            .skip(2)
            .take_while(|line| line.starts_with('|'))
            .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')))
            .map(Iterator::collect)
            .collect();
        assert!(rows.len() >= 5, "{rows:?}");
        let counts = table.lines().next().expect("a head").trim_end_matches('|').split('|');
        let counts: Vec<u64> = counts
            .map(|cell| cell.trim().trim_start_matches("of ").parse().expect("a number of shards"))
            .collect();
        for row in rows {
            let id = row[0];
            assert_eq!(row[1], format!("{:#018x}", fnv1a(id)), "{id}");
            for (shard, shards) in row[2..].iter().zip(&counts) {
                let shard = shard.parse().expect("the index of a shard");
                assert!(FleetShard::new(shard, *shards).has(id), "{id}: {shard} of {shards}");
            }
        }
    }
}
