//! Room for HTTP connections, where nobody keeps others out by doing nothing.
//!
//! When every place is taken, one who is not in the midst of a scrape gives way to the newcomer: of the address that
//! holds most places, the one who has asked for nothing for the longest time. Scrapes themselves are few and timed.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Room for so many connections.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    held: Mutex<Vec<Arc<Visit>>>,
    /// Counts who had to give way.
    evicted: Counter,
    /// Somebody has left, or has become one who could.
    changed: Arc<Notify>,
}

/// A connection as others see it.
#[derive(Debug)]
pub(super) struct Visit {
    address: IpAddr,
    state: Mutex<State>,
    /// It has asked for something.
    asked: CancellationToken,
    /// It is to end.
    leave: CancellationToken,
    changed: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    scraping: bool,
    /// When it asked for something last, or was done with it.
    active: Instant,
}

impl Visit {
    /// Where it comes from.
    pub(super) fn address(&self) -> IpAddr {
        self.address
    }

    /// It asks for something.
    pub(super) fn ask(&self) {
        self.state.lock().active = Instant::now();
        self.asked.cancel();
    }

    /// Done once it has asked for something.
    pub(super) async fn asked(&self) {
        self.asked.cancelled().await;
    }

    /// It scrapes, and need not give way until what is returned is dropped.
    pub(super) fn scrape(self: &Arc<Self>) -> Scraping {
        self.state.lock().scraping = true;
        Scraping(Arc::clone(self))
    }

    /// Ends the connection.
    pub(super) fn leave(&self) {
        self.leave.cancel();
    }

    /// Done when it is to end.
    pub(super) async fn left(&self) {
        self.leave.cancelled().await;
    }
}

/// A scrape under way.
#[derive(Debug)]
pub(super) struct Scraping(Arc<Visit>);

impl Drop for Scraping {
    fn drop(&mut self) {
        *self.0.state.lock() = State { scraping: false, active: Instant::now() };
        self.0.changed.notify_one();
    }
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    visit: Arc<Visit>,
}

impl Place {
    /// Who holds it.
    pub(super) fn visit(&self) -> &Arc<Visit> {
        &self.visit
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.held.lock().retain(|visit| !Arc::ptr_eq(visit, &self.visit));
        self.places.changed.notify_one();
    }
}

impl Places {
    pub(super) fn new(most: usize, evicted: Counter) -> Arc<Self> {
        Arc::new(Self { most, held: Mutex::default(), evicted, changed: Arc::default() })
    }

    /// A place for a connection from this address, as soon as there is one.
    pub(super) async fn take(self: &Arc<Self>, address: IpAddr) -> Place {
        loop {
            if let Some(place) = self.try_take(address) {
                return place;
            }
            if self.evict() {
                self.evicted.inc();
            }
            // What changes before this is waited for is kept: nobody else waits.
            self.changed.notified().await;
        }
    }

    fn try_take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut held = self.held.lock();
        if held.len() >= self.most {
            return None;
        }
        let visit = Arc::new(Visit {
            address,
            state: Mutex::new(State { scraping: false, active: Instant::now() }),
            asked: CancellationToken::new(),
            leave: CancellationToken::new(),
            changed: Arc::clone(&self.changed),
        });
        held.push(Arc::clone(&visit));
        Some(Place { places: Arc::clone(self), visit })
    }

    /// Makes somebody leave, unless somebody is leaving already or all are scraping.
    fn evict(&self) -> bool {
        let held = self.held.lock();
        if held.iter().any(|visit| visit.leave.is_cancelled()) {
            return false;
        }
        let mut of_address = HashMap::new();
        for visit in held.iter() {
            *of_address.entry(visit.address).or_insert(0_usize) += 1;
        }
        let idle = held.iter().filter_map(|visit| {
            let state = visit.state.lock();
            (!state.scraping).then_some((visit, state.active))
        });
        let least =
            idle.max_by_key(|(visit, active)| (of_address[&visit.address], Reverse(*active)));
        least.inspect(|(visit, _)| visit.leave()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(127, 0, 0, last).into()
    }

    /// A place that is to be had at once.
    fn take(places: &Arc<Places>, last: u8) -> Place {
        places.try_take(address(last)).expect("there is room")
    }

    fn leaving(place: &Place) -> bool {
        place.visit.leave.is_cancelled()
    }

    #[test]
    fn the_longest_idle_gives_way() {
        let places = Places::new(3, Counter::default());
        let [one, two, three] = [1, 1, 1].map(|last| take(&places, last));
        one.visit().ask();
        let scraping = two.visit().scrape();
        assert!(places.evict());
        assert_eq!([&one, &two, &three].map(leaving), [false, false, true]);
        assert!(!places.evict(), "one is leaving already");
        drop(three);
        drop(scraping);
        let _four = take(&places, 1);
        assert!(places.evict());
        assert_eq!([&one, &two].map(leaving), [true, false]);
    }

    #[test]
    fn whoever_holds_most_gives_way_first() {
        let places = Places::new(3, Counter::default());
        let scraper = take(&places, 1);
        let crowd = [2, 2].map(|last| take(&places, last));
        assert!(places.evict());
        assert!(leaving(&crowd[0]) && !leaving(&scraper) && !leaving(&crowd[1]));
    }

    #[test]
    fn a_newcomer_waits_until_a_scrape_is_over() {
        let places = Places::new(1, Counter::default());
        let first = take(&places, 1);
        let scraping = first.visit().scrape();
        let mut next = pin!(places.take(address(1)));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(next.as_mut().poll(&mut cx).is_pending());
        assert!(!leaving(&first));
        drop(scraping);
        assert!(next.as_mut().poll(&mut cx).is_pending());
        assert!(leaving(&first), "it is done and gives way");
        drop(first);
        let Poll::Ready(place) = next.as_mut().poll(&mut cx) else { panic!("there is room") };
        assert!(!leaving(&place));
        drop(place);
        assert!(places.held.lock().is_empty());
        assert_eq!(places.evicted.get(), 1);
    }
}
