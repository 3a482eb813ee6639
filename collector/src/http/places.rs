//! Room for HTTP connections, where nobody keeps others out by doing nothing.
//!
//! When every place is taken, a connection that has no page under way gives way to the newcomer: of the source that
//! holds most places, the one that has asked for nothing for the longest time. Pages of the fleet are few and timed, and
//! are never broken off for a newcomer. Pages of single agents are as many as there are places: if all are taken by
//! pages and one source has more than half, one of its agents' pages gives way to another source.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::addresses::Source;

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
    /// For whom it is counted.
    source: Source,
    state: Mutex<State>,
    /// It has asked for something.
    asked: CancellationToken,
    /// It is to end.
    leave: CancellationToken,
    changed: Arc<Notify>,
}

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
    pub(super) fn begin(self: &Arc<Self>, shows: Shows) -> UnderWay {
        self.state.lock().under_way = Some(Page { shows, whole: false });
        UnderWay { visit: Arc::clone(self), sent: false }
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
        Arc::new(Self { most, held: Mutex::default(), evicted, changed: Arc::default() })
    }

    /// A place for a connection from this address, as soon as there is one.
    pub(super) async fn take(self: &Arc<Self>, address: IpAddr) -> Place {
        loop {
            if let Some(place) = self.try_take(address) {
                return place;
            }
            if self.evict(address.into()) {
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
            changed: Arc::clone(&self.changed),
        });
        held.push(Arc::clone(&visit));
        Some(Place { places: Arc::clone(self), visit })
    }

    /// Makes a connection leave for one from this source, unless one is leaving already or none may be made to.
    fn evict(&self, newcomer: Source) -> bool {
        let held = self.held.lock();
        if held.iter().any(|visit| visit.leave.is_cancelled()) {
            return false;
        }
        let mut of_source = HashMap::new();
        for visit in held.iter() {
            *of_source.entry(visit.source).or_insert(0_usize) += 1;
        }
        let is_crowd = |source: &Source| *source != newcomer && of_source[source] > self.most / 2;
        let may_leave = held.iter().filter_map(|visit| {
            let state = visit.state.lock();
            let idle = match &state.under_way {
                None => true,
                Some(page) if page.shows == Shows::Agent && is_crowd(&visit.source) => false,
                Some(_) => return None,
            };
            Some((visit, (idle, of_source[&visit.source], Reverse(state.active))))
        });
        let least = may_leave.max_by_key(|(_, rank)| *rank);
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

    fn evict(places: &Places, newcomer: u8) -> bool {
        places.evict(address(newcomer).into())
    }

    /// A page that is being sent.
    fn sending(place: &Place, shows: Shows) -> UnderWay {
        let mut page = place.visit().begin(shows);
        page.sending();
        page
    }

    #[test]
    fn a_page_is_under_way_until_its_last_bytes_are_sent() {
        let places = Places::new(1, Counter::default());
        let place = take(&places, 1);
        for shows in [Shows::Agent, Shows::Fleet] {
            let page = sending(&place, shows);
            assert!(place.visit().flushed() && !evict(&places, 1), "it is being made");
            page.whole();
            drop(page);
            assert!(place.visit().is_under_way() && !evict(&places, 1), "it is being sent");
            assert!(!place.visit().flushed());
        }
        drop(sending(&place, Shows::Fleet));
        assert!(place.visit().flushed(), "a broken page is never done");
    }

    /// One that asks for agents' pages and does not read them, in every place.
    #[test]
    fn a_crowd_of_agents_pages_does_not_keep_others_out() {
        let places = Places::new(4, Counter::default());
        let crowd = [2, 2, 2].map(|last| take(&places, last));
        let scraper = take(&places, 1);
        let _fleet = sending(&crowd[0], Shows::Fleet);
        let _others = [&crowd[1], &crowd[2], &scraper].map(|place| sending(place, Shows::Agent));
        assert!(!evict(&places, 2), "its own pages give way to nobody of its kind");
        assert!(evict(&places, 1));
        let all = [&crowd[0], &crowd[1], &crowd[2], &scraper];
        assert_eq!(all.map(leaving), [false, true, false, false]);
    }

    /// Whoever has a /64 has 2^64 addresses.
    #[test]
    fn addresses_of_one_ipv6_prefix_are_one_source() {
        let places = Places::new(4, Counter::default());
        let take = |address: &str| places.try_take(address.parse().unwrap()).unwrap();
        let quiet = take("2001:db8:0:1::1");
        let crowd = ["2001:db8:0:2::1", "2001:db8:0:2::2", "2001:db8:0:2:f::3"].map(take);
        assert!(places.evict(quiet.visit().source));
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
        let page = two.visit().begin(Shows::Fleet);
        assert!(evict(&places, 9));
        assert_eq!([&one, &two, &three].map(leaving), [false, false, true]);
        assert!(!evict(&places, 9), "one is leaving already");
        drop(three);
        drop(page);
        let _four = take(&places, 1);
        assert!(evict(&places, 9));
        assert_eq!([&one, &two].map(leaving), [true, false]);
    }

    #[test]
    fn whoever_holds_most_gives_way_first() {
        let places = Places::new(3, Counter::default());
        let scraper = take(&places, 1);
        let crowd = [2, 2].map(|last| take(&places, last));
        assert!(evict(&places, 9));
        assert!(leaving(&crowd[0]) && !leaving(&scraper) && !leaving(&crowd[1]));
    }

    #[test]
    fn a_newcomer_waits_until_a_scrape_is_over() {
        let places = Places::new(1, Counter::default());
        let first = take(&places, 1);
        let page = first.visit().begin(Shows::Fleet);
        let mut next = pin!(places.take(address(1)));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(next.as_mut().poll(&mut cx).is_pending());
        assert!(!leaving(&first));
        drop(page);
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
