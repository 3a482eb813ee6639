//! Tests that pages in flight leave connections for other clients, and end in time.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::tests::{address, is_evicted, page_permit, sending, take};
use super::*;
use crate::http::connection::{PageInFlight, Shows};

/// Begins an agent page on this connection, like [`crate::http::response`].
fn agent_page(limiter: &ConnectionLimiter, permit: &Permit) -> Option<PageInFlight> {
    let free = Arc::clone(&limiter.agent_pages).try_acquire_owned().ok().map(Arc::new);
    let page_permit = free.or_else(|| limiter.take_over(permit.connection()))?;
    let mut page = permit.connection().begin(Shows::Agent, page_permit);
    page.sending();
    Some(page)
}

/// Two sources, each with half of the connections, request agent pages and do not read them.
/// Neither source has more than the other.
#[test]
fn agent_pages_of_two_sources_do_not_block_the_port() {
    let limiter = ConnectionLimiter::new(8, Counter::default());
    let crowd = [2, 3, 2, 3, 2, 3, 2, 3].map(|last| take(&limiter, last));
    let pages = crowd.each_ref().map(|permit| agent_page(&limiter, permit));
    assert_eq!(pages.iter().flatten().count(), 4, "half of the connections");
    assert!(limiter.evict(), "a connection without a page is evicted at once");
    assert_eq!(crowd.iter().position(is_evicted), Some(4));
}

/// The new connection is from the source that has the pages, like another client behind the same
/// NAT.
#[test]
fn agent_pages_of_a_source_do_not_block_the_port_for_it() {
    let limiter = ConnectionLimiter::new(4, Counter::default());
    let crowd = [1, 1, 1, 1].map(|last| take(&limiter, last));
    let pages = crowd.each_ref().map(|permit| agent_page(&limiter, permit));
    assert_eq!(pages.iter().flatten().count(), 2);
    let mut next = pin!(limiter.take(address(1)));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(next.as_mut().poll(&mut cx).is_pending());
    let [_, _, idle, _] = crowd;
    assert!(is_evicted(&idle));
    drop(idle);
    assert!(next.as_mut().poll(&mut cx).is_ready());
}

#[test]
fn source_with_most_agent_pages_loses_one_to_another_source() {
    let limiter = ConnectionLimiter::new(8, Counter::default());
    let crowd = [2, 2, 2, 3].map(|last| take(&limiter, last));
    let pages = crowd.each_ref().map(|permit| agent_page(&limiter, permit));
    assert!(pages.iter().all(Option::is_some));
    let [same, other] = [2, 1].map(|last| take(&limiter, last));
    assert!(agent_page(&limiter, &same).is_none(), "it has most of them itself");
    let page = agent_page(&limiter, &other);
    assert!(page.is_some());
    assert_eq!(crowd.each_ref().map(is_evicted), [true, false, false, false]);
    let third = take(&limiter, 1);
    assert!(agent_page(&limiter, &third).is_none(), "no source has more than one more");
    assert_eq!(limiter.evicted.get(), 1);
    assert_eq!(limiter.agent_pages.available_permits(), 0);
    drop((pages, crowd, page));
}

#[test]
fn rendered_page_that_is_not_read_is_overdue() {
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
    let is_pending = overdue.as_mut().poll(&mut cx).is_pending();
    assert!(is_pending, "the deadline of an earlier page is ignored");
    connection.rendered(&next, Instant::now());
    assert!(overdue.as_mut().poll(&mut cx).is_ready());
}

#[test]
fn page_is_in_flight_until_its_last_bytes_are_sent() {
    let limiter = ConnectionLimiter::new(1, Counter::default());
    let permit = take(&limiter, 1);
    for shows in [Shows::Agent, Shows::Fleet] {
        let page = sending(&permit, shows);
        assert!(permit.connection().flushed() && !limiter.evict(), "the page is being rendered");
        page.complete();
        drop(page);
        assert!(
            permit.connection().has_page_in_flight() && !limiter.evict(),
            "the page is being sent"
        );
        assert!(!permit.connection().flushed());
    }
    drop(sending(&permit, Shows::Fleet));
    assert!(permit.connection().flushed(), "a broken page stays in flight");
}

#[test]
fn new_connection_waits_for_a_page_in_flight() {
    let limiter = ConnectionLimiter::new(1, Counter::default());
    let first = take(&limiter, 1);
    let page = first.connection().begin(Shows::Fleet, page_permit());
    let mut next = pin!(limiter.take(address(1)));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(next.as_mut().poll(&mut cx).is_pending());
    assert!(!is_evicted(&first));
    drop(page);
    assert!(next.as_mut().poll(&mut cx).is_pending());
    assert!(is_evicted(&first), "idle now, and evicted");
    drop(first);
    let Poll::Ready(permit) = next.as_mut().poll(&mut cx) else { panic!("a permit is free") };
    assert!(!is_evicted(&permit));
    drop(permit);
    assert!(limiter.open.lock().is_empty());
    assert_eq!(limiter.evicted.get(), 1);
}
