//! The servers under comparison, one file per program.

mod fleetgauge;
mod old_server;
mod prometheus;
mod pushgateway;
mod victoria;
mod vmagent;

pub use fleetgauge::COLLECTOR;
pub(crate) use prometheus::{JOB, scrape_config};

use std::sync::Arc;

use crate::fleet_kind::FleetKind;
use crate::peer::Peer;

/// All servers and settings for hosts of this kind, in the order of the tables.
#[must_use]
pub fn all(kind: FleetKind) -> Vec<Arc<dyn Peer>> {
    let mut peers: Vec<Arc<dyn Peer>> = vec![
        Arc::new(fleetgauge::Fleetgauge { coalescing: false }),
        Arc::new(fleetgauge::Fleetgauge { coalescing: true }),
    ];
    if kind == FleetKind::Basic {
        peers.push(Arc::new(old_server::OldServer { quiet: false }));
        peers.push(Arc::new(old_server::OldServer { quiet: true }));
    }
    peers.push(Arc::new(pushgateway::Pushgateway { tuned: false }));
    peers.push(Arc::new(pushgateway::Pushgateway { tuned: true }));
    peers.extend(shared(victoria::all(kind)));
    peers.push(Arc::new(vmagent::Vmagent));
    peers.extend(shared(prometheus::remote_write(kind)));
    peers.push(Arc::new(prometheus::Pull));
    peers
}

fn shared<P: Peer + 'static>(peers: Vec<P>) -> impl Iterator<Item = Arc<dyn Peer>> {
    peers.into_iter().map(|peer| Arc::new(peer) as Arc<dyn Peer>)
}
