//! Resolves the collectors' names to addresses.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::candidates::Resolved;
use super::connect::{CONNECT_TIMEOUT, ConnectError};
use super::srv::{self, MAX_TARGETS, SrvError, Target};
use crate::config::{Collector, Endpoint, SrvName};

/// Maximum number of addresses of a name. A name has some twenty collectors with an address in each
/// family; more addresses are a mistake or an attack.
const MAX_ADDRESSES: usize = 64;

/// Resolves the collectors' names.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    /// Lookups that took longer than [`CONNECT_TIMEOUT`], at most one for each name. Their threads
    /// still block in the system's resolver, so the next round awaits them instead of blocking
    /// others.
    pending: Vec<Lookup>,
    /// Addresses that the resolver returns for any name.
    #[cfg(test)]
    fixed: Vec<SocketAddr>,
    /// DNS servers to ask for SRV records, instead of those of the system.
    #[cfg(test)]
    pub(super) dns_servers: Vec<SocketAddr>,
}

/// A running lookup.
#[derive(Debug)]
struct Lookup {
    name: Endpoint,
    found: JoinHandle<io::Result<Vec<SocketAddr>>>,
    /// Whether a round has waited for it in vain.
    has_timed_out: bool,
}

impl Lookup {
    fn start(name: &Endpoint) -> Self {
        let (host, port) = (name.host().to_owned(), name.port());
        let found = tokio::spawn(async move {
            lookup_host((host, port)).await.map(|addresses| addresses.collect())
        });
        Self { name: name.clone(), found, has_timed_out: false }
    }

    async fn found(&mut self) -> io::Result<Vec<SocketAddr>> {
        (&mut self.found).await.unwrap_or_else(|panicked| Err(io::Error::other(panicked)))
    }
}

/// A collector and its addresses, or why it has none.
type Resolution = (Collector, Result<Resolved, ConnectError>);
/// A name and what its lookup found.
type Found = (Endpoint, Result<Vec<SocketAddr>, ConnectError>);

impl Resolver {
    /// Resolves all names at once, each to at least one address. Looks up SRV records before.
    pub(super) async fn resolve(&mut self, collectors: &[Collector]) -> Vec<Resolution> {
        #[cfg(test)]
        if let [Collector::Endpoint(name), ..] = collectors
            && !self.fixed.is_empty()
        {
            let resolved = Resolved::new(name.clone(), self.fixed.clone());
            return vec![(collectors[0].clone(), Ok(resolved))];
        }
        let mut all = Vec::new();
        let mut hosts = self.hosts(collectors, &mut all).await;
        let mut names: Vec<Endpoint> = Vec::new();
        for host in &hosts {
            if !names.contains(&host.endpoint) {
                names.push(host.endpoint.clone());
            }
        }
        for (name, found) in self.look_up(&names, CONNECT_TIMEOUT).await {
            let addresses = match found {
                Ok(addresses) => addresses,
                Err(error) => {
                    all.push((Collector::Endpoint(name), Err(error)));
                    continue;
                }
            };
            for host in hosts.extract_if(.., |host| host.endpoint == name) {
                let resolved = Resolved { addresses: addresses.clone(), ..host };
                all.push((Collector::Endpoint(name.clone()), Ok(resolved)));
            }
        }
        all
    }

    /// Returns the names of the collectors: those configured, and the targets of SRV records, at
    /// most [`MAX_TARGETS`]. Adds failures to `all`.
    async fn hosts(&self, collectors: &[Collector], all: &mut Vec<Resolution>) -> Vec<Resolved> {
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        let (mut hosts, mut left) = (Vec::new(), MAX_TARGETS);
        for collector in collectors {
            let name = match collector {
                Collector::Endpoint(endpoint) => {
                    hosts.push(host(endpoint.clone(), 0, None));
                    continue;
                }
                Collector::Srv(name) => name,
            };
            let targets = timeout_at(deadline, self.targets(name)).await;
            let targets = targets.map_err(|_| ConnectError::LookupTimeout);
            match targets.and_then(|targets| targets.map_err(ConnectError::Srv)) {
                Ok(targets) => {
                    for Target { priority, endpoint } in targets.into_iter().take(left) {
                        hosts.push(host(endpoint, priority, Some(name.domain().into())));
                        left -= 1;
                    }
                }
                Err(error) => all.push((collector.clone(), Err(error))),
            }
        }
        hosts
    }

