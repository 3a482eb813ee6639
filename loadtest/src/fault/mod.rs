//! Faults: a proxy in front of a correct collector injects errors, to test that the scenarios find
//! them. Only a hidden flag of the hidden `collector` command enables a fault.

mod agents;
#[cfg(unix)]
pub mod freezer;
pub mod judge_fault;
mod pages;

use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use clap::ValueEnum;
use tokio::net::TcpListener;
use tokio::sync::{RwLock, watch};
use tokio::time::interval;

pub use pages::{STALL, with_series};

/// A fault of the collector, as agents and readers of pages see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// Pages still show one in ten of the disconnected agents.
    Leftover,
    /// Pages omit one in ten of the agents.
    Missing,
    /// Pages omit agents that have not reported for 6 s.
    Impatient,
    /// Every Hello with an id has the same host nonce, so a clone takes the id over.
    SameHost,
    /// An id stays with the first host nonce, so a rebooted host is rejected.
    OneHost,
    /// The collector reads nothing from agents while it renders a page, which takes 2 s.
    Stall,
    /// Bytes of honest agents are delayed repeatedly while attackers are connected.
    HeldUp,
    /// The collector leaks memory.
    Leak,
    /// Only the first 40 connections are accepted.
    Gate,
    /// The parent stops the process for 2 s of every 2.6 s.
    Frozen,
    /// The proxy closes the connections of one agent in ten whenever a page is served.
    Cut,
    /// The lines of a page are shuffled.
    Shuffled,
    /// Pages end without the line feed of their last line.
    CutOff,
    /// The TYPE of one family is missing on pages.
    NoType,
    /// One label has an invalid name.
    BadLabel,
    /// Pages have a series that no agent has reported.
    Foreign,
    /// Pages swap the static labels of two agents.
    SwappedLabels,
    /// Pages show an old value of one series, beside newer ones of the same agent.
    Torn,
    /// Pages still show removed rows of an agent.
    RemovedRow,
    /// Compressed pages end in a wrong checksum and length.
    BadTrailer,
}

impl Fault {
    /// Whether agents must connect to the proxy.
    #[must_use]
    pub const fn affects_agents(self) -> bool {
        matches!(
            self,
            Self::SameHost | Self::OneHost | Self::Stall | Self::HeldUp | Self::Gate | Self::Cut
        )
    }

    /// Returns the collector flag that enables the fault.
    #[must_use]
    pub fn flag(self) -> String {
        let name = self.to_possible_value().map(|value| value.get_name().to_owned());
        format!("--fault={}", name.unwrap_or_default())
    }
}

/// One in this many agents is affected.
const ONE_IN: u32 = 10;
/// State that lets pages affect the forwarding of agents' bytes.
#[derive(Default)]
struct PageHooks {
    /// Tasks that forward agents' bytes hold a read lock, and a page that stalls them holds the
    /// write lock. The lock is fair: between two such pages every waiting task can forward.
    gate: RwLock<()>,
    /// Number of connected attackers.
    attackers: AtomicUsize,
    /// Number of pages rendered so far.
    pages: watch::Sender<u32>,
}

/// Bytes to leak per core at a time. Per core, because the memory bound of `hostile` grows with the
/// cores, too.
const LEAK_BYTES: usize = 2 << 20;
/// Interval between two leaks.
const LEAK_EVERY: Duration = Duration::from_millis(250);
/// Maximum bytes to leak, per core: more than the memory bound of `hostile` for small fleets.
const MAX_LEAK_PER_CORE: usize = 96 << 20;
/// Maximum bytes to leak in addition.
const MAX_LEAK_BASE: usize = 256 << 20;

/// Addresses of a collector, or of the proxy in front of it.
#[derive(Debug)]
pub struct Endpoints {
    /// Address of the listener for agents.
    pub agents: SocketAddr,
    /// Address of the HTTP listener.
    pub http: SocketAddr,
}

/// Starts the proxy in front of the collector at `upstream`; it listens at `endpoints`.
///
/// # Errors
/// If a system call fails.
pub async fn start(
    fault: Fault,
    upstream: Endpoints,
    endpoints: Endpoints,
) -> std::io::Result<Endpoints> {
    let hooks = Arc::new(PageHooks::default());
    let mut agents = upstream.agents;
    if fault.affects_agents() {
        let listener = TcpListener::bind(endpoints.agents).await?;
        agents = listener.local_addr()?;
        tokio::spawn(agents::serve(listener, upstream.agents, fault, Arc::clone(&hooks)));
    }
    let listener = TcpListener::bind(endpoints.http).await?;
    let http = listener.local_addr()?;
    tokio::spawn(pages::serve(listener, upstream.http, fault, hooks));
    if fault == Fault::Leak {
        tokio::spawn(leak());
    }
    Ok(Endpoints { agents, http })
}

async fn leak() {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let (mut kept, mut tick) = (Vec::new(), interval(LEAK_EVERY));
    for _ in 0..max_leaks(cores) {
        tick.tick().await;
        kept.push(vec![1_u8; LEAK_BYTES * cores]);
    }
    // Keeps the leaked memory until the process exits.
    std::future::pending::<()>().await;
}

/// Number of leaks. Limited, so that a machine with many cores keeps memory for other programs.
const fn max_leaks(cores: usize) -> usize {
    (MAX_LEAK_PER_CORE * cores + MAX_LEAK_BASE) / (LEAK_BYTES * cores)
}

#[cfg(test)]
mod tests {
    use fleetgauge_proto::limits::DECODE_BUDGET_BYTES;

    use super::*;

    #[test]
    fn leak_exceeds_the_bound_of_hostile_and_then_stops() {
        for (cores, max_mib) in [(1, 352), (2, 448), (32, 3_328)] {
            let kept = max_leaks(cores) * LEAK_BYTES * cores;
            assert!(kept > DECODE_BUDGET_BYTES * cores + (64 << 20), "{cores} cores: {kept}");
            assert!(kept <= max_mib << 20, "{cores} cores: {kept}");
        }
    }
}
