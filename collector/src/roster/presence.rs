//! A consistent snapshot of connected and departed agents.

use std::collections::HashSet;

use fleetgauge_proto::AgentId;

use super::{Departure, Roster, SavedRoster, Since};
use crate::registry::{FleetShard, Registry};

/// Maximum attempts to take a snapshot during which no agent departs and returns.
const ATTEMPTS: usize = 5;

/// All connected and departed agents, each once.
#[derive(Debug, Default)]
pub struct PresenceSnapshot {
    /// Connected agents and their report intervals in milliseconds.
    pub present: Vec<(AgentId, u32)>,
    /// Departed agents, the oldest first.
    pub departed: Vec<Departure>,
}

impl PresenceSnapshot {
    /// Takes a snapshot of registry and roster for a shard of the fleet.
    ///
    /// A departing agent is on the roster before it leaves the registry, and a returning agent is
    /// in the registry before it leaves the roster. So the departures are read before and after the
    /// registry, and an agent found in both counts as connected. Only an agent that departed and
    /// returned in between can be missing; the snapshot is then taken again.
    #[must_use]
    pub fn take(registry: &Registry, roster: &Roster, shard: FleetShard) -> Self {
        let mut attempts = 1;
        loop {
            let (presence, exact) = Self::attempt(registry, roster, shard);
            if exact || attempts == ATTEMPTS {
                return presence;
            }
            attempts += 1;
        }
    }

    /// Takes a snapshot. Returns it, and whether it is complete.
    fn attempt(registry: &Registry, roster: &Roster, shard: FleetShard) -> (Self, bool) {
        let Since { mut departed, next, .. } = roster.departures_since(0, shard);
        let present = registry.present(shard);
        let Since { departed: late, returned, .. } = roster.departures_since(next, shard);
        let mut gone: HashSet<_> = departed.iter().map(|one| one.id.clone()).collect();
        departed.extend(late.into_iter().filter(|one| gone.insert(one.id.clone())));
        let both = present.iter().filter(|(id, _)| gone.contains(id));
        let both: HashSet<_> = both.map(|(id, _)| id.clone()).collect();
        departed.retain(|one| !both.contains(&one.id));
        (Self { present, departed }, returned <= next)
    }

    /// Returns the roster to save: the snapshot, and the agents that can return.
    #[must_use]
    pub fn to_save(registry: &Registry, roster: &Roster) -> SavedRoster {
        // Read first: an agent that returns meanwhile is then saved twice, and not lost.
        let mut connected = roster.may_return();
        let Self { present, departed } = Self::take(registry, roster, FleetShard::ALL);
        connected.extend(present);
        SavedRoster { connected, departed }
    }
}
