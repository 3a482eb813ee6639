//! The simulated hosts of the demo: their names, roles and sites.

use fleetgauge_proto::message::Label;
use fleetgauge_proto::{AgentId, StaticLabels};

use crate::agent_range::AgentRange;

/// Domain of the simulated hosts, as in `web-01.demo`.
const DOMAIN: &str = "demo";

/// What a host does, and its load: shares of CPU and memory at night, and how much more by day.
#[derive(Debug)]
pub(super) struct Role {
    pub(super) name: &'static str,
    pub(super) cpu: f64,
    pub(super) cpu_by_day: f64,
    pub(super) memory: f64,
    pub(super) memory_by_day: f64,
}

/// The roles, which the hosts of a site take in turn.
pub(super) const ROLES: [Role; 5] = [
    Role { name: "web", cpu: 0.06, cpu_by_day: 0.60, memory: 0.30, memory_by_day: 0.25 },
    Role { name: "db", cpu: 0.12, cpu_by_day: 0.35, memory: 0.62, memory_by_day: 0.08 },
    Role { name: "cache", cpu: 0.05, cpu_by_day: 0.20, memory: 0.70, memory_by_day: 0.10 },
    Role { name: "queue", cpu: 0.04, cpu_by_day: 0.30, memory: 0.22, memory_by_day: 0.20 },
    Role { name: "build", cpu: 0.10, cpu_by_day: 0.35, memory: 0.28, memory_by_day: 0.25 },
];

/// A place with hosts, whose clocks are ahead of UTC by so many hours.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) name: &'static str,
    pub(super) utc_offset: f64,
}

/// The sites. Each has a third of the hosts, with consecutive numbers.
pub(super) const SITES: [Site; 3] = [
    Site { name: "frankfurt", utc_offset: 1.0 },
    Site { name: "virginia", utc_offset: -5.0 },
    Site { name: "singapore", utc_offset: 8.0 },
];

/// The simulated hosts, by agent number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Roster {
    pub(super) count: u32,
}

impl Roster {
    /// Returns the number of a site's first host.
    fn first_of(self, site: usize) -> u32 {
        let first = (site as u64 * u64::from(self.count)).div_ceil(SITES.len() as u64);
        u32::try_from(first).unwrap_or(self.count)
    }

    /// Returns the agents of a site; `None` if no site has this name.
    pub(super) fn site(self, name: &str) -> Option<AgentRange> {
        let site = SITES.iter().position(|site| site.name == name)?;
        let first = self.first_of(site);
        Some(AgentRange { first, count: self.first_of(site + 1) - first })
    }

    /// Returns the number of a host such as `db-01`; `None` if the fleet is too small to have it.
    pub(super) fn host(self, name: &str) -> Option<u32> {
        (0..self.count).find(|agent| host_name(*agent) == name)
    }

    pub(super) fn id(self, agent: u32) -> AgentId {
        let id = AgentId::try_new(&format!("{}.{DOMAIN}", host_name(agent)));
        id.unwrap_or_else(|bad| unreachable!("roles and numbers are legal: {bad}"))
    }

    pub(super) fn site_of(self, agent: u32) -> &'static Site {
        let site = u64::from(agent) * SITES.len() as u64 / u64::from(self.count.max(1));
        &SITES[(site as usize).min(SITES.len() - 1)]
    }

    pub(super) fn labels(self, agent: u32) -> StaticLabels {
        let labels = [
            Label { name: "role", value: role_of(agent).name },
            Label { name: "site", value: self.site_of(agent).name },
        ];
        let labels = StaticLabels::try_new(&labels);
        labels.unwrap_or_else(|bad| unreachable!("the names are legal: {bad}"))
    }
}

pub(super) fn role_of(agent: u32) -> &'static Role {
    &ROLES[agent as usize % ROLES.len()]
}

/// Returns the name of a host without the domain.
pub(super) fn host_name(agent: u32) -> String {
    format!("{}-{:02}", role_of(agent).name, agent as usize / ROLES.len() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_is_in_the_range_of_its_site() {
        for count in [1, 2, 5, 100, 1_001] {
            let roster = Roster { count };
            for agent in 0..count {
                let range = roster.site(roster.site_of(agent).name).unwrap();
                assert!(range.range().contains(&agent), "{agent} of {count}: {range:?}");
            }
            let hosts = SITES.iter().map(|site| roster.site(site.name).unwrap().count);
            assert_eq!(hosts.sum::<u32>(), count);
        }
    }

    #[test]
    fn hosts_are_found_by_their_names() {
        let roster = Roster { count: 12 };
        assert_eq!(roster.host("web-01"), Some(0));
        assert_eq!(roster.host("web-03"), Some(10));
        assert_eq!(roster.host("db-04"), None);
        assert_eq!(roster.site("atlantis"), None);
        assert_eq!(roster.id(11).as_str(), "db-03.demo");
    }
}
