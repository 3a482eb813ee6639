//! A part of the fleet that a page of its own shows.

use fleetgauge_proto::fnv1a;

/// All agents whose id's hash leaves this remainder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageShard {
    shard: u64,
    shards: u64,
}

impl PageShard {
    /// The whole fleet.
    pub const ALL: Self = Self { shard: 0, shards: 1 };
    /// Most parts that a fleet is shown in.
    pub const MOST: u64 = 1024;

    /// This one of so many, counted from 0.
    #[must_use]
    pub const fn new(shard: u64, shards: u64) -> Self {
        debug_assert!(shard < shards && shards <= Self::MOST);
        Self { shard, shards }
    }

    /// Whether it is the first of its kind.
    #[must_use]
    pub const fn is_first(self) -> bool {
        self.shard == 0
    }

    /// Whether the agent with this id is part of it: FNV-1a 64 of the id's bytes, modulo the number of parts.
    #[must_use]
    pub fn has(self, id: &str) -> bool {
        fnv1a(id) % self.shards == self.shard
    }

    /// Of places over which agents are spread by the same hash: those where agents of this part can be.
    pub(super) fn among<T>(self, places: &[T]) -> impl Iterator<Item = &T> {
        let step = gcd(self.shards, places.len() as u64);
        let place = move |at: usize| at as u64 % step == self.shard % step;
        places.iter().enumerate().filter(move |(at, _)| place(*at)).map(|(_, one)| one)
    }

    /// Whether each of so many places holds agents of one part alone.
    pub(super) const fn divides(self, places: usize) -> bool {
        (places as u64).is_multiple_of(self.shards)
    }

    /// About how many of the agents that are [`Self::among`] so many places are part of it.
    pub(super) fn share_of(self, agents: usize, places: usize) -> usize {
        let parts = self.shards / gcd(self.shards, places as u64);
        agents.div_ceil(usize::try_from(parts).unwrap_or(1))
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
        let places: Vec<u64> = (0..64).collect();
        for shards in [1, 2, 3, 4, 7, 24, 64, 96, 100, 128, 1000, 1024] {
            for n in 0..200 {
                let id = format!("web-{n}");
                let parts: Vec<_> = (0..shards)
                    .map(|shard| PageShard::new(shard, shards))
                    .filter(|part| part.has(&id))
                    .collect();
                let [part] = parts[..] else { panic!("{id} is in {parts:?}") };
                let place = fnv1a(&id) % 64;
                assert!(part.among(&places).any(|at| *at == place), "{id} of {shards}");
                let alone = part.divides(64);
                assert!(!alone || part.among(&places).count() as u64 == 64 / shards);
            }
        }
    }

    /// The table of `docs/operations.md`.
    #[test]
    fn the_documented_vectors() {
        let document = include_str!("../../../docs/operations.md");
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
            .map(|cell| cell.trim().trim_start_matches("of ").parse().expect("a number of parts"))
            .collect();
        for row in rows {
            let id = row[0];
            assert_eq!(row[1], format!("{:#018x}", fnv1a(id)), "{id}");
            for (shard, shards) in row[2..].iter().zip(&counts) {
                let shard = shard.parse().expect("a part's number");
                assert!(PageShard::new(shard, *shards).has(id), "{id}: {shard} of {shards}");
            }
        }
    }
}
