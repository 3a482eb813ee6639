//! A collector without sockets: sessions and registry, and the checks that apply to both.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fleetgauge_collector::connection::session::{HELLO_TIMEOUT, Handshake, Session};
use fleetgauge_collector::exposition::{Format, Snapshot, render};
use fleetgauge_collector::peers::handle::ConnectionHandle;
use fleetgauge_collector::state::CollectorState;

use crate::expected::{self, Page};
use crate::page::parse;

/// A time after which the collector has dropped its state of an idle source address.
const ADDRESS_STATE_EXPIRY: Duration = Duration::from_secs(2 * 3600);

/// Admits a connection as the accept loop does; `None` if a limit refuses it.
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

/// Advances the collector's clock and runs its periodic tasks.
pub(crate) fn advance(collector: &CollectorState, time: Duration) {
    collector.clock.advance(time);
    collector.admission.addresses.forget_idle(collector.clock.now());
    collector.roster.expire(collector.clock.moment());
    collector.shrink();
}

/// Checks that a collector without connections holds no state: no agent, family, handshake,
/// challenge, address or catalog, and no byte of the memory budget.
pub(crate) fn check_empty(collector: &CollectorState) {
    advance(collector, ADDRESS_STATE_EXPIRY);
    assert_eq!(
        (collector.registry.agent_count(), collector.registry.families_suppressed()),
        (0, 0)
    );
    let CollectorState { admission, registry, config, .. } = collector;
    assert!(collector.challenges.is_empty() && admission.connections.is_empty());
    assert!(admission.addresses.is_empty());
    assert_eq!(admission.handshakes.available_permits(), config.bounds.handshakes);
    registry.catalogs().evict_unused();
    assert_eq!((registry.catalogs().len(), admission.budget.taken()), (0, 0));
}

/// Renders a snapshot as a page in this format.
pub(crate) fn text(snapshot: &Snapshot, format: Format) -> Vec<u8> {
    let mut page = Vec::new();
    render(snapshot, format, &mut page).unwrap();
    page
}

/// Renders a page in the text format and parses it.
pub(crate) fn read(snapshot: &Snapshot) -> Page {
    let text = String::from_utf8(text(snapshot, Format::Text)).unwrap();
    expected::read(parse(&text, false).unwrap_or_else(|problem| panic!("{problem} in\n{text}")))
}
