//! Limits the number of HTTP connections, without letting idle clients block others.
//!
//! If no permit is free, a connection without a page in flight is evicted: of the source address
//! with the most connections, the one that has been idle longest.
//!
//! A page in flight is not aborted for a new connection. Therefore pages must not occupy all
//! connections: each page holds a [`PagePermit`] until its last byte is written to the socket.
//! Fleet pages have `max_scrapes` permits. Agent pages have half as many permits as there may be
//! connections. If all of these are taken, the source with the most agent pages loses one to a
//! source with fewer.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::{Notify, Semaphore};

use super::connection::{HttpConnection, PagePermit};
use crate::admission::address_limits::Source;

/// The open connections and their limit.
#[derive(Debug)]
pub(super) struct ConnectionLimiter {
    max: usize,
    open: Mutex<Vec<Arc<HttpConnection>>>,
    /// Permits for agent pages.
    agent_pages: Arc<Semaphore>,
    /// Counts evicted connections.
    evicted: Counter,
    /// Notified when a connection has closed or become idle.
    changed: Arc<Notify>,
}

/// Permit to serve a connection. It is returned on drop.
#[derive(Debug)]
pub(super) struct Permit {
    limiter: Arc<ConnectionLimiter>,
    connection: Arc<HttpConnection>,
}

impl Permit {
    /// Returns the connection that holds this permit.
    pub(super) fn connection(&self) -> &Arc<HttpConnection> {
        &self.connection
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limiter.open.lock().retain(|other| !Arc::ptr_eq(other, &self.connection));
        self.limiter.changed.notify_one();
    }
}

impl ConnectionLimiter {
    pub(super) fn new(max: usize, evicted: Counter) -> Arc<Self> {
        let agent_pages = Arc::new(Semaphore::new((max / 2).max(1)));
        Arc::new(Self {
            max,
            open: Mutex::default(),
            agent_pages,
            evicted,
            changed: Arc::default(),
        })
    }

    /// Waits for a permit for a new connection from `address`. If none is free, evicts an idle
    /// connection of any address.
    pub(super) async fn take(self: &Arc<Self>, address: IpAddr) -> Permit {
        loop {
            if let Some(permit) = self.try_take(address) {
                return permit;
            }
            if self.evict() {
                self.evicted.inc();
            }
            // A notification that arrives before this await is kept, because only this task waits
            // for it.
            self.changed.notified().await;
        }
    }

    pub(super) fn try_take(self: &Arc<Self>, address: IpAddr) -> Option<Permit> {
        let mut open = self.open.lock();
        if open.len() >= self.max {
            return None;
        }
        let connection = HttpConnection::new(address, Arc::clone(&self.changed));
        open.push(Arc::clone(&connection));
        Some(Permit { limiter: Arc::clone(self), connection })
    }

    /// Evicts the connection idle longest of the source with the most connections, unless a
    /// connection is already closing. Returns whether it evicted one.
    fn evict(&self) -> bool {
        let open = self.open.lock();
        if open.iter().any(|connection| connection.is_closing()) {
            return false;
        }
        let of_source = by_source(open.iter());
        let candidates = open.iter().filter_map(|connection| {
            let active = connection.idle_since()?;
            Some((connection, (of_source[&connection.source()], Reverse(active))))
        });
        let evicted = candidates.max_by_key(|(_, rank)| *rank);
        evicted.inspect(|(connection, _)| connection.close()).is_some()
    }

    /// Returns the permits for agent pages.
    pub(super) fn agent_pages(&self) -> &Arc<Semaphore> {
        &self.agent_pages
    }

    /// Aborts an agent page of another source, and returns its permit for a page of this
    /// connection. Chooses the oldest page of the source with the most agent pages, if that source
    /// would still have at least as many as this connection's source.
    ///
    /// The permit is passed on directly. If it were released, a waiting request of the other source
    /// could get it.
    pub(super) fn take_over(&self, connection: &HttpConnection) -> Option<PagePermit> {
        let open = self.open.lock();
        // Collected once, because pages can begin and end meanwhile.
        let holders: Vec<_> = open.iter().filter(|other| other.holds_agent_page()).collect();
        let of_source = by_source(holders.iter().copied());
        let own = of_source.get(&connection.source()).copied().unwrap_or_default();
        let victim = holders
            .into_iter()
            .filter(|other| of_source[&other.source()] > own + 1)
            .max_by_key(|other| (of_source[&other.source()], Reverse(other.last_active())))?;
        victim.close();
        self.evicted.inc();
        victim.give_up_permit()
    }
}

/// Returns the number of these connections from each source address.
fn by_source<'a>(
    connections: impl Iterator<Item = &'a Arc<HttpConnection>>,
) -> HashMap<Source, usize> {
    let mut of_source = HashMap::new();
    for connection in connections {
        *of_source.entry(connection.source()).or_default() += 1;
    }
    of_source
}

#[cfg(test)]
mod page_tests;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::http::connection::{PageInFlight, Shows};

    pub(super) fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(127, 0, 0, last).into()
    }

    /// Takes a permit that is known to be free.
    pub(super) fn take(limiter: &Arc<ConnectionLimiter>, last: u8) -> Permit {
        limiter.try_take(address(last)).expect("a permit is free")
    }

    pub(super) fn is_evicted(permit: &Permit) -> bool {
        permit.connection().is_closing()
    }

    pub(super) fn page_permit() -> PagePermit {
        Arc::new(Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap())
    }

    /// Begins a page on this connection and marks it as being sent.
    pub(super) fn sending(permit: &Permit, shows: Shows) -> PageInFlight {
        let mut page = permit.connection().begin(shows, page_permit());
        page.sending();
        page
    }

    /// A host with a /64 prefix has 2^64 addresses.
    #[test]
    fn addresses_of_one_ipv6_prefix_count_as_one_source() {
        let limiter = ConnectionLimiter::new(4, Counter::default());
        let take = |address: &str| limiter.try_take(address.parse().unwrap()).unwrap();
        let quiet = take("2001:db8:0:1::1");
        let crowd = ["2001:db8:0:2::1", "2001:db8:0:2::2", "2001:db8:0:2:f::3"].map(take);
        assert!(limiter.evict());
        assert_eq!(crowd.each_ref().map(is_evicted), [true, false, false]);
        assert!(!is_evicted(&quiet), "the prefix with one connection lost it");
    }

    #[test]
    fn longest_idle_connection_is_evicted() {
        let limiter = ConnectionLimiter::new(3, Counter::default());
        let [one, two, three] = [1, 1, 1].map(|last| take(&limiter, last));
        one.connection().request();
        let page = two.connection().begin(Shows::Fleet, page_permit());
        assert!(limiter.evict());
        assert_eq!([&one, &two, &three].map(is_evicted), [false, false, true]);
        assert!(!limiter.evict(), "one is closing already");
        drop(three);
        drop(page);
        let _four = take(&limiter, 1);
        assert!(limiter.evict());
        assert_eq!([&one, &two].map(is_evicted), [true, false]);
    }

    #[test]
    fn source_with_most_connections_loses_one_first() {
        let limiter = ConnectionLimiter::new(3, Counter::default());
        let scraper = take(&limiter, 1);
        let crowd = [2, 2].map(|last| take(&limiter, last));
        assert!(limiter.evict());
        assert!(is_evicted(&crowd[0]) && !is_evicted(&scraper) && !is_evicted(&crowd[1]));
    }
}
