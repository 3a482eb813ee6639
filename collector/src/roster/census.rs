//! A moment's answer to who is there and who is not.

use std::collections::HashSet;

use fleetgauge_proto::AgentId;

use super::{Departure, Known, Roster};
use crate::registry::{PageShard, Registry};

/// Everybody who is connected or has departed, each once.
#[derive(Debug, Default)]
pub struct Census {
    /// Who is connected, and the interval of their reports in milliseconds.
    pub present: Vec<(AgentId, u32)>,
    /// Who has departed, the oldest first.
    pub departed: Vec<Departure>,
}

impl Census {
    /// Asks registry and roster for the agents of this part of the fleet.
    ///
    /// An agent that goes is among the departed before it has left the registry, and one that comes is in the registry
    /// before it is off the roster. The departed are therefore asked for before and after those present, and who is
    /// in both is present: so nobody is missing and nobody is there twice.
    #[must_use]
    pub fn take(registry: &Registry, roster: &Roster, part: PageShard) -> Self {
        let (mut departed, next) = roster.departures_since(0, part);
        let present = registry.present(part);
        let (late, _) = roster.departures_since(next, part);
        let mut gone: HashSet<_> = departed.iter().map(|one| one.id.clone()).collect();
        departed.extend(late.into_iter().filter(|one| gone.insert(one.id.clone())));
        let both = present.iter().filter(|(id, _)| gone.contains(id));
        let both: HashSet<_> = both.map(|(id, _)| id.clone()).collect();
        departed.retain(|one| !both.contains(&one.id));
        Self { present, departed }
    }

    /// What is worth keeping: the census, and those who may come back.
    #[must_use]
    pub fn known(registry: &Registry, roster: &Roster) -> Known {
        // Asked first: who comes back meanwhile is told twice, not never.
        let mut connected = roster.elsewhere();
        let Self { present, departed } = Self::take(registry, roster, PageShard::ALL);
        connected.extend(present);
        Known { connected, departed }
    }
}
