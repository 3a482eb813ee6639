//! Faults: a proxy in front of a correct collector makes it misbehave, to show that the scenarios
//! find it. Only a hidden flag of the hidden `collector` command enables one.

mod agents;
#[cfg(unix)]
pub mod freezer;
mod pages;

use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use tokio::net::TcpListener;
use tokio::sync::{RwLock, watch};
use tokio::time::interval;

pub use pages::{STALL, with_series};

/// How the collector misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// Pages keep showing one in ten of the agents that have gone.
    Leftover,
    /// Pages never show one in ten of the agents.
    Missing,
    /// Pages omit agents that have not reported for 1.2 s.
    Impatient,
    /// All claims of an id seem to come from the same host, so the newest wins.
    SameHost,
    /// An id belongs to its first host for ever.
    OneHost,
    /// The collector reads nothing from agents while it makes a page, which takes long.
    Stall,
    /// The collector leaks memory.
    Leak,
    /// Only the first connections are served.
    Gate,
    /// The parent stops the process for 2 s of every 2.6 s.
    Frozen,
    /// Every page closes the connections of one in ten of the agents.
    Cut,
    /// The lines of a page are shuffled.
    Shuffled,
    /// The TYPE of one family is missing on pages.
    NoType,
    /// One label has an illegal name.
    BadLabel,
    /// Pages have a series that no agent has reported.
    Foreign,
    /// Pages swap the static labels of two agents.
    SwappedLabels,
    /// Compressed pages end in a wrong checksum and length.
    BadTrailer,
}

impl Fault {
    /// Whether agents must connect to the proxy.
    #[must_use]
    pub const fn affects_agents(self) -> bool {
        matches!(self, Self::SameHost | Self::OneHost | Self::Stall | Self::Gate | Self::Cut)
    }

    /// The flag that enables it.
    #[must_use]
    pub fn flag(self) -> String {
        let name = self.to_possible_value().map(|value| value.get_name().to_owned());
        format!("--fault={}", name.unwrap_or_default())
    }
}

/// One agent of this many is affected.
const ONE_IN: u32 = 10;
/// How pages affect the forwarding of agents' bytes.
#[derive(Default)]
struct PageHooks {
    /// Tasks that forward agents' bytes hold it for reading, a page that stalls them for writing.
    /// The lock is fair: between two such pages every waiting task can forward.
    gate: RwLock<()>,
    /// Number of pages made so far.
    pages: watch::Sender<u32>,
}

/// Bytes to leak per core, and how often. Per core, because what `hostile` allows grows with the
/// cores, too.
const LEAK_BYTES: usize = 2 << 20;
const LEAK_EVERY: Duration = Duration::from_millis(250);

/// Addresses of a collector, or of the proxy in front of it.
#[derive(Debug)]
pub struct Endpoints {
    /// Address for agents.
    pub agents: SocketAddr,
    /// Address for HTTP.
    pub http: SocketAddr,
}

/// Starts the proxy in front of the collector at `upstream`; it listens at `endpoints`.
///
/// # Errors
/// The system's.
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
    loop {
        tick.tick().await;
        kept.push(vec![1_u8; LEAK_BYTES * cores]);
    }
}
