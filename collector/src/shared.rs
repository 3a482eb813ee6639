//! What all connections of a collector have in common.

use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashSet;
use fleetgauge_proto::{AgentId, Code};
use parking_lot::RwLock;
use prometheus_client::registry::Registry as OwnRegistry;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use crate::addresses::{Addresses, Conduct};
use crate::budget::{Budget, CONNECTION_BYTES};
use crate::challenges::Challenges;
use crate::clock::{Clock, Millis};
use crate::config::{Config, RESERVED_FDS};
use crate::ending::{Ending, Refusal};
use crate::metrics::Metrics;
use crate::pacing::Pacer;
use crate::peer::{Peer, Signal};
use crate::registry::{IDLE_PLACES, Registry};
use crate::roster::Roster;
use crate::trust::Trust;
use crate::untold::{Untold, log_if};
use crate::versions::Versions;

/// Connections at once that wait for their Reject to be read, however many agents there are: half of what is kept for
/// everything but agents. While agents are few, their room is used as well.
const LINGERERS: usize = RESERVED_FDS as usize / 2;

/// Connections whose certificates are verified anew at a time when authorities or their lists have changed, and the pause
/// between: reports go on meanwhile.
const JUDGED_AT_ONCE: usize = 500;
const JUDGING_PAUSE: Duration = Duration::from_millis(100);

/// The collector's state.
#[derive(Debug)]
pub struct Shared {
    /// Settings.
    pub config: Config,
    /// The time.
    pub clock: Clock,
    /// Who may be whom. Who lets somebody in holds the lock until the credential's number stands in the [`Peer`], so that
    /// a change of the rules passes nobody by.
    pub trust: RwLock<Arc<Trust>>,
    /// The memory that agents may take.
    pub budget: Arc<Budget>,
    /// Who is connected, and their values.
    pub registry: Registry,
    /// Who ought to be connected and is not.
    pub roster: Roster,
    /// The versions that agents are of.
    pub versions: Versions,
    /// What is counted.
    pub metrics: Metrics,
    /// What is counted and not in the log yet.
    pub untold: Untold,
    /// Every open connection.
    pub peers: DashSet<Arc<Peer>>,
    /// Which of them are asked whether they are alive.
    pub challenges: Challenges,
    /// What is known of the addresses that they come from.
    pub addresses: Addresses,
    /// The tasks of all connections.
    pub tasks: TaskTracker,
    /// Room for connections that have not reported yet.
    pub handshakes: Arc<Semaphore>,
    /// When those are to come again who find no room there.
    pub pacer: Pacer,
    lingerers: Arc<Semaphore>,
    sessions: AtomicU64,
    draining: AtomicBool,
    rules: AtomicU32,
}

impl Shared {
    /// An empty collector, whose own metrics are registered in `own`.
    #[must_use]
    pub fn new(config: Config, own: &mut OwnRegistry) -> Self {
        let budget = Arc::new(Budget::new(config.bounds.memory));
        let (schemas, pins) = (config.bounds.schemas, config.pins.clone());
        Self {
            clock: Clock::default(),
            trust: RwLock::new(Arc::clone(&config.trust)),
            registry: Registry::new(schemas, pins, Arc::clone(&budget)),
            roster: Roster::new(config.memory.clone()),
            versions: Versions::default(),
            addresses: Addresses::new(config.bounds.address.clone(), Arc::clone(&budget)),
            budget,
            metrics: Metrics::new(own),
            untold: Untold::default(),
            peers: DashSet::new(),
            challenges: Challenges::default(),
            tasks: TaskTracker::new(),
            handshakes: Arc::new(Semaphore::new(config.bounds.handshakes)),
            pacer: Pacer::default(),
            lingerers: Arc::new(Semaphore::new(LINGERERS + config.bounds.handshakes)),
            sessions: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            rules: AtomicU32::new(0),
            config,
        }
    }

    /// Takes a new connection in, to be looked at by `deadline`; [`Self::dismiss`] undoes it.
    ///
    /// # Errors
    /// [`Code::CollectorFull`] or [`Code::AddressFull`].
    pub fn admit(&self, address: SocketAddr, deadline: Millis) -> Result<Arc<Peer>, Code> {
        let bounds = &self.config.bounds;
        if self.peers.len() >= bounds.connections {
            return Err(Code::CollectorFull);
        }
        let now = self.clock.now();
        self.addresses.take(address.ip(), now)?;
        if !self.budget.take(CONNECTION_BYTES) {
            self.budget.refused();
            self.addresses.leave(address.ip(), now);
            return Err(Code::CollectorFull);
        }
        let session = self.sessions.fetch_add(1, Ordering::Relaxed) + 1;
        let peer = Peer::new(session, address, deadline);
        self.peers.insert(Arc::clone(&peer));
        Ok(peer)
    }

