//! Shards of the fleet, each scraped from a page of its own.

use fleetgauge_proto::fnv1a;

/// The agents whose id's hash, modulo the number of shards, is the shard's index.
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

    /// Creates a shard by its index, from 0, and the number of shards.
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

    /// Whether the shard has the agent with this id: FNV-1a 64 of the id's bytes, modulo the number
    /// of shards.
    #[must_use]
    pub fn has(self, id: &str) -> bool {
        fnv1a(id) % self.shards == self.shard
    }

    /// Of slots over which agents are spread by the same hash, returns those with agents of this
    /// shard.
    pub(super) fn among<T>(self, slots: &[T]) -> impl Iterator<Item = &T> {
        let step = gcd(self.shards, slots.len() as u64);
        let slot = move |at: usize| at as u64 % step == self.shard % step;
        slots.iter().enumerate().filter(move |(at, _)| slot(*at)).map(|(_, one)| one)
    }

    /// Whether each of so many slots has agents of one shard only.
    pub(super) const fn divides(self, slots: usize) -> bool {
        (slots as u64).is_multiple_of(self.shards)
    }

    /// Estimates how many of the agents in the slots [`Self::among`] so many are in this shard.
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
    fn every_agent_is_in_one_part_and_is_looked_for_where_it_is() {
        let slots: Vec<u64> = (0..64).collect();
        for shards in [1, 2, 3, 4, 7, 24, 64, 96, 100, 128, 1000, 1024] {
            for n in 0..200 {
                let id = format!("web-{n}");
                let parts: Vec<_> = (0..shards)
                    .map(|shard| FleetShard::new(shard, shards))
                    .filter(|fleet_shard| fleet_shard.has(&id))
                    .collect();
                let [fleet_shard] = parts[..] else { panic!("{id} is in {parts:?}") };
                let slot = fnv1a(&id) % 64;
                assert!(fleet_shard.among(&slots).any(|at| *at == slot), "{id} of {shards}");
                let alone = fleet_shard.divides(64);
                assert!(!alone || fleet_shard.among(&slots).count() as u64 == 64 / shards);
            }
        }
    }

    /// The table of `docs/prometheus.md`.
    #[test]
    fn the_documented_vectors() {
        let document = include_str!("../../../docs/prometheus.md");
        let table = document.split("| id | FNV-1a 64 | ").nth(1).expect("the table is there");
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
