//! A collector of which only sessions and registry are there, and what must hold of any.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fleetgauge_collector::connection::session::{HELLO_TIMEOUT, Handshake, Session};
use fleetgauge_collector::exposition::{Format, Snapshot, render};
use fleetgauge_collector::peers::handle::ConnectionHandle;
use fleetgauge_collector::state::CollectorState;

use crate::expected::{self, Page};
use crate::page::parse;

/// Time after which nothing is known any more of an address that nobody comes from.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(2 * 3600);

/// Lets a connection in, or not, as the listener does.
pub(crate) fn connect(
    collector: &Arc<CollectorState>,
    address: SocketAddr,
) -> Option<(Session, Arc<ConnectionHandle>)> {
    let now = collector.clock.now();
    let admission = &collector.admission;
    admission.addresses.check(address.ip(), now).ok()?;
    let permit = admission.begin_handshake(now).ok()?;
    let handle = admission.admit(address, now + HELLO_TIMEOUT, now).ok()?;
    let handshake = Handshake { accepted: None, permit, certificate: None };
    Some((Session::new(Arc::clone(collector), Arc::clone(&handle), handshake, now), handle))
}

/// Time passes, and what is done from time to time is done.
pub(crate) fn pass(collector: &CollectorState, time: Duration) {
    collector.clock.advance(time);
    collector.admission.addresses.forget_idle(collector.clock.now());
    collector.roster.expire(collector.clock.moment());
    collector.shrink();
}

/// When all have gone, nothing is left: no agent, family, handshake, challenge, address, schema,
/// nor a byte of memory.
pub(crate) fn check_empty(collector: &CollectorState) {
    pass(collector, FORGOTTEN_AFTER);
    assert_eq!(
        (collector.registry.agent_count(), collector.registry.families_suppressed()),
        (0, 0)
    );
    let CollectorState { admission, registry, config, .. } = collector;
    assert!(collector.challenges.is_empty() && admission.connections.is_empty());
    assert!(admission.addresses.is_empty());
    assert_eq!(admission.handshakes.available_permits(), config.bounds.handshakes);
    registry.schemas().forget_unused();
    assert_eq!((registry.schemas().len(), admission.budget.taken()), (0, 0));
}

/// A page as it is written.
pub(crate) fn text(snapshot: &Snapshot, format: Format) -> Vec<u8> {
    let mut page = Vec::new();
    render(snapshot, format, &mut page).unwrap();
    page
}

/// A page as it is read.
pub(crate) fn read(snapshot: &Snapshot) -> Page {
    let text = String::from_utf8(text(snapshot, Format::Text)).unwrap();
    expected::read(parse(&text, false).unwrap_or_else(|problem| panic!("{problem} in\n{text}")))
}