    /// Forgets a connection that was admitted.
    pub fn dismiss(&self, peer: &Peer) {
        if self.peers.remove(peer).is_some() {
            self.budget.give_back(CONNECTION_BYTES);
        }
        self.addresses.leave(peer.address().ip(), self.clock.now());
    }

    /// A place among the handshakes.
    ///
    /// # Errors
    /// [`Code::HandshakesFull`], with the turn that is its.
    pub fn handshake(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.handshakes)
            .try_acquire_owned()
            .map_err(|_| Refusal::until(self.pacer.turn(self.clock.now()), Code::HandshakesFull))
    }

    /// Remembers of a connection's address how its session has ended, whose agent had `reported` or not.
    pub fn session_ended(&self, peer: &Peer, reported: bool, ending: Ending) {
        let address = peer.address().ip();
        let conduct = Conduct { reported, failed: ending.is_failure(reported) };
        if let Some(pause) = self.addresses.ended(address, conduct, self.clock.now()) {
            self.metrics.address_pauses.inc();
            let (reason, seconds) = (ending.reason(), pause / 1_000);
            log_if!(
                self.may_tell("address paused", address, address), warn,
                %address, reason, seconds, "address paused"
            );
        }
    }

    /// Whether to write this line about an agent or an address, which `source` has caused, at its level, or only at debug.
    pub(crate) fn may_tell(&self, line: &'static str, subject: impl Hash, source: IpAddr) -> bool {
        self.untold.may_tell(line, subject, source, self.clock.now())
    }

    /// Gives room in the maps back that lies idle since a fleet has left.
    pub fn shrink(&self) {
        if self.peers.len() * 8 + IDLE_PLACES < self.peers.capacity() {
            self.peers.shrink_to_fit();
        }
        self.registry.shrink();
    }

    /// Room for a connection that waits for its Reject to be read, if there is any. Whoever is paused finds it while half
    /// of it is free, so that a flood does not take it from others.
    pub fn linger(&self, code: Code) -> Option<OwnedSemaphorePermit> {
        let bounds = &self.config.bounds;
        let lingering = LINGERERS + bounds.handshakes - self.lingerers.available_permits();
        if code == Code::AddressPaused && lingering >= LINGERERS / 2 {
            return None;
        }
        if lingering >= LINGERERS && self.peers.len() + lingering >= bounds.connections {
            return None;
        }
        Arc::clone(&self.lingerers).try_acquire_owned().ok()
    }

    /// Takes the series of an agent whose session has ended away, and remembers that it has gone; `false` if another
    /// connection holds its id.
    pub fn agent_left(&self, id: &AgentId, peer: &Peer, ending: Ending) -> bool {
        self.registry.leave_after(id, peer.session(), || {
            self.roster.departed(id, peer.introduction().interval_ms, ending, self.clock.moment());
        })
    }

    /// Puts other rules in force; whoever they do not allow any more is closed. Where certificates are to be verified anew,
    /// that is spread over a while, and this waits for it.
    pub fn reload(&self, trust: Arc<Trust>) {
        let judge = |trust: &Trust| trust.tls.as_ref().map(|tls| Arc::clone(tls.clients()));
        let before = std::mem::replace(&mut *self.trust.write(), Arc::clone(&trust));
        let same = match (judge(&before), judge(&trust)) {
            (Some(before), Some(now)) => Arc::ptr_eq(&before, &now),
            _ => true,
        };
        self.rules.fetch_add(1, Ordering::Release);
        let peers: Vec<_> = self.peers.iter().map(|peer| Arc::clone(&peer)).collect();
        for some in peers.chunks(JUDGED_AT_ONCE) {
            for peer in some {
                peer.raise(Signal::Revoked);
            }
            if !same && peers.len() > JUDGED_AT_ONCE {
                std::thread::sleep(JUDGING_PAUSE);
            }
        }
    }

    /// The number of the rules in force: another when they are others.
    pub fn rules(&self) -> u32 {
        self.rules.load(Ordering::Acquire)
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
