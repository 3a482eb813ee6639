//! Limit of HTTP connections, under which idle clients do not keep others out.
//!
//! When all permits are taken, a connection without a page in flight is evicted: of the source with
//! most connections, the one that has been idle for longest.
//!
//! A page in flight is not broken off for a new connection. So that pages never take all
//! connections, every page holds a [`PagePermit`] until the kernel has its last byte. There are
//! `max_scrapes` permits for fleet pages, and half as many as connections for agent pages. If all
//! of the latter are taken, the source with most agent pages gives one up to a source with fewer.

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
    /// Counts evictions.
    evicted: Counter,
    /// Notified when a connection has closed or become idle.
    changed: Arc<Notify>,
}

/// Permission to serve a connection, returned on drop.
#[derive(Debug)]
pub(super) struct Permit {
    limiter: Arc<ConnectionLimiter>,
    connection: Arc<HttpConnection>,
}

impl Permit {
    /// Returns the connection.
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

    /// Waits for a permit for a connection from this address.
    pub(super) async fn take(self: &Arc<Self>, address: IpAddr) -> Permit {
        loop {
            if let Some(permit) = self.try_take(address) {
                return permit;
            }
            if self.evict() {
                self.evicted.inc();
            }
            // A notification before this await is kept: nothing else waits for it.
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

    /// Closes a connection without a page in flight in favor of a new one, unless one is closing
    /// already. Returns whether it did.
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

    /// Breaks off another agent page in favor of a page of this connection, and returns its permit.
    /// Takes the oldest page of the source that has most of them, if this connection's source has
    /// fewer.
    ///
    /// The permit is handed over here, or the next request of that source in the queue would get
    /// it.
    pub(super) fn take_over(&self, connection: &HttpConnection) -> Option<PagePermit> {
        let open = self.open.lock();
        // Collected once: pages may begin and end meanwhile.
        let holders: Vec<_> = open.iter().filter(|other| other.holds_agent_page()).collect();
        let of_source = by_source(holders.iter().copied());
        let own = of_source.get(&connection.source()).copied().unwrap_or_default();
        let gives_up = holders
            .into_iter()
            .filter(|other| of_source[&other.source()] > own + 1)
            .max_by_key(|other| (of_source[&other.source()], Reverse(other.last_active())))?;
        gives_up.close();
        self.evicted.inc();
        gives_up.give_up_permit()
    }
}

/// Counts connections by source.
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

    /// Takes a permit that is free.
    pub(super) fn take(limiter: &Arc<ConnectionLimiter>, last: u8) -> Permit {
        limiter.try_take(address(last)).expect("there is room")
    }

    pub(super) fn leaving(permit: &Permit) -> bool {
        permit.connection().is_closing()
    }

    pub(super) fn page_permit() -> PagePermit {
        Arc::new(Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap())
    }

    /// A page that is being sent.
    pub(super) fn sending(permit: &Permit, shows: Shows) -> PageInFlight {
        let mut page = permit.connection().begin(shows, page_permit());
        page.sending();
        page
    }

    /// A host with a /64 has 2^64 addresses.
    #[test]
    fn addresses_of_one_ipv6_prefix_are_one_source() {
        let limiter = ConnectionLimiter::new(4, Counter::default());
        let take = |address: &str| limiter.try_take(address.parse().unwrap()).unwrap();
        let quiet = take("2001:db8:0:1::1");
        let crowd = ["2001:db8:0:2::1", "2001:db8:0:2::2", "2001:db8:0:2:f::3"].map(take);
        assert!(limiter.evict());
        assert_eq!(crowd.each_ref().map(leaving), [true, false, false]);
        assert!(
            !leaving(&quiet),
            "the only one of its prefix gave way, as it was idle for longest"
        );
    }

    #[test]
    fn the_longest_idle_gives_way() {
        let limiter = ConnectionLimiter::new(3, Counter::default());
        let [one, two, three] = [1, 1, 1].map(|last| take(&limiter, last));
        one.connection().request();
        let page = two.connection().begin(Shows::Fleet, page_permit());
        assert!(limiter.evict());
        assert_eq!([&one, &two, &three].map(leaving), [false, false, true]);
        assert!(!limiter.evict(), "one is leaving already");
        drop(three);
        drop(page);
        let _four = take(&limiter, 1);
        assert!(limiter.evict());
        assert_eq!([&one, &two].map(leaving), [true, false]);
    }

    #[test]
    fn whoever_holds_most_gives_way_first() {
        let limiter = ConnectionLimiter::new(3, Counter::default());
        let scraper = take(&limiter, 1);
        let crowd = [2, 2].map(|last| take(&limiter, last));
        assert!(limiter.evict());
        assert!(leaving(&crowd[0]) && !leaving(&scraper) && !leaving(&crowd[1]));
    }
}