    async fn targets(&self, name: &SrvName) -> Result<Vec<Target>, SrvError> {
        #[cfg(test)]
        if !self.dns_servers.is_empty() {
            return srv::look_up(name, &self.dns_servers).await;
        }
        srv::look_up(name, &srv::system_servers().await).await
    }

    async fn look_up(&mut self, names: &[Endpoint], limit: Duration) -> Vec<Found> {
        let deadline = Instant::now() + limit;
        self.pending.retain(|lookup| names.contains(&lookup.name));
        for name in names {
            if !self.pending.iter().any(|lookup| lookup.name == *name) {
                self.pending.push(Lookup::start(name));
            }
        }
        let mut all = Vec::with_capacity(names.len());
        for name in names {
            let found = self.finish(name, deadline).await;
            all.push((name.clone(), found.and_then(distinct)));
        }
        all
    }

    /// Returns what the lookup of `name` finds until `deadline`. Keeps a lookup that takes longer,
    /// also if this future is dropped.
    async fn finish(
        &mut self,
        name: &Endpoint,
        deadline: Instant,
    ) -> Result<Vec<SocketAddr>, ConnectError> {
        let mut pending = self.pending.iter_mut().enumerate();
        let found = pending.find(|(_, lookup)| lookup.name == *name);
        let Some((index, lookup)) = found else { return Err(ConnectError::NoAddress) };
        if lookup.has_timed_out && lookup.found.is_finished() {
            if let Ok(found) = lookup.found().await {
                self.pending.swap_remove(index);
                return Ok(found);
            }
            // A lookup of an earlier round that failed says nothing about now.
            *lookup = Lookup::start(name);
        }
        match timeout_at(deadline, lookup.found()).await {
            Ok(found) => {
                self.pending.swap_remove(index);
                found.map_err(ConnectError::Lookup)
            }
            Err(_) => {
                lookup.has_timed_out = true;
                Err(ConnectError::LookupTimeout)
            }
        }
    }
}

/// Returns a collector whose addresses are not known yet.
const fn host(endpoint: Endpoint, priority: u16, domain: Option<Box<str>>) -> Resolved {
    Resolved { endpoint, addresses: Vec::new(), priority, domain }
}

