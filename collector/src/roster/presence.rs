//! Which agents are connected and which have departed, at one moment.

use std::collections::HashSet;

use fleetgauge_proto::AgentId;

use super::{Departure, Roster, SavedRoster, Since};
use crate::registry::{FleetShard, Registry};

/// Maximum attempts to take a snapshot in which no agent has departed and returned meanwhile.
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
    /// A departing agent is on the roster before it leaves the registry, and a returning one is in
    /// the registry before it leaves the roster. Therefore the departures are read before and after
    /// the registry, and an agent found in both is present. So no agent is there twice. Only an
    /// agent that departed and returned meanwhile can be missing; then the snapshot is taken again.
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

    /// Returns a snapshot, and whether it is complete.
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

    /// Returns what to save: the snapshot and the agents that may return.
    #[must_use]
    pub fn to_save(registry: &Registry, roster: &Roster) -> SavedRoster {
        // First: an agent that returns meanwhile is saved twice, and not lost.
        let mut connected = roster.may_return();
        let Self { present, departed } = Self::take(registry, roster, FleetShard::ALL);
        connected.extend(present);
        SavedRoster { connected, departed }
    }
}
