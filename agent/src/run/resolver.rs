//! Resolves the collector's name to addresses.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::connect::{CONNECT_TIMEOUT, ConnectError};
use crate::config::Endpoint;

/// Maximum number of addresses of a name that one round tries.
const MAX_ADDRESSES: usize = 8;

/// Resolves the collector's name.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    /// A lookup that took longer than [`CONNECT_TIMEOUT`]. Its thread still blocks in the system's
    /// resolver, so the next round awaits it instead of blocking another thread.
    pending: Option<Lookup>,
    /// Addresses that the resolver returns for any name.
    #[cfg(test)]
    fixed: Vec<SocketAddr>,
}

/// A running lookup.
#[derive(Debug)]
struct Lookup {
    name: Endpoint,
    found: JoinHandle<io::Result<Vec<SocketAddr>>>,
}

impl Lookup {
    fn start(name: &Endpoint) -> Self {
        let (host, port) = (name.host().to_owned(), name.port());
        let found = tokio::spawn(async move {
            lookup_host((host, port)).await.map(|addresses| addresses.collect())
        });
        Self { name: name.clone(), found }
    }

    async fn found(&mut self) -> io::Result<Vec<SocketAddr>> {
        (&mut self.found).await.unwrap_or_else(|panicked| Err(io::Error::other(panicked)))
    }
}

impl Resolver {
    /// Returns the addresses of `endpoint`, at least one, in the order to try.
    pub(super) async fn resolve(
        &mut self,
        endpoint: &Endpoint,
    ) -> Result<Vec<SocketAddr>, ConnectError> {
        #[cfg(test)]
        if !self.fixed.is_empty() {
            return Ok(self.fixed.clone());
        }
        let found = self.look_up(endpoint, CONNECT_TIMEOUT).await?;
        let mut addresses = Vec::new();
        for address in found {
            if addresses.len() < MAX_ADDRESSES && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() { Err(ConnectError::NoAddress) } else { Ok(addresses) }
    }

    async fn look_up(
        &mut self,
        endpoint: &Endpoint,
        limit: Duration,
    ) -> Result<Vec<SocketAddr>, ConnectError> {
        let mut pending = self.pending.take().filter(|lookup| lookup.name == *endpoint);
        if let Some(lookup) = &mut pending
            && lookup.found.is_finished()
        {
            if let Ok(found) = lookup.found().await {
                return Ok(found);
            }
            // The lookup failed. Start another one: the cause may be gone.
            pending = None;
        }
        let lookup = self.pending.insert(pending.unwrap_or_else(|| Lookup::start(endpoint)));
        let found =
            timeout(limit, lookup.found()).await.map_err(|_| ConnectError::LookupTimeout)?;
        self.pending = None;
        found.map_err(ConnectError::Lookup)
    }
}

#[cfg(test)]
impl From<Vec<SocketAddr>> for Resolver {
    fn from(fixed: Vec<SocketAddr>) -> Self {
        Self { pending: None, fixed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hung_lookup_is_awaited_again_instead_of_starting_another() {
        // RFC 6761: no resolver finds this name.
        let name = Endpoint::parse("collector.invalid:45678").unwrap();
        let (answer, answered) = tokio::sync::oneshot::channel();
        let found = tokio::spawn(async { Ok(answered.await.unwrap()) });
        let pending = Some(Lookup { name: name.clone(), found });
        let mut resolver = Resolver { pending, ..Resolver::default() };
        for _ in 0..2 {
            let error = resolver.look_up(&name, Duration::from_millis(1)).await.unwrap_err();
            assert!(matches!(error, ConnectError::LookupTimeout), "{error}");
        }
        let address = SocketAddr::from(([192, 0, 2, 1], 45678));
        answer.send(vec![address]).unwrap();
        assert_eq!(resolver.resolve(&name).await.unwrap(), [address]);
        assert!(resolver.pending.is_none());
    }
}