/// Drops addresses that a name has twice or beyond [`MAX_ADDRESSES`].
fn distinct(found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, ConnectError> {
    let mut addresses = Vec::new();
    for address in found {
        if addresses.len() < MAX_ADDRESSES && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err(ConnectError::NoAddress) } else { Ok(addresses) }
}

#[cfg(test)]
impl From<Vec<SocketAddr>> for Resolver {
    fn from(fixed: Vec<SocketAddr>) -> Self {
        Self { fixed, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    const SHORT: Duration = Duration::from_millis(1);

    fn address(n: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, n], 45678))
    }

    /// A resolver with a lookup of `name` that ends when the sender is used.
    fn hung(name: &Endpoint) -> (Resolver, oneshot::Sender<io::Result<Vec<SocketAddr>>>) {
        let (answer, answered) = oneshot::channel();
        let found = tokio::spawn(async { answered.await.unwrap() });
        let lookup = Lookup { name: name.clone(), found, has_timed_out: false };
        (Resolver { pending: vec![lookup], ..Resolver::default() }, answer)
    }

    fn timed_out(resolution: &Found) -> bool {
        matches!(resolution.1, Err(ConnectError::LookupTimeout))
    }

    #[tokio::test]
    async fn hung_lookup_is_awaited_again_instead_of_starting_another() {
        // RFC 6761: no resolver finds this name.
        let name = [Endpoint::parse("collector.invalid:45678").unwrap()];
        let (mut resolver, answer) = hung(&name[0]);
        for _ in 0..2 {
            assert!(timed_out(&resolver.look_up(&name, SHORT).await[0]));
        }
        answer.send(Ok(vec![address(1)])).unwrap();
        let all = resolver.look_up(&name, CONNECT_TIMEOUT).await;
        assert_eq!(all[0].1.as_ref().unwrap(), &[address(1)]);
        assert!(resolver.pending.is_empty());
    }

    #[tokio::test]
    async fn late_failure_of_a_hung_lookup_starts_another() {
        let name = [Endpoint::parse("192.0.2.7:45678").unwrap()];
        let (mut resolver, answer) = hung(&name[0]);
        assert!(timed_out(&resolver.look_up(&name, SHORT).await[0]));
        answer.send(Err(io::Error::other("no server"))).unwrap();
        while !resolver.pending[0].found.is_finished() {
            tokio::task::yield_now().await;
        }
        let all = resolver.look_up(&name, CONNECT_TIMEOUT).await;
        assert_eq!(all[0].1.as_ref().unwrap(), &[address(7)]);
    }

    #[tokio::test]
    async fn other_names_are_resolved_while_one_hangs() {
        let names = ["collector.invalid:45678", "192.0.2.7:45678"];
        let names = names.map(|name| Endpoint::parse(name).unwrap());
        let (mut resolver, _answer) = hung(&names[0]);
        let other = Lookup::start(&names[1]);
        resolver.pending.push(other);
        while !resolver.pending[1].found.is_finished() {
            tokio::task::yield_now().await;
        }
        let all = resolver.look_up(&names, SHORT).await;
        assert!(timed_out(&all[0]));
        assert_eq!(all[1].1.as_ref().unwrap(), &[address(7)]);
    }

    /// Each reload drops the round. Its lookup must not be forgotten, or every reload blocks
    /// another thread.
    #[tokio::test]
    async fn hung_lookup_survives_a_dropped_round() {
        let name = [Endpoint::parse("collector.invalid:45678").unwrap()];
        let (mut resolver, answer) = hung(&name[0]);
        {
            let mut round = std::pin::pin!(resolver.look_up(&name, CONNECT_TIMEOUT));
            tokio::select! {
                biased;
                _ = &mut round => panic!("the lookup has ended"),
                () = tokio::task::yield_now() => {}
            }
        }
        answer.send(Ok(vec![address(1)])).unwrap();
        let all = resolver.look_up(&name, CONNECT_TIMEOUT).await;
        assert_eq!(all[0].1.as_ref().unwrap(), &[address(1)]);
    }

    /// Removed names must not accumulate: each blocks a thread.
    #[tokio::test]
    async fn hung_lookups_of_names_that_were_removed_are_forgotten() {
        let name = [Endpoint::parse("collector.invalid:45678").unwrap()];
        let (mut resolver, _answer) = hung(&name[0]);
        let other = [Endpoint::parse("192.0.2.7:45678").unwrap()];
        assert!(resolver.look_up(&other, CONNECT_TIMEOUT).await[0].1.is_ok());
        assert!(resolver.pending.is_empty());
    }

    /// DNS can return any number of addresses.
    #[test]
    fn flood_of_addresses_is_cut() {
        let flood = (0..10_000_u32).map(|n| SocketAddr::from((n.to_be_bytes(), 45678)));
        assert_eq!(distinct(flood.collect()).unwrap().len(), MAX_ADDRESSES);
        let twice = vec![address(1), address(1)];
        assert_eq!(distinct(twice).unwrap(), [address(1)]);
        assert!(matches!(distinct(vec![]), Err(ConnectError::NoAddress)));
    }
}
