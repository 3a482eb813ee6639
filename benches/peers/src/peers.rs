//! The servers under comparison, one file per program.

mod fleetgauge;
mod old_server;
mod prometheus;
mod pushgateway;
mod victoria;

pub use fleetgauge::COLLECTOR;

use std::sync::Arc;

use crate::peer::Peer;

/// All servers and settings, in the order of the tables.
#[must_use]
pub fn all() -> Vec<Arc<dyn Peer>> {
    let mut peers: Vec<Arc<dyn Peer>> = vec![
        Arc::new(fleetgauge::Fleetgauge { coalescing: false }),
        Arc::new(fleetgauge::Fleetgauge { coalescing: true }),
        Arc::new(old_server::OldServer { quiet: false }),
        Arc::new(old_server::OldServer { quiet: true }),
        Arc::new(pushgateway::Pushgateway { tuned: false }),
        Arc::new(pushgateway::Pushgateway { tuned: true }),
    ];
    peers.extend(victoria::all().into_iter().map(|peer| Arc::new(peer) as Arc<dyn Peer>));
    peers
        .extend(prometheus::remote_write().into_iter().map(|peer| Arc::new(peer) as Arc<dyn Peer>));
    peers.push(Arc::new(prometheus::Pull));
    peers
}
