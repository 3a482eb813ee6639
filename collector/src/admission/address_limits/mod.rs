//! Per-address limits, so that one source address cannot exhaust the collector's limits.
//!
//! Connections of an address are limited in number and rate. After too many failures (protocol
//! errors, timeouts, invalid credentials) the address is paused: its connections are refused before
//! anything is allocated for them. An address with reporting agents is not paused, nor for a while
//! after they have left: they may share it, behind a NAT, with others.
//!
//! Exempt addresses are not tracked. An IPv6 address counts as its /64, the network of one host.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dashmap::{DashMap, Entry};
use fleetgauge_proto::Code;

use super::prefixes::Prefixes;
use crate::clock::{MICROS, Millis, millis};
use crate::limits::leaky_bucket::LeakyBucket;
use crate::limits::memory_budget::MemoryBudget;
use crate::peers::refusal::Refusal;

/// Maximum number of idle records (addresses without a connection). At the maximum, a record is
/// dropped when its last connection ends. So a peer that keeps changing its address evicts no other
/// record.
pub const IDLE_ADDRESSES: usize = 65_536;
/// Bytes charged to the memory budget for a record: a map slot, doubled because the map can be half
/// empty.
pub const RECORD_BYTES: usize = 2 * (size_of::<(Source, Record)>() + 1);
/// Capacity of the leaky bucket of new connections, in milliseconds: a burst of ten seconds' worth.
const BURST: Millis = 10_000;
/// Capacity of the leaky bucket of failures, in milliseconds: the failures of one minute.
const FAILURES_WITHIN: Millis = 60_000;
/// How long an address cannot be paused after its last reporting agent has left, in milliseconds.
const TRUSTED_FOR: Millis = 3_600_000;

/// The limits that apply to each source address.
#[derive(Debug, Clone)]
pub struct AddressLimits {
    /// Maximum connections from one address.
    pub connections: usize,
    /// Maximum connections from one address whose agents have not reported yet.
    pub unreported: usize,
    /// Maximum new connections per second from one address, with a burst of ten seconds' worth.
    pub handshakes: u64,
    /// Maximum failed sessions per minute from one address; one more pauses the address.
    pub failures: u64,
    /// How long connections of an address are refused after too many failures.
    pub pause: Duration,
    /// Addresses to which no limits apply.
    pub exempt: Prefixes,
}

/// How a session ended, as counted against its source address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionOutcome {
    /// Whether the agent had sent a report.
    pub reported: bool,
    /// Whether the session failed: a protocol error, a timeout or an invalid credential.
    pub failed: bool,
}

/// Key of a record: an IPv4 address, or the /64 prefix of an IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Source(u64);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(u32::from(address).into()),
            // ::/32 is not in use, so no /64 collides with an IPv4 address.
            IpAddr::V6(address) => Self((u128::from(address) >> 64) as u64),
        }
    }
}

/// Counters of one source address.
#[derive(Debug, Default)]
struct Record {
    connections: u32,
    /// Connections whose agents have reported.
    agents: u32,
    /// Rate limit of new connections; its level is in microseconds.
    handshakes: LeakyBucket,
    /// Rate limit of failures; its level is in milliseconds, and more than a minute means paused.
    failures: LeakyBucket,
    /// Time until which the address cannot be paused, although no reporting agent is connected.
    trusted_until: Millis,
}

impl Record {
    fn is_trusted(&self, now: Millis) -> bool {
        self.agents > 0 || self.trusted_until > now
    }

    /// Whether the record holds no more than a new one would, so that it can be dropped.
    fn is_idle(&self, now: Millis) -> bool {
        let drained = self.handshakes.level(now * MICROS) == 0 && self.failures.level(now) == 0;
        self.connections == 0 && drained && !self.is_trusted(now)
    }
}

/// Tracks the connections and failures of source addresses, and enforces their limits.
#[derive(Debug)]
pub struct AddressLimiter {
    limits: AddressLimits,
    records: DashMap<Source, Record>,
    /// Number of records without a connection.
    idle: AtomicUsize,
    budget: Arc<MemoryBudget>,
}

impl AddressLimiter {
    /// Creates a limiter that takes the memory of its records from `budget`.
    #[must_use]
    pub fn new(limits: AddressLimits, budget: Arc<MemoryBudget>) -> Self {
        Self { limits, records: DashMap::new(), idle: AtomicUsize::new(0), budget }
    }

