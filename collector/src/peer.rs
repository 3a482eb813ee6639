//! One connection as others see it: what its own task, the sweep, the sessions of rivals for its id and the
//! shutdown share. It is how they reach the task without a channel.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::task::Waker;

use atomic_waker::AtomicWaker;

use crate::clock::Millis;
use crate::versions::Version;

/// What somebody wants of a connection's session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Signal {
    /// A newer connection holds its id now.
    Superseded = 1,
    /// A rival asks whether it is alive.
    Challenged = 2,
    /// The rival it asked about is alive.
    Answered = 4,
    /// The rival it asked about has gone.
    Vacated = 8,
    /// Ask the agent to leave.
    Drain = 16,
    /// Close now.
    Close = 32,
    /// Look whether the credential by which it came is still valid.
    Revoked = 64,
}

/// The signals that had been raised when they were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signals(u8);

impl Signals {
    /// Whether this one was among them.
    #[must_use]
    pub fn has(self, signal: Signal) -> bool {
        self.0 & signal as u8 != 0
    }
}

/// What is known of an agent since its Hello.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Introduction {
    /// The interval of its reports, in milliseconds.
    pub interval_ms: u32,
    /// When that was, in unix seconds.
    pub since: u32,
    /// The version it says it is of.
    pub version: Version,
}

/// Bits of an interval in milliseconds: five minutes, the longest there is, take 19.
const INTERVAL_BITS: u32 = 20;
/// Bits of a version's number, of which there are a thousand.
const VERSION_BITS: u32 = 12;

impl Introduction {
    /// All of it in one word.
    const fn pack(self) -> u64 {
        let interval = self.interval_ms as u64 & ((1 << INTERVAL_BITS) - 1);
        let version = self.version.number() as u64 & ((1 << VERSION_BITS) - 1);
        ((self.since as u64) << 32) | (version << INTERVAL_BITS) | interval
    }

    const fn unpack(word: u64) -> Self {
        Self {
            interval_ms: (word & ((1 << INTERVAL_BITS) - 1)) as u32,
            since: (word >> 32) as u32,
            version: Version::from_number(
                (word >> INTERVAL_BITS & ((1 << VERSION_BITS) - 1)) as u16,
            ),
        }
    }
}

/// The shared side of a connection. With the two counts of its `Arc` it is a block of 96 bytes.
#[derive(Debug)]
pub struct Peer {
    session: u64,
    /// In two parts, which take twelve bytes less than the whole.
    ip: IpAddr,
    port: u16,
    deadline: AtomicU64,
    waker: AtomicWaker,
    signals: AtomicU8,
    /// The number of the credential by which it was let in; 0 without one.
    credential: AtomicU32,
    introduction: AtomicU64,
    reported: AtomicU64,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Peer>() <= 80);

/// A connection is itself and no other: its session's number stands for it.
impl PartialEq for Peer {
    fn eq(&self, other: &Self) -> bool {
        self.session == other.session
    }
}

impl Eq for Peer {}

impl Hash for Peer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.session.hash(state);
    }
}

impl Peer {
    /// A connection with this session number and from this address, to be looked at by `deadline`.
    #[must_use]
    pub fn new(session: u64, address: SocketAddr, deadline: Millis) -> Arc<Self> {
        Arc::new(Self {
            session,
            ip: address.ip(),
            port: address.port(),
            deadline: AtomicU64::new(deadline),
            waker: AtomicWaker::new(),
            signals: AtomicU8::new(0),
            credential: AtomicU32::new(0),
            introduction: AtomicU64::new(0),
            reported: AtomicU64::new(0),
        })
    }

    /// The session's number, unique in the collector's life.
    #[must_use]
    pub fn session(&self) -> u64 {
        self.session
    }

    /// What is known of the agent since its Hello, and nothing before that.
    pub fn introduction(&self) -> Introduction {
        Introduction::unpack(self.introduction.load(Ordering::Relaxed))
    }

    /// The agent has said Hello.
    pub fn introduce(&self, introduction: Introduction) {
        self.introduction.store(introduction.pack(), Ordering::Relaxed);
    }

    /// The number of the credential by which it was let in; 0 before that, and without one.
    pub fn credential(&self) -> u32 {
        self.credential.load(Ordering::Relaxed)
    }

    /// It is let in by the credential of this number.
    pub fn set_credential(&self, number: u32) {
        self.credential.store(number, Ordering::Relaxed);
    }

    /// When the agent reported last, or was welcomed.
    pub fn reported(&self) -> Millis {
        self.reported.load(Ordering::Relaxed)
    }

    /// The agent has reported, or has been welcomed.
    pub fn set_reported(&self, now: Millis) {
        self.reported.store(now, Ordering::Relaxed);
    }

    /// Where it comes from.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port)
    }

    /// Raises a signal and wakes the connection's task.
    pub fn raise(&self, signal: Signal) {
        self.signals.fetch_or(signal as u8, Ordering::Release);
        self.waker.wake();
    }

    /// Takes the signals raised so far.
    pub fn take_signals(&self) -> Signals {
        if self.signals.load(Ordering::Relaxed) == 0 {
            return Signals(0);
        }
        Signals(self.signals.swap(0, Ordering::Acquire))
    }

    /// Says who to wake; to be called before [`Self::take_signals`], so that none is missed.
    pub fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// When the session wants to be woken at the latest.
    pub fn set_deadline(&self, deadline: Millis) {
        self.deadline.store(deadline, Ordering::Relaxed);
    }

    /// Wakes the task if its deadline has come.
    pub fn sweep(&self, now: Millis) {
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
    fn an_introduction_is_kept_whole() {
        let versions = crate::versions::Versions::default();
        let mut last = Version::default();
        for n in 0..2_000 {
            last = last.max(versions.keep(&n.to_string()));
        }
        for (interval_ms, since, version) in
            [(0, 0, Version::default()), (MAX_INTERVAL_MS, u32::MAX, last)]
        {
            let introduction = Introduction { interval_ms, since, version };
            assert_eq!(Introduction::unpack(introduction.pack()), introduction);
        }
    }
}
