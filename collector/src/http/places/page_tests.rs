//! Pages under way: they leave places for others, and end in time.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::tests::{address, leaving, room, sending, take};
use super::*;

/// A page of an agent from this place, as [`super::super::stream`] begins it.
fn agent_page(places: &Places, place: &Place) -> Option<UnderWay> {
    let free = Arc::clone(&places.agents_pages).try_acquire_owned().ok().map(Arc::new);
    let room = free.or_else(|| places.take_over(place.visit()))?;
    let mut page = place.visit().begin(Shows::Agent, room);
    page.sending();
    Some(page)
}

/// Two sources with half of the places each ask for agents' pages and do not read them. Neither has more than half.
#[test]
fn agents_pages_of_two_sources_do_not_shut_the_port() {
    let places = Places::new(8, Counter::default());
    let crowd = [2, 3, 2, 3, 2, 3, 2, 3].map(|last| take(&places, last));
    let pages = crowd.each_ref().map(|place| agent_page(&places, place));
    assert_eq!(pages.iter().flatten().count(), 4, "half of the places");
    assert!(places.evict(), "whoever has no page gives way at once");
    assert_eq!(crowd.iter().position(leaving), Some(4));
}

/// The newcomer may be of the crowd's source, too: a reader behind the same NAT.
#[test]
fn agents_pages_of_one_source_do_not_shut_the_port_to_others_of_it() {
    let places = Places::new(4, Counter::default());
    let crowd = [1, 1, 1, 1].map(|last| take(&places, last));
    let pages = crowd.each_ref().map(|place| agent_page(&places, place));
    assert_eq!(pages.iter().flatten().count(), 2);
    let mut next = pin!(places.take(address(1)));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(next.as_mut().poll(&mut cx).is_pending());
    let [_, _, idle, _] = crowd;
    assert!(leaving(&idle));
    drop(idle);
    assert!(next.as_mut().poll(&mut cx).is_ready());
}

#[test]
fn a_source_with_most_agents_pages_gives_one_up_to_another_source() {
    let places = Places::new(8, Counter::default());
    let crowd = [2, 2, 2, 3].map(|last| take(&places, last));
    let pages = crowd.each_ref().map(|place| agent_page(&places, place));
    assert!(pages.iter().all(Option::is_some));
    let [same, other] = [2, 1].map(|last| take(&places, last));
    assert!(agent_page(&places, &same).is_none(), "it has most of them itself");
    let page = agent_page(&places, &other);
    assert!(page.is_some());
    assert_eq!(crowd.each_ref().map(leaving), [true, false, false, false]);
    let third = take(&places, 1);
    assert!(agent_page(&places, &third).is_none(), "no source has more than one more");
    assert_eq!(places.evicted.get(), 1);
    assert_eq!(places.agents_pages.available_permits(), 0);
    drop((pages, crowd, page));
}

#[test]
fn a_page_that_was_made_and_is_not_taken_is_overdue() {
    let places = Places::new(1, Counter::default());
    let place = take(&places, 1);
    let mut cx = Context::from_waker(Waker::noop());
    let visit = place.visit();
    let mut overdue = pin!(visit.overdue());
    assert!(overdue.as_mut().poll(&mut cx).is_pending());
    let (first, next) = (room(), room());
    drop(visit.begin(Shows::Fleet, Arc::clone(&first)));
    let _page = visit.begin(Shows::Fleet, Arc::clone(&next));
    visit.made(&first, Instant::now());
    assert!(overdue.as_mut().poll(&mut cx).is_pending(), "the page before has no say");
    visit.made(&next, Instant::now());
    assert!(overdue.as_mut().poll(&mut cx).is_ready());
}

#[test]
fn a_page_is_under_way_until_its_last_bytes_are_sent() {
    let places = Places::new(1, Counter::default());
    let place = take(&places, 1);
    for shows in [Shows::Agent, Shows::Fleet] {
        let page = sending(&place, shows);
        assert!(place.visit().flushed() && !places.evict(), "it is being made");
        page.whole();
        drop(page);
        assert!(place.visit().is_under_way() && !places.evict(), "it is being sent");
        assert!(!place.visit().flushed());
    }
    drop(sending(&place, Shows::Fleet));
    assert!(place.visit().flushed(), "a broken page is never done");
}

#[test]
fn a_newcomer_waits_until_a_scrape_is_over() {
    let places = Places::new(1, Counter::default());
    let first = take(&places, 1);
    let page = first.visit().begin(Shows::Fleet, room());
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
