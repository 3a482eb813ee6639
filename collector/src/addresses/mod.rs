//! What is known of the addresses that agents come from, so that one of them cannot take what belongs to all.
//!
//! An address has room for so many connections, may open so many a second, and is paused once too many of them have
//! failed: broken the protocol, said nothing, or shown a credential that does not do. Whoever is paused is told so before
//! anything is spent on it. An address whose agents report is not paused, whatever else comes from it, nor for a while after
//! they have gone: they may share it with others, and must not suffer from them.
//!
//! Nothing is known of an address that is exempt. An IPv6 address stands for its /64, which is what one host is given.

mod prefixes;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dashmap::{DashMap, Entry};
use fleetgauge_proto::Code;

use crate::bucket::Bucket;
use crate::budget::Budget;
use crate::clock::{MICROS, Millis, millis};
use crate::ending::Refusal;

pub use prefixes::Prefixes;

/// Addresses without a connection that are remembered at once; more are forgotten as they leave. Those who can come from
/// ever new addresses are not held by what is known of one, and must not push the others out.
pub const IDLE_ADDRESSES: usize = 65_536;
/// What a record takes of the budget, in bytes: its place in the map, which is at least half full.
pub const RECORD_BYTES: usize = 2 * (size_of::<(Source, Record)>() + 1);
/// Over how long new connections may be saved up to come at once.
const BURST: Millis = 10_000;
/// The time over which failures are counted.
const FAILURES_WITHIN: Millis = 60_000;
/// How long an address is trusted after the last agent that reported from it has gone.
const TRUSTED_FOR: Millis = 3_600_000;

/// What one address may do.
#[derive(Debug, Clone)]
pub struct AddressBounds {
    /// Most connections.
    pub connections: usize,
    /// Most of them that have not reported yet.
    pub unreported: usize,
    /// Most new connections a second, ten seconds' worth at once.
    pub handshakes: u64,
    /// Most failures a minute.
    pub failures: u64,
    /// How long an address is paused that had more.
    pub pause: Duration,
    /// Addresses for which none of this holds.
    pub exempt: Prefixes,
}

/// How a connection ended, as far as its address is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conduct {
    /// Its agent had reported.
    pub reported: bool,
    /// Its end speaks against it.
    pub failed: bool,
}

/// Whom connections are counted for: an IPv4 address, or the /64 of an IPv6 one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Source(u64);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(u32::from(address).into()),
            // Nobody comes from ::/32, so no /64 is taken for an IPv4 address.
            IpAddr::V6(address) => Self((u128::from(address) >> 64) as u64),
        }
    }
}

/// What is known of an address.
#[derive(Debug, Default)]
struct Record {
    connections: u32,
    /// Those of them whose agents have reported.
    agents: u32,
    /// In microseconds.
    handshakes: Bucket,
    /// In milliseconds.
    failures: Bucket,
    /// Its agents have gone, and may be back.
    trusted_until: Millis,
}

impl Record {
    fn is_trusted(&self, now: Millis) -> bool {
        self.agents > 0 || self.trusted_until > now
    }

    /// Nothing in it says more than no record would.
    fn is_spent(&self, now: Millis) -> bool {
        let drained = self.handshakes.level(now * MICROS) == 0 && self.failures.level(now) == 0;
        self.connections == 0 && drained && !self.is_trusted(now)
    }
}

/// All addresses of which something is known.
#[derive(Debug)]
pub struct Addresses {
    bounds: AddressBounds,
    records: DashMap<Source, Record>,
    /// Records without a connection.
    idle: AtomicUsize,
    budget: Arc<Budget>,
}

impl Addresses {
    /// Nothing is known yet. What will be is taken from `budget`.
    #[must_use]
    pub fn new(bounds: AddressBounds, budget: Arc<Budget>) -> Self {
        Self { bounds, records: DashMap::new(), idle: AtomicUsize::new(0), budget }
    }

