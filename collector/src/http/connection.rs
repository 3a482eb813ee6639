//! The state of an HTTP connection that its tasks share: its activity, and whether it must close.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;

use crate::admission::address_limits::Source;

/// The shared state of an HTTP connection.
#[derive(Debug)]
pub(super) struct HttpConnection {
    address: IpAddr,
    state: Mutex<State>,
    /// Cancelled as a signal that the first request has arrived.
    requested: CancellationToken,
    /// Cancelled as a signal that the connection must close.
    closing: CancellationToken,
    /// Notified when the page in flight gets a deadline.
    deadline_set: Notify,
    /// Notified when the connection becomes idle, so that the limiter can evict it.
    changed: Arc<Notify>,
}

/// A permit of a page in flight, shared by the thread that renders it and the connection that sends
/// it.
pub(super) type PagePermit = Arc<OwnedSemaphorePermit>;

#[derive(Debug)]
struct State {
    /// The page that is being looked up, rendered or sent.
    in_flight: Option<Page>,
    /// Time at which the last request arrived or the last page was finished, whichever is later.
    active: Instant,
}

/// Which agents a page shows; this decides which permits limit it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shows {
    /// The fleet, or a shard of it. At most `max_scrapes` such pages are in flight.
    Fleet,
    /// One agent. At most half of `max_http_connections` such pages are in flight.
    Agent,
}

#[derive(Debug)]
struct Page {
    shows: Shows,
    /// The permit of this page; `None` after another page has taken it over.
    permit: Option<PagePermit>,
    /// Time by which the last byte must be written to the socket. `None` until the page is
    /// rendered, because the rendering thread has its own deadlines.
    deadline: Option<Instant>,
    /// Whether rendering is finished; the last bytes may not be sent yet.
    complete: bool,
}

impl HttpConnection {
    /// Creates the state of a new connection. `changed` is notified when it becomes idle.
    pub(super) fn new(address: IpAddr, changed: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self {
            address,
            state: Mutex::new(State { in_flight: None, active: Instant::now() }),
            requested: CancellationToken::new(),
            closing: CancellationToken::new(),
            deadline_set: Notify::new(),
            changed,
        })
    }

    /// Returns the client's address.
    pub(super) fn address(&self) -> IpAddr {
        self.address
    }

    /// Returns the source address (IPv4 address or IPv6 /64) that the connection is counted for.
    pub(super) fn source(&self) -> Source {
        self.address.into()
    }

    /// Returns the time at which the last request arrived or the last page was finished.
    pub(super) fn last_active(&self) -> Instant {
        self.state.lock().active
    }

    /// Returns the time since which the connection is idle; `None` if a page is in flight.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.state.lock();
        state.in_flight.is_none().then_some(state.active)
    }

    /// Records that a request has arrived.
    pub(super) fn request(&self) {
        self.state.lock().active = Instant::now();
        self.requested.cancel();
    }

    /// Completes once the first request has arrived.
    pub(super) async fn requested(&self) {
        self.requested.cancelled().await;
    }

    /// Records that a page is in flight.
    pub(super) fn begin(self: &Arc<Self>, shows: Shows, permit: PagePermit) -> PageInFlight {
        let page = Page { shows, permit: Some(permit), deadline: None, complete: false };
        self.state.lock().in_flight = Some(page);
        PageInFlight { connection: Arc::clone(self), sent: false }
    }

    /// Whether an agent page is in flight whose permit has not been taken over.
    pub(super) fn holds_agent_page(&self) -> bool {
        let state = self.state.lock();
        let page = state.in_flight.as_ref();
        page.is_some_and(|page| page.shows == Shows::Agent && page.permit.is_some())
    }

    /// Takes the permit of the agent page in flight, to give it to a page of another connection.
    pub(super) fn give_up_permit(&self) -> Option<PagePermit> {
        let mut state = self.state.lock();
        state.in_flight.as_mut().filter(|page| page.shows == Shows::Agent)?.permit.take()
    }

    /// Records that the page with this permit is rendered. If it is still in flight, its last byte
    /// must be written to the socket by the deadline.
    pub(super) fn rendered(&self, permit: &PagePermit, deadline: Instant) {
        let mut state = self.state.lock();
        let Some(page) = &mut state.in_flight else { return };
        // Another page can be in flight by now.
        if page.permit.as_ref().is_some_and(|own| Arc::ptr_eq(own, permit)) {
            page.deadline = Some(deadline);
            self.deadline_set.notify_one();
        }
    }

    /// Completes when the page in flight has passed its deadline.
    pub(super) async fn overdue(&self) {
        loop {
            let deadline = self.state.lock().in_flight.as_ref().and_then(|page| page.deadline);
            match deadline {
                None => self.deadline_set.notified().await,
                Some(deadline) if deadline <= Instant::now() => return,
                // After the deadline or a notification, another page can be in flight.
                Some(deadline) => {
                    drop(timeout_at(deadline.into(), self.deadline_set.notified()).await);
                }
            }
        }
    }

    /// Whether a page is in flight.
    pub(super) fn has_page_in_flight(&self) -> bool {
        self.state.lock().in_flight.is_some()
    }

    /// Records that all bytes so far are written to the socket. Returns whether a page is still in
    /// flight.
    pub(super) fn flushed(&self) -> bool {
        let mut state = self.state.lock();
        if state.in_flight.as_ref().is_some_and(|page| page.complete) {
            self.finish(&mut state);
        }
        state.in_flight.is_some()
    }

    fn finish(&self, state: &mut State) {
        *state = State { in_flight: None, active: Instant::now() };
        self.changed.notify_one();
    }

    /// Signals that the connection must close.
    pub(super) fn close(&self) {
        self.closing.cancel();
    }

    /// Whether the connection must close.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// Completes when the connection must close.
    pub(super) async fn closing(&self) {
        self.closing.cancelled().await;
    }
}

/// Guard of a page in flight. If it is dropped before any byte was sent, the page is no longer in
/// flight. If it is dropped later and the page is not [complete](Self::complete), the page is
/// broken: it stays in flight until the connection closes.
#[derive(Debug)]
pub(super) struct PageInFlight {
    connection: Arc<HttpConnection>,
    sent: bool,
}

impl PageInFlight {
    /// Records that bytes of the page are about to be sent.
    pub(super) fn sending(&mut self) {
        self.sent = true;
    }

    /// Records that the page was rendered to its end.
    pub(super) fn complete(&self) {
        if let Some(page) = &mut self.connection.state.lock().in_flight {
            page.complete = true;
        }
    }
}

impl Drop for PageInFlight {
    fn drop(&mut self) {
        if !self.sent {
            self.connection.finish(&mut self.connection.state.lock());
        }
    }
}