    /// Checks the limits for a new connection from this address.
    ///
    /// # Errors
    /// [`Code::AddressFull`], [`Code::HandshakesFull`], or [`Code::AddressPaused`] with a retry
    /// delay.
    pub fn check(&self, address: IpAddr, now: Millis) -> Result<(), Refusal> {
        let Some(record) = self.records.get(&address.into()) else { return Ok(()) };
        if record.connections as usize >= self.limits.connections {
            return Err(Refusal::of(Code::AddressFull));
        }
        let pause = record.failures.level(now).saturating_sub(FAILURES_WITHIN);
        if pause > 0 && !record.is_trusted(now) {
            return Err(Refusal::until(pause, Code::AddressPaused));
        }
        let level = record.handshakes.level(now * MICROS);
        if level + self.handshake() > BURST * MICROS {
            return Err(Refusal::until(level / MICROS, Code::AddressPaused));
        }
        let unreported = record.connections.saturating_sub(record.agents);
        if unreported as usize >= self.limits.unreported {
            return Err(Refusal::of(Code::HandshakesFull));
        }
        Ok(())
    }

    /// Returns the amount that a new connection adds to the handshake bucket.
    fn handshake(&self) -> u64 {
        1_000 * MICROS / self.limits.handshakes
    }

    /// Counts a connection; [`Self::leave`] undoes it.
    ///
    /// # Errors
    /// [`Code::AddressFull`], or [`Code::CollectorFull`] if there is no memory for a record.
    pub fn take(&self, address: IpAddr, now: Millis) -> Result<(), Code> {
        if self.limits.exempt.contain(address) {
            return Ok(());
        }
        let mut record = match self.records.entry(address.into()) {
            Entry::Occupied(record) => record.into_ref(),
            Entry::Vacant(slot) => {
                if !self.budget.take(RECORD_BYTES) {
                    self.budget.refused();
                    return Err(Code::CollectorFull);
                }
                self.idle.fetch_add(1, Ordering::Relaxed);
                slot.insert(Record::default())
            }
        };
        if record.connections as usize >= self.limits.connections {
            return Err(Code::AddressFull);
        }
        if record.connections == 0 {
            self.idle.fetch_sub(1, Ordering::Relaxed);
        }
        record.connections += 1;
        record.handshakes.pour(now * MICROS, self.handshake());
        Ok(())
    }

    /// Records the end of a connection that [`Self::take`] counted.
    pub fn leave(&self, address: IpAddr, now: Millis) {
        let Entry::Occupied(mut entry) = self.records.entry(address.into()) else { return };
        let record = entry.get_mut();
        record.connections = record.connections.saturating_sub(1);
        if record.connections > 0 {
            return;
        }
        let idle = self.idle.fetch_add(1, Ordering::Relaxed) + 1;
        if record.is_idle(now) || idle > IDLE_ADDRESSES {
            entry.remove();
            self.forgotten(1);
        }
    }

    /// Records the first report on a connection that [`Self::take`] counted.
    pub fn reported(&self, address: IpAddr) {
        if let Some(mut record) = self.records.get_mut(&address.into()) {
            record.agents += 1;
        }
    }

    /// Records the end of a session. If this pauses the address, returns the duration of the pause.
    pub fn ended(&self, address: IpAddr, outcome: SessionOutcome, now: Millis) -> Option<Millis> {
        let mut record = self.records.get_mut(&address.into())?;
        if outcome.reported {
            record.agents = record.agents.saturating_sub(1);
            // Reports of an agent that then fails do not earn trust.
            record.trusted_until = if outcome.failed { now } else { now + TRUSTED_FOR };
        }
        if !outcome.failed || record.is_trusted(now) {
            return None;
        }
        let (level, pause) = (record.failures.level(now), millis(self.limits.pause));
        let failure = FAILURES_WITHIN / self.limits.failures;
        if level > FAILURES_WITHIN || record.failures.try_pour(now, failure, FAILURES_WITHIN) {
            return None;
        }
        // After the pause the bucket is full: the next failure pauses the address again.
        record.failures.pour(now, FAILURES_WITHIN - level + pause);
        Some(pause)
    }

    /// Drops records without connections whose buckets are empty and whose address can be paused.
    pub fn forget_idle(&self, now: Millis) {
        let mut forgotten = 0;
        self.records.retain(|_, record| {
            let idle = record.is_idle(now);
            forgotten += usize::from(idle);
            !idle
        });
        self.forgotten(forgotten);
        if self.records.len() * 8 + IDLE_ADDRESSES / 8 < self.records.capacity() {
            self.records.shrink_to_fit();
        }
    }

    fn forgotten(&self, records: usize) {
        self.idle.fetch_sub(records, Ordering::Relaxed);
        self.budget.give_back(records * RECORD_BYTES);
    }

    /// Returns the number of tracked addresses.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether no address is tracked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

#[cfg(test)]
mod tests;
