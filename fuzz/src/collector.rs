//! A collector of which only sessions and registry are there, and what must hold of any.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fleetgauge_collector::exposition::{Format, Snapshot, render};
use fleetgauge_collector::peer::Peer;
use fleetgauge_collector::session::{HELLO_TIMEOUT, Handshake, Session};
use fleetgauge_collector::shared::Shared;

use crate::expected::{self, Page};
use crate::page::parse;

/// Time after which nothing is known any more of an address that nobody comes from.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(2 * 3600);

/// Lets a connection in, or not, as the listener does.
pub(crate) fn connect(shared: &Arc<Shared>, address: SocketAddr) -> Option<(Session, Arc<Peer>)> {
    let now = shared.clock.now();
    shared.addresses.check(address.ip(), now).ok()?;
    let place = shared.handshake().ok()?;
    let peer = shared.admit(address, now + HELLO_TIMEOUT).ok()?;
    let handshake = Handshake { accepted: None, place, certificate: None };
    Some((Session::new(Arc::clone(shared), Arc::clone(&peer), handshake, now), peer))
}

/// Time passes, and what is done from time to time is done.
pub(crate) fn pass(shared: &Shared, time: Duration) {
    shared.clock.advance(time);
    shared.addresses.sweep(shared.clock.now());
    shared.roster.pass(shared.clock.moment());
    shared.shrink();
}

/// When all have gone, nothing is left: no agent, family, handshake, challenge, address, schema, nor a byte of memory.
pub(crate) fn check_empty(shared: &Shared) {
    pass(shared, FORGOTTEN_AFTER);
    assert_eq!((shared.registry.agents(), shared.registry.families_left_off()), (0, 0));
    assert!(shared.challenges.is_empty() && shared.peers.is_empty());
    assert!(shared.addresses.is_empty());
    assert_eq!(shared.handshakes.available_permits(), shared.config.bounds.handshakes);
    shared.registry.schemas().forget_unused();
    assert_eq!((shared.registry.schemas().len(), shared.budget.taken()), (0, 0));
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
