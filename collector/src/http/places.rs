//! Room for HTTP connections, where nobody keeps others out by doing nothing.
//!
//! When every place is taken, a connection that has no page under way gives way to the newcomer: of the source that
//! holds most places, the one that has asked for nothing for the longest time.
//!
//! A page under way is not broken off for a newcomer. So that pages never take all places, every page has a [`Room`] until
//! the kernel has its last byte: there are `max_scrapes` for pages of the fleet, and half as many as places for pages of
//! single agents. If the latter are all taken, a source that has most of them gives one up to a source that has fewer.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;

use crate::addresses::Source;

/// Room for so many connections.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    held: Mutex<Vec<Arc<Visit>>>,
    /// Rooms for pages of single agents.
    agents_pages: Arc<Semaphore>,
    /// Counts who had to give way.
    evicted: Counter,
    /// Somebody has left, or has become one who could.
    changed: Arc<Notify>,
}

/// A connection as others see it.
#[derive(Debug)]
pub(super) struct Visit {
    address: IpAddr,
    /// For whom it is counted.
    source: Source,
    state: Mutex<State>,
    /// It has asked for something.
    asked: CancellationToken,
    /// It is to end.
    leave: CancellationToken,
    /// The page under way has got a deadline.
    timed: Notify,
    changed: Arc<Notify>,
}

/// Permission for a page to be under way. The thread that makes the page and the connection that sends it share it.
pub(super) type Room = Arc<OwnedSemaphorePermit>;

#[derive(Debug)]
struct State {
    /// The page that is being looked up, made or sent.
    under_way: Option<Page>,
    /// When it asked for something last, or was done with it.
    active: Instant,
}

/// What a page shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shows {
    /// The fleet, or a part of it. There are at most `max_scrapes` of these.
    Fleet,
    /// One agent.
    Agent,
}

#[derive(Debug)]
struct Page {
    shows: Shows,
    /// `None` once another page has taken it over.
    room: Option<Room>,
    /// When the kernel must have its last byte. `None` until it is made: until then the thread that makes it keeps the time.
    deadline: Option<Instant>,
    /// All of it was made; its last bytes may still wait to be sent.
    whole: bool,
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

    /// A page is under way.
    pub(super) fn begin(self: &Arc<Self>, shows: Shows, room: Room) -> UnderWay {
        let page = Page { shows, room: Some(room), deadline: None, whole: false };
        self.state.lock().under_way = Some(page);
        UnderWay { visit: Arc::clone(self), sent: false }
    }

    /// The page in this room is made. If it is still under way, the kernel must have its last byte by this time.
    pub(super) fn made(&self, room: &Room, deadline: Instant) {
        let mut state = self.state.lock();
        let Some(page) = &mut state.under_way else { return };
        // Another page may be under way by now.
        if page.room.as_ref().is_some_and(|own| Arc::ptr_eq(own, room)) {
            page.deadline = Some(deadline);
            self.timed.notify_one();
        }
    }

    /// Done when the page under way has passed its deadline.
    pub(super) async fn overdue(&self) {
        loop {
            let deadline = self.state.lock().under_way.as_ref().and_then(|page| page.deadline);
            match deadline {
                None => self.timed.notified().await,
                Some(deadline) if deadline <= Instant::now() => return,
                // Timed out or not, there may be another page by now.
                Some(deadline) => drop(timeout_at(deadline.into(), self.timed.notified()).await),
            }
        }
    }

    /// Whether a page is under way.
    pub(super) fn is_under_way(&self) -> bool {
        self.state.lock().under_way.is_some()
    }

    /// All that was made so far is with the kernel; whether a page is still under way.
    pub(super) fn flushed(&self) -> bool {
        let mut state = self.state.lock();
        if state.under_way.as_ref().is_some_and(|page| page.whole) {
            self.done(&mut state);
        }
        state.under_way.is_some()
    }

