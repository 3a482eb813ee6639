//! Admission control: which connections are accepted, and the limits that they count against.

pub mod address_limits;
pub mod prefixes;
pub mod proxy_protocol;
pub mod retry_pacer;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashSet;
use fleetgauge_proto::Code;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::Millis;
use crate::config::{Bounds, RESERVED_FDS};
use crate::limits::memory_budget::{CONNECTION_BYTES, MemoryBudget};
use crate::peers::handle::ConnectionHandle;
use crate::peers::refusal::Refusal;
use crate::registry::IDLE_SLOTS;
use address_limits::AddressLimiter;
use retry_pacer::RetryPacer;

/// Number of connections that may linger after a Reject even if the collector is full: half of the
/// reserved file descriptors. While fewer agents are connected, more may linger.
const LINGERERS: usize = RESERVED_FDS as usize / 2;

/// The open connections of agents, and the limits that new ones are checked against.
#[derive(Debug)]
pub struct Admission {
    /// Memory that all agents together may use.
    pub budget: Arc<MemoryBudget>,
    /// All open connections of agents.
    pub connections: DashSet<Arc<ConnectionHandle>>,
    /// Enforces the limits of each source address.
    pub addresses: AddressLimiter,
    /// One permit for each connection that has not reported yet.
    pub handshakes: Arc<Semaphore>,
    /// Assigns retry times to agents that got no handshake permit.
    pub pacer: RetryPacer,
    lingerers: Arc<Semaphore>,
    sessions: AtomicU64,
    max_connections: usize,
    max_handshakes: usize,
}

impl Admission {
    /// Creates admission control without connections. It takes memory from `budget`.
    #[must_use]
    pub fn new(bounds: &Bounds, budget: Arc<MemoryBudget>) -> Self {
        Self {
            connections: DashSet::new(),
            addresses: AddressLimiter::new(bounds.address.clone(), Arc::clone(&budget)),
            budget,
            handshakes: Arc::new(Semaphore::new(bounds.handshakes)),
            pacer: RetryPacer::default(),
            lingerers: Arc::new(Semaphore::new(LINGERERS + bounds.handshakes)),
            sessions: AtomicU64::new(0),
            max_connections: bounds.connections,
            max_handshakes: bounds.handshakes,
        }
    }

    /// Registers a new connection, whose task is woken at `deadline`. [`Self::dismiss`] undoes it.
    ///
    /// # Errors
    /// [`Code::CollectorFull`] or [`Code::AddressFull`].
    pub fn admit(
        &self,
        address: SocketAddr,
        deadline: Millis,
        now: Millis,
    ) -> Result<Arc<ConnectionHandle>, Code> {
        if self.connections.len() >= self.max_connections {
            return Err(Code::CollectorFull);
        }
        self.addresses.take(address.ip(), now)?;
        if !self.budget.take(CONNECTION_BYTES) {
            self.budget.refused();
            self.addresses.leave(address.ip(), now);
            return Err(Code::CollectorFull);
        }
        let session = self.sessions.fetch_add(1, Ordering::Relaxed) + 1;
        let handle = ConnectionHandle::new(session, address, deadline);
        self.connections.insert(Arc::clone(&handle));
        Ok(handle)
    }

    /// Removes a connection that was admitted.
    pub fn dismiss(&self, handle: &ConnectionHandle, now: Millis) {
        if self.connections.remove(handle).is_some() {
            self.budget.give_back(CONNECTION_BYTES);
        }
        self.addresses.leave(handle.address().ip(), now);
    }

    /// Takes a handshake permit.
    ///
    /// # Errors
    /// [`Code::HandshakesFull`] with the delay until this peer's retry slot.
    pub fn begin_handshake(&self, now: Millis) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.handshakes)
            .try_acquire_owned()
            .map_err(|_| Refusal::until(self.pacer.retry_slot(now), Code::HandshakesFull))
    }

    /// Takes a permit for a connection to linger after a Reject with this code. A connection from a
    /// paused address gets a permit only if few others linger, so that a flood does not take all
    /// permits.
    pub fn linger(&self, code: Code) -> Option<OwnedSemaphorePermit> {
        let lingering = LINGERERS + self.max_handshakes - self.lingerers.available_permits();
        if code == Code::AddressPaused && lingering >= LINGERERS / 2 {
            return None;
        }
        if lingering >= LINGERERS && self.connections.len() + lingering >= self.max_connections {
            return None;
        }
        Arc::clone(&self.lingerers).try_acquire_owned().ok()
    }

    /// Frees unused capacity of the connection set, for example after a fleet has left.
    pub fn shrink(&self) {
        if self.connections.len() * 8 + IDLE_SLOTS < self.connections.capacity() {
            self.connections.shrink_to_fit();
        }
    }
}
