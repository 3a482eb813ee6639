//! Drains that an operator requests while the collector runs: a share of the agents is asked to
//! leave, for example to move them to another collector.

use fleetgauge_common::endpoint::Endpoint;
use fleetgauge_proto::AgentId;

use super::stagger::stagger;

/// A share of the fleet, above 0 and at most 1. It always has the same agents, and a larger share
/// has those of a smaller one, so that a fleet can be moved in steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Share(f64);

impl Share {
    /// The whole fleet.
    pub(crate) const ALL: Self = Self(1.0);

    /// Parses a decimal fraction; `None` if it is not above 0 and at most 1.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let share = text.parse().ok()?;
        (share > 0.0 && share <= 1.0).then_some(Self(share))
    }

    /// Whether the agent with this id is in the share.
    pub(crate) fn has(self, id: &AgentId) -> bool {
        f64::from(stagger(id.fnv1a(), u32::MAX)) < self.0 * f64::from(u32::MAX)
    }
}

/// A request to agents to leave.
#[derive(Debug)]
pub(crate) struct DrainRequest {
    /// The collector to connect to; `None` for the agents' own choice.
    pub(crate) target: Option<Endpoint>,
    /// Time over which the agents leave, in milliseconds.
    pub(crate) span_ms: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet(share: f64) -> Vec<usize> {
        let share = Share::parse(&share.to_string()).unwrap();
        let has = |n: &usize| share.has(&AgentId::try_new(&format!("web-{n}")).unwrap());
        (0..10_000).filter(has).collect()
    }

    #[test]
    fn share_has_that_part_of_the_fleet() {
        for share in [0.01, 0.25, 0.5, 0.9] {
            let expected = 10_000.0 * share;
            #[expect(clippy::cast_precision_loss, reason = "at most 10,000")]
            let agents = fleet(share).len() as f64;
            // Three standard deviations.
            let tolerance = 3.0 * f64::sqrt(expected * (1.0 - share));
            assert!((agents - expected).abs() <= tolerance, "{share}: {agents}");
        }
        assert_eq!(fleet(1.0).len(), 10_000);
    }

    #[test]
    fn larger_share_has_the_agents_of_a_smaller_one() {
        let (quarter, half) = (fleet(0.25), fleet(0.5));
        assert!(quarter.iter().all(|n| half.contains(n)));
    }

    #[test]
    fn share_outside_of_its_range_is_invalid() {
        for text in ["", "0", "-0.1", "1.01", "NaN", "inf", "-inf", "1e9", "25%", "half"] {
            assert_eq!(Share::parse(text), None, "{text}");
        }
        assert_eq!(Share::parse("1"), Some(Share::ALL));
    }
}