    fn done(&self, state: &mut State) {
        *state = State { under_way: None, active: Instant::now() };
        self.changed.notify_one();
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

/// A page under way. Dropped before anything of it was sent, there is none; dropped later and not [whole](Self::whole),
/// the page is broken, and stays under way until the connection is closed.
#[derive(Debug)]
pub(super) struct UnderWay {
    visit: Arc<Visit>,
    sent: bool,
}

impl UnderWay {
    /// Something of it is about to be sent.
    pub(super) fn sending(&mut self) {
        self.sent = true;
    }

    /// All of it was made.
    pub(super) fn whole(&self) {
        if let Some(page) = &mut self.visit.state.lock().under_way {
            page.whole = true;
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if !self.sent {
            self.visit.done(&mut self.visit.state.lock());
        }
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
        let agents_pages = Arc::new(Semaphore::new((most / 2).max(1)));
        Arc::new(Self {
            most,
            held: Mutex::default(),
            agents_pages,
            evicted,
            changed: Arc::default(),
        })
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

    pub(super) fn try_take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut held = self.held.lock();
        if held.len() >= self.most {
            return None;
        }
        let visit = Arc::new(Visit {
            address,
            source: address.into(),
            state: Mutex::new(State { under_way: None, active: Instant::now() }),
            asked: CancellationToken::new(),
            leave: CancellationToken::new(),
            timed: Notify::new(),
            changed: Arc::clone(&self.changed),
        });
        held.push(Arc::clone(&visit));
        Some(Place { places: Arc::clone(self), visit })
    }

    /// Makes a connection without a page under way leave for a newcomer, unless one is leaving already.
    fn evict(&self) -> bool {
        let held = self.held.lock();
        if held.iter().any(|visit| visit.leave.is_cancelled()) {
            return false;
        }
        let of_source = by_source(held.iter());
        let may_leave = held.iter().filter_map(|visit| {
            let state = visit.state.lock();
            let idle = state.under_way.is_none();
            idle.then(|| (visit, (of_source[&visit.source], Reverse(state.active))))
        });
        let least = may_leave.max_by_key(|(_, rank)| *rank);
        least.inspect(|(visit, _)| visit.leave()).is_some()
    }

    /// The rooms for pages of single agents.
    pub(super) fn agents_pages(&self) -> &Arc<Semaphore> {
        &self.agents_pages
    }

    /// The room of another agent's page, for a page that finds none: the oldest of the source that has most of them, if
    /// this one's has fewer. That page is broken off.
    ///
    /// The room changes hands here, or the next of that source in the queue would have it.
    pub(super) fn take_over(&self, visit: &Visit) -> Option<Room> {
        let held = self.held.lock();
        let has_room = |visit: &&Arc<Visit>| {
            let state = visit.state.lock();
            let page = state.under_way.as_ref();
            page.is_some_and(|page| page.shows == Shows::Agent && page.room.is_some())
        };
        let of_source = by_source(held.iter().filter(has_room));
        let own = of_source.get(&visit.source).copied().unwrap_or_default();
        let has_more = |other: &&Arc<Visit>| of_source[&other.source] > own + 1;
        let gives_up =
            held.iter().filter(has_room).filter(has_more).max_by_key(|other| {
                (of_source[&other.source], Reverse(other.state.lock().active))
            })?;
        gives_up.leave();
        self.evicted.inc();
        gives_up.state.lock().under_way.as_mut()?.room.take()
    }
}

fn by_source<'a>(visits: impl Iterator<Item = &'a Arc<Visit>>) -> HashMap<Source, usize> {
    let mut of_source = HashMap::new();
    for visit in visits {
        *of_source.entry(visit.source).or_default() += 1;
    }
    of_source
}

#[cfg(test)]
mod page_tests;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    pub(super) fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(127, 0, 0, last).into()
    }

    /// A place that is to be had at once.
    pub(super) fn take(places: &Arc<Places>, last: u8) -> Place {
        places.try_take(address(last)).expect("there is room")
    }

    pub(super) fn leaving(place: &Place) -> bool {
        place.visit.leave.is_cancelled()
    }

    pub(super) fn room() -> Room {
        Arc::new(Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap())
    }

    /// A page that is being sent.
    pub(super) fn sending(place: &Place, shows: Shows) -> UnderWay {
        let mut page = place.visit().begin(shows, room());
        page.sending();
        page
    }

    /// Whoever has a /64 has 2^64 addresses.
    #[test]
    fn addresses_of_one_ipv6_prefix_are_one_source() {
        let places = Places::new(4, Counter::default());
        let take = |address: &str| places.try_take(address.parse().unwrap()).unwrap();
        let quiet = take("2001:db8:0:1::1");
        let crowd = ["2001:db8:0:2::1", "2001:db8:0:2::2", "2001:db8:0:2:f::3"].map(take);
        assert!(places.evict());
        assert_eq!(crowd.each_ref().map(leaving), [true, false, false]);
        assert!(
            !leaving(&quiet),
            "the only one of its prefix gave way, as it was idle for longest"
        );
    }

    #[test]
    fn the_longest_idle_gives_way() {
        let places = Places::new(3, Counter::default());
        let [one, two, three] = [1, 1, 1].map(|last| take(&places, last));
        one.visit().ask();
        let page = two.visit().begin(Shows::Fleet, room());
        assert!(places.evict());
        assert_eq!([&one, &two, &three].map(leaving), [false, false, true]);
        assert!(!places.evict(), "one is leaving already");
        drop(three);
        drop(page);
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
}