    /// Whether a connection from this address may be looked at.
    ///
    /// # Errors
    /// [`Code::AddressFull`], [`Code::HandshakesFull`], or [`Code::AddressPaused`] with the time to come back.
    pub fn check(&self, address: IpAddr, now: Millis) -> Result<(), Refusal> {
        let Some(record) = self.records.get(&address.into()) else { return Ok(()) };
        if record.connections as usize >= self.bounds.connections {
            return Err(Refusal::of(Code::AddressFull));
        }
        let pause = record.failures.level(now).saturating_sub(FAILURES_WITHIN);
        if pause > 0 && !record.is_trusted(now) {
            return Err(Refusal::until(pause, Code::AddressPaused));
        }
        let crowd = record.handshakes.level(now * MICROS);
        if crowd + self.handshake() > BURST * MICROS {
            return Err(Refusal::until(crowd / MICROS, Code::AddressPaused));
        }
        let unreported = record.connections.saturating_sub(record.agents);
        if unreported as usize >= self.bounds.unreported {
            return Err(Refusal::of(Code::HandshakesFull));
        }
        Ok(())
    }

    /// What a new connection pours into the bucket.
    fn handshake(&self) -> u64 {
        1_000 * MICROS / self.bounds.handshakes
    }

    /// Counts a connection; [`Self::leave`] undoes it.
    ///
    /// # Errors
    /// [`Code::AddressFull`], or [`Code::CollectorFull`] if there is no memory to count it in.
    pub fn take(&self, address: IpAddr, now: Millis) -> Result<(), Code> {
        if self.bounds.exempt.contain(address) {
            return Ok(());
        }
        let mut record = match self.records.entry(address.into()) {
            Entry::Occupied(known) => known.into_ref(),
            Entry::Vacant(unknown) => {
                if !self.budget.take(RECORD_BYTES) {
                    self.budget.refused();
                    return Err(Code::CollectorFull);
                }
                self.idle.fetch_add(1, Ordering::Relaxed);
                unknown.insert(Record::default())
            }
        };
        if record.connections as usize >= self.bounds.connections {
            return Err(Code::AddressFull);
        }
        if record.connections == 0 {
            self.idle.fetch_sub(1, Ordering::Relaxed);
        }
        record.connections += 1;
        record.handshakes.pour(now * MICROS, self.handshake());
        Ok(())
    }

    /// A connection that was counted is no more.
    pub fn leave(&self, address: IpAddr, now: Millis) {
        let Entry::Occupied(mut record) = self.records.entry(address.into()) else { return };
        let known = record.get_mut();
        known.connections = known.connections.saturating_sub(1);
        if known.connections > 0 {
            return;
        }
        let idle = self.idle.fetch_add(1, Ordering::Relaxed) + 1;
        if known.is_spent(now) || idle > IDLE_ADDRESSES {
            record.remove();
            self.forgotten(1);
        }
    }

    /// The agent of a connection that was counted has reported for the first time.
    pub fn reported(&self, address: IpAddr) {
        if let Some(mut record) = self.records.get_mut(&address.into()) {
            record.agents += 1;
        }
    }

    /// A session of a connection that was counted has ended; the pause that begins, if it was one failure too many.
    pub fn ended(&self, address: IpAddr, conduct: Conduct, now: Millis) -> Option<Millis> {
        let mut record = self.records.get_mut(&address.into())?;
        if conduct.reported {
            record.agents = record.agents.saturating_sub(1);
            // An agent that came to do harm has not earned trust by its reports.
            record.trusted_until = if conduct.failed { now } else { now + TRUSTED_FOR };
        }
        if !conduct.failed || record.is_trusted(now) {
            return None;
        }
        let (level, pause) = (record.failures.level(now), millis(self.bounds.pause));
        let failure = FAILURES_WITHIN / self.bounds.failures;
        if level > FAILURES_WITHIN || record.failures.try_pour(now, failure, FAILURES_WITHIN) {
            return None;
        }
        // When the pause is over the bucket is full: what came before is not forgiven at once.
        record.failures.pour(now, FAILURES_WITHIN - level + pause);
        Some(pause)
    }

    /// Forgets what says nothing any more.
    pub fn sweep(&self, now: Millis) {
        let mut forgotten = 0;
        self.records.retain(|_, record| {
            let spent = record.is_spent(now);
            forgotten += usize::from(spent);
            !spent
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

    /// Of how many addresses something is known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Nothing is known of any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

#[cfg(test)]
mod tests;
