//! The handle of a connection, through which the ticker, sessions that claim the same id and the
//! shutdown reach its task: signal bits and a waker, no channel.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::task::Waker;

use atomic_waker::AtomicWaker;

use super::agent_versions::AgentVersion;
use crate::auth::credential_id::CredentialId;
use crate::clock::Millis;

/// A signal to the session of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Signal {
    /// Another connection has taken over the agent id.
    Superseded = 1,
    /// Another session claims the agent id, so this session must check that its agent is alive.
    Challenged = 2,
    /// To the challenger: the challenged session is alive.
    Answered = 4,
    /// To the challenger: the challenged session has ended.
    Vacated = 8,
    /// Ask the agent to disconnect (Drain).
    Drain = 16,
    /// Close the connection at once.
    Close = 32,
    /// The policy has changed: check whether it still allows the agent.
    Revoked = 64,
    /// Ask the agent for reports of its log, or for more of them.
    Replay = 128,
}

/// A set of raised signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signals(u8);

impl Signals {
    /// Whether the set has this signal.
    #[must_use]
    pub fn has(self, signal: Signal) -> bool {
        self.0 & signal as u8 != 0
    }
}

/// What an agent states in its Hello.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HelloInfo {
    /// Report interval, in milliseconds.
    pub interval_ms: u32,
    /// Time of the Hello, in unix seconds.
    pub since: u32,
    /// Version of the agent.
    pub version: AgentVersion,
}

/// Bits of an interval in milliseconds; the maximum, five minutes, takes 19.
const INTERVAL_BITS: u32 = 20;
/// Bits of an interned version; there are at most 1,024.
const VERSION_BITS: u32 = 12;

impl HelloInfo {
    /// Packs all fields into one word.
    const fn pack(self) -> u64 {
        let interval = self.interval_ms as u64 & ((1 << INTERVAL_BITS) - 1);
        let version = self.version.to_u16() as u64 & ((1 << VERSION_BITS) - 1);
        ((self.since as u64) << 32) | (version << INTERVAL_BITS) | interval
    }

    const fn unpack(word: u64) -> Self {
        Self {
            interval_ms: (word & ((1 << INTERVAL_BITS) - 1)) as u32,
            since: (word >> 32) as u32,
            version: AgentVersion::from_u16(
                (word >> INTERVAL_BITS & ((1 << VERSION_BITS) - 1)) as u16,
            ),
        }
    }
}

/// A connection's handle. With the counts of its `Arc` it is an allocation of 96 bytes.
#[derive(Debug)]
pub struct ConnectionHandle {
    session: u64,
    /// Address of the peer. With the port in a separate field it is twelve bytes smaller than a
    /// `SocketAddr`.
    ip: IpAddr,
    port: u16,
    deadline: AtomicU64,
    waker: AtomicWaker,
    signals: AtomicU8,
    /// The [`CredentialId`] of the credential that authorized the agent.
    credential: AtomicU32,
    /// The packed [`HelloInfo`] of the agent.
    hello: AtomicU64,
    reported: AtomicU64,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<ConnectionHandle>() <= 80);

/// Handles are equal if their session ids are.
impl PartialEq for ConnectionHandle {
    fn eq(&self, other: &Self) -> bool {
        self.session == other.session
    }
}

impl Eq for ConnectionHandle {}

impl Hash for ConnectionHandle {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.session.hash(state);
    }
}

impl ConnectionHandle {
    /// Creates the handle of a connection. The ticker wakes the connection's task at `deadline`.
    #[must_use]
    pub fn new(session: u64, address: SocketAddr, deadline: Millis) -> Arc<Self> {
        Arc::new(Self {
            session,
            ip: address.ip(),
            port: address.port(),
            deadline: AtomicU64::new(deadline),
            waker: AtomicWaker::new(),
            signals: AtomicU8::new(0),
            credential: AtomicU32::new(CredentialId::NONE.to_u32()),
            hello: AtomicU64::new(0),
            reported: AtomicU64::new(0),
        })
    }

    /// Returns the session id, unique during the lifetime of the collector.
    #[must_use]
    pub fn session(&self) -> u64 {
        self.session
    }

    /// Returns the content of the agent's Hello; the default before it has arrived.
    pub fn hello(&self) -> HelloInfo {
        HelloInfo::unpack(self.hello.load(Ordering::Relaxed))
    }

    /// Stores the agent's Hello.
    pub fn set_hello(&self, hello: HelloInfo) {
        self.hello.store(hello.pack(), Ordering::Relaxed);
    }

    /// Returns the credential that authorized the agent.
    pub fn credential(&self) -> CredentialId {
        CredentialId::from_u32(self.credential.load(Ordering::Relaxed))
    }

    /// Stores the credential that authorized the agent.
    pub fn set_credential(&self, credential: CredentialId) {
        self.credential.store(credential.to_u32(), Ordering::Relaxed);
    }

    /// Returns the time of the last report; before the first, that of Welcome.
    pub fn reported(&self) -> Millis {
        self.reported.load(Ordering::Relaxed)
    }

    /// Stores the time of a report, or of Welcome.
    pub fn set_reported(&self, now: Millis) {
        self.reported.store(now, Ordering::Relaxed);
    }

    /// Returns the peer's address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port)
    }

    /// Raises a signal and wakes the connection's task.
    pub fn raise(&self, signal: Signal) {
        self.signals.fetch_or(signal as u8, Ordering::Release);
        self.waker.wake();
    }

    /// Takes the signals raised since the last call.
    pub fn take_signals(&self) -> Signals {
        if self.signals.load(Ordering::Relaxed) == 0 {
            return Signals(0);
        }
        Signals(self.signals.swap(0, Ordering::Acquire))
    }

    /// Registers the task's waker. Call this before [`Self::take_signals`], or a signal can be
    /// missed.
    pub fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Stores when the ticker must wake the task.
    pub fn set_deadline(&self, deadline: Millis) {
        self.deadline.store(deadline, Ordering::Relaxed);
    }

    /// Wakes the task if its deadline has passed.
    pub fn wake_if_due(&self, now: Millis) {
        if self.deadline.load(Ordering::Relaxed) <= now {
            self.waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use fleetgauge_proto::limits::MAX_INTERVAL_MS;

    use super::*;

    #[test]
    fn hello_info_survives_packing() {
        let versions = crate::peers::agent_versions::AgentVersions::default();
        let mut last = AgentVersion::default();
        for n in 0..2_000 {
            last = last.max(versions.intern(&n.to_string()));
        }
        for (interval_ms, since, version) in
            [(0, 0, AgentVersion::default()), (MAX_INTERVAL_MS, u32::MAX, last)]
        {
            let hello = HelloInfo { interval_ms, since, version };
            assert_eq!(HelloInfo::unpack(hello.pack()), hello);
        }
    }
}
