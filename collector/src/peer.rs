//! One connection as others see it: what its own task, the sweep, the sessions of rivals for its id and the
//! shutdown share. It is how they reach the task without a channel.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};
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
#[derive(Debug, Clone, Copy, Default)]
pub struct Introduction {
    /// The interval of its reports, in milliseconds.
    pub interval_ms: u32,
    /// When that was, in unix seconds.
    pub since: u32,
    /// The version it says it is of.
    pub version: Version,
}

/// The shared side of a connection.
#[derive(Debug)]
pub struct Peer {
    session: u64,
    /// In two parts, which take twelve bytes less than the whole.
    ip: IpAddr,
    port: u16,
    deadline: AtomicU64,
    waker: AtomicWaker,
    signals: AtomicU8,
    interval_ms: AtomicU32,
    since: AtomicU32,
    version: AtomicU16,
    reported: AtomicU64,
}

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
            interval_ms: AtomicU32::new(0),
            since: AtomicU32::new(0),
            version: AtomicU16::new(0),
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
        Introduction {
            interval_ms: self.interval_ms.load(Ordering::Relaxed),
            since: self.since.load(Ordering::Relaxed),
            version: Version::from_number(self.version.load(Ordering::Relaxed)),
        }
    }

    /// The agent has said Hello.
    pub fn introduce(&self, introduction: Introduction) {
        let Introduction { interval_ms, since, version } = introduction;
        self.interval_ms.store(interval_ms, Ordering::Relaxed);
        self.since.store(since, Ordering::Relaxed);
        self.version.store(version.number(), Ordering::Relaxed);
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
