//! What all connections of a collector have in common.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dashmap::DashMap;
use prometheus_client::registry::Registry as OwnRegistry;
use tokio::sync::Semaphore;

use crate::clock::{Clock, Millis};
use crate::config::Config;
use crate::metrics::Metrics;
use crate::peer::Peer;
use crate::registry::Registry;

/// Connections at once that wait for their Reject to be read.
const LINGERERS: usize = 256;

/// The collector's state.
#[derive(Debug)]
pub struct Shared {
    /// Settings.
    pub config: Config,
    /// The time.
    pub clock: Clock,
    /// Who is connected, and their values.
    pub registry: Registry,
    /// What is counted.
    pub metrics: Metrics,
    /// Every open connection, by session.
    pub peers: DashMap<u64, Arc<Peer>>,
    /// Open connections by address.
    pub addresses: DashMap<IpAddr, usize>,
    /// Room for connections that have not reported yet.
    pub handshakes: Arc<Semaphore>,
    /// Room for connections that wait for their Reject to be read.
    pub lingerers: Semaphore,
    sessions: AtomicU64,
    draining: AtomicBool,
}

impl Shared {
    /// An empty collector, whose own metrics are registered in `own`.
    #[must_use]
    pub fn new(config: Config, own: &mut OwnRegistry) -> Self {
        Self {
            clock: Clock::default(),
            registry: Registry::new(config.bounds.schemas, config.pins.clone()),
            metrics: Metrics::new(own),
            peers: DashMap::new(),
            addresses: DashMap::new(),
            handshakes: Arc::new(Semaphore::new(config.bounds.handshakes)),
            lingerers: Semaphore::new(LINGERERS),
            sessions: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            config,
        }
    }

    /// Enters a new connection, to be looked at by `deadline`.
    pub fn admit(&self, deadline: Millis) -> Arc<Peer> {
        let session = self.sessions.fetch_add(1, Ordering::Relaxed) + 1;
        let peer = Peer::new(session, deadline);
        self.peers.insert(session, Arc::clone(&peer));
        peer
    }

    /// Whether the collector is stopping.
    pub fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// The collector stops.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}
