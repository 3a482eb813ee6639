//! Pages in flight: they leave connections to others, and end in time.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::tests::{address, leaving, page_permit, sending, take};
use super::*;
use crate::http::connection::{PageInFlight, Shows};

/// Begins an agent page on this connection, as [`crate::http::response`] does.
fn agent_page(limiter: &ConnectionLimiter, permit: &Permit) -> Option<PageInFlight> {
    let free = Arc::clone(&limiter.agent_pages).try_acquire_owned().ok().map(Arc::new);
    let page_permit = free.or_else(|| limiter.take_over(permit.connection()))?;
    let mut page = permit.connection().begin(Shows::Agent, page_permit);
    page.sending();
    Some(page)
}

/// Two sources with half of the connections each request agent pages and do not read them. Neither
/// has more than half.
#[test]
fn agent_pages_of_two_sources_do_not_shut_the_port() {
    let limiter = ConnectionLimiter::new(8, Counter::default());
    let crowd = [2, 3, 2, 3, 2, 3, 2, 3].map(|last| take(&limiter, last));
    let pages = crowd.each_ref().map(|permit| agent_page(&limiter, permit));
    assert_eq!(pages.iter().flatten().count(), 4, "half of the connections");
    assert!(limiter.evict(), "a connection without a page gives way at once");
    assert_eq!(crowd.iter().position(leaving), Some(4));
}

/// The new connection may be from the source of the crowd, too: a client behind the same NAT.
#[test]
fn agent_pages_of_one_source_do_not_shut_the_port_to_others_of_it() {
    let limiter = ConnectionLimiter::new(4, Counter::default());
    let crowd = [1, 1, 1, 1].map(|last| take(&limiter, last));
    let pages = crowd.each_ref().map(|permit| agent_page(&limiter, permit));
    assert_eq!(pages.iter().flatten().count(), 2);
    let mut next = pin!(limiter.take(address(1)));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(next.as_mut().poll(&mut cx).is_pending());
    let [_, _, idle, _] = crowd;
    assert!(leaving(&idle));
    drop(idle);
    assert!(next.as_mut().poll(&mut cx).is_ready());
}

#[test]
fn a_source_with_most_agent_pages_gives_one_up_to_another_source() {
    let limiter = ConnectionLimiter::new(8, Counter::default());
    let crowd = [2, 2, 2, 3].map(|last| take(&limiter, last));
    let pages = crowd.each_ref().map(|permit| agent_page(&limiter, permit));
    assert!(pages.iter().all(Option::is_some));
    let [same, other] = [2, 1].map(|last| take(&limiter, last));
    assert!(agent_page(&limiter, &same).is_none(), "it has most of them itself");
    let page = agent_page(&limiter, &other);
    assert!(page.is_some());
    assert_eq!(crowd.each_ref().map(leaving), [true, false, false, false]);
    let third = take(&limiter, 1);
    assert!(agent_page(&limiter, &third).is_none(), "no source has more than one more");
    assert_eq!(limiter.evicted.get(), 1);
    assert_eq!(limiter.agent_pages.available_permits(), 0);
    drop((pages, crowd, page));
}

#[test]
fn a_rendered_page_that_is_not_read_is_overdue() {
    let limiter = ConnectionLimiter::new(1, Counter::default());
    let permit = take(&limiter, 1);
    let mut cx = Context::from_waker(Waker::noop());
    let connection = permit.connection();
    let mut overdue = pin!(connection.overdue());
    assert!(overdue.as_mut().poll(&mut cx).is_pending());
    let (first, next) = (page_permit(), page_permit());
    drop(connection.begin(Shows::Fleet, Arc::clone(&first)));
    let _page = connection.begin(Shows::Fleet, Arc::clone(&next));
    connection.rendered(&first, Instant::now());
    assert!(overdue.as_mut().poll(&mut cx).is_pending(), "the page before has no say");
    connection.rendered(&next, Instant::now());
    assert!(overdue.as_mut().poll(&mut cx).is_ready());
}

#[test]
fn a_page_is_under_way_until_its_last_bytes_are_sent() {
    let limiter = ConnectionLimiter::new(1, Counter::default());
    let permit = take(&limiter, 1);
    for shows in [Shows::Agent, Shows::Fleet] {
        let page = sending(&permit, shows);
        assert!(permit.connection().flushed() && !limiter.evict(), "it is being made");
        page.complete();
        drop(page);
        assert!(permit.connection().has_page_in_flight() && !limiter.evict(), "it is being sent");
        assert!(!permit.connection().flushed());
    }
    drop(sending(&permit, Shows::Fleet));
    assert!(permit.connection().flushed(), "a broken page is never done");
}

#[test]
fn a_newcomer_waits_until_a_scrape_is_over() {
    let limiter = ConnectionLimiter::new(1, Counter::default());
    let first = take(&limiter, 1);
    let page = first.connection().begin(Shows::Fleet, page_permit());
    let mut next = pin!(limiter.take(address(1)));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(next.as_mut().poll(&mut cx).is_pending());
    assert!(!leaving(&first));
    drop(page);
    assert!(next.as_mut().poll(&mut cx).is_pending());
    assert!(leaving(&first), "it is done and gives way");
    drop(first);
    let Poll::Ready(permit) = next.as_mut().poll(&mut cx) else { panic!("there is room") };
    assert!(!leaving(&permit));
    drop(permit);
    assert!(limiter.open.lock().is_empty());
    assert_eq!(limiter.evicted.get(), 1);
}
