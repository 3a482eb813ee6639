//! A moment's answer to who is there and who is not.

use std::collections::HashSet;

use fleetgauge_proto::AgentId;

use super::{Departure, Known, Roster, Since};
use crate::registry::{PageShard, Registry};

/// How often a census is taken anew because an agent went and came back meanwhile.
const ATTEMPTS: usize = 5;

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
    /// in both is present: so nobody is there twice, and only who went and came back meanwhile can be missing. Then
    /// it is taken again.
    #[must_use]
    pub fn take(registry: &Registry, roster: &Roster, part: PageShard) -> Self {
        let mut attempts = 1;
        loop {
            let (census, exact) = Self::attempt(registry, roster, part);
            if exact || attempts == ATTEMPTS {
                return census;
            }
            attempts += 1;
        }
    }

    /// A census, and whether it has everybody.
    fn attempt(registry: &Registry, roster: &Roster, part: PageShard) -> (Self, bool) {
        let Since { mut departed, next, .. } = roster.departures_since(0, part);
        let present = registry.present(part);
        let Since { departed: late, returned, .. } = roster.departures_since(next, part);
        let mut gone: HashSet<_> = departed.iter().map(|one| one.id.clone()).collect();
        departed.extend(late.into_iter().filter(|one| gone.insert(one.id.clone())));
        let both = present.iter().filter(|(id, _)| gone.contains(id));
        let both: HashSet<_> = both.map(|(id, _)| id.clone()).collect();
        departed.retain(|one| !both.contains(&one.id));
        (Self { present, departed }, returned <= next)
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
