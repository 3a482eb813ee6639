//! The addresses that a round of attempts tries, and their order.
//!
//! The order is rendezvous hashing: each agent ranks the collectors by a hash of its id and the
//! collector. A fleet spreads evenly, the agents of a failed collector spread evenly over all
//! others, and an agent has the same order after every restart, on every platform. No agent has to
//! know the others.

use std::cmp::Reverse;
use std::fmt;
use std::net::SocketAddr;

use fleetgauge_proto::{AgentId, fnv1a};

use super::connect::ConnectError;
use crate::config::{Collector, Endpoint};

/// An address of a collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The collector as configured, or the target of an SRV record.
    pub(super) endpoint: Endpoint,
    pub(super) address: SocketAddr,
    domain: Option<Box<str>>,
}

impl Candidate {
    #[cfg(test)]
    pub(super) fn new(endpoint: Endpoint, address: SocketAddr) -> Self {
        Self { endpoint, address, domain: None }
    }

    /// Returns the name that the certificate must have. For an SRV record it is the domain of the
    /// setting: a forged DNS answer must not choose the server that gets the agent's token.
    pub(super) fn host(&self) -> &str {
        self.domain.as_deref().unwrap_or_else(|| self.endpoint.host())
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// A collector or a name of several, and its addresses, in the order of the system's resolver.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) endpoint: Endpoint,
    pub(super) addresses: Vec<SocketAddr>,
    /// Priority of the SRV record; 0 without one.
    pub(super) priority: u16,
    /// Domain of the SRV record; `None` without one.
    pub(super) domain: Option<Box<str>>,
}

impl Resolved {
    #[cfg(test)]
    pub(super) fn new(endpoint: Endpoint, addresses: Vec<SocketAddr>) -> Self {
        Self { endpoint, addresses, priority: 0, domain: None }
    }
}

/// The addresses of a round.
#[derive(Debug)]
pub(super) struct Candidates {
    /// All addresses in the order in which this agent tries them.
    pub(super) all: Vec<Candidate>,
    /// Collectors for which no address was found.
    pub(super) unresolved: Vec<(Collector, ConnectError)>,
}

impl Candidates {
    /// Orders the addresses of collectors for the agent `id`. Those of the `target` of a Drain come
    /// first.
    pub(super) fn new(
        id: &AgentId,
        target: Option<&Endpoint>,
        resolutions: Vec<(Collector, Result<Resolved, ConnectError>)>,
    ) -> Self {
        let (mut resolved, mut unresolved) = (Vec::new(), Vec::new());
        for (name, found) in resolutions {
            match found {
                Ok(found) => resolved.push(found),
                Err(error) => unresolved.push((name, error)),
            }
        }
        let mut all = order(id, resolved);
        all.sort_by_key(|candidate| Some(&candidate.endpoint) != target);
        Self { all, unresolved }
    }
}

/// Returns all addresses in the order in which this agent tries them.
fn order(id: &AgentId, resolved: Vec<Resolved>) -> Vec<Candidate> {
    let mut ranked: Vec<_> = resolved.into_iter().flat_map(|one| rank(id, one)).collect();
    // Stable: addresses of equal rank keep the order of the resolver.
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, candidate)| candidate).collect()
}

/// Place in the order: first the lowest priority, then the addresses that are no last resort, then
/// the highest weight.
type Rank = (u16, bool, Reverse<u64>);

/// Returns the addresses of a collector with their ranks.
///
/// A name with one address in each family is one collector, so the configured text is hashed. A
/// name with more addresses is that of several collectors, so each address is hashed; those of the
/// family that the resolver does not prefer are the last resort, because a host without IPv6 would
/// fail at half of the addresses.
fn rank(id: &AgentId, resolved: Resolved) -> impl Iterator<Item = (Rank, Candidate)> {
    let Resolved { endpoint, addresses, priority, domain } = resolved;
    let ipv6 = addresses.iter().filter(|address| address.is_ipv6()).count();
    let is_one_collector = ipv6 <= 1 && addresses.len() - ipv6 <= 1;
    let prefers_ipv6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let of_name = weight(id, &endpoint.to_string());
    let id = id.clone();
    addresses.into_iter().map(move |address| {
        let rank = if is_one_collector {
            (priority, false, Reverse(of_name))
        } else {
            let is_last_resort = address.is_ipv6() != prefers_ipv6;
            (priority, is_last_resort, Reverse(weight(&id, &address.to_string())))
        };
        (rank, Candidate { endpoint: endpoint.clone(), address, domain: domain.clone() })
    })
}

/// Returns the weight of a collector for an agent. The agent prefers the highest one. It must not
/// change: a new version would move the fleet.
fn weight(id: &AgentId, collector: &str) -> u64 {
    mix(id.fnv1a() ^ mix(fnv1a(collector)))
}

/// Mixes all bits of a hash: the finalizer of MurmurHash3. FNV-1a alone spreads the last bytes of
/// similar names badly.
const fn mix(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
#[path = "candidates_tests.rs"]
mod tests;
