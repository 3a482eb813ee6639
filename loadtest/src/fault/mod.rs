//! A collector made to misbehave, to show that the scenarios find it out: what is wrong is done by
//! a proxy in front of a collector that is right. Only a hidden flag of the hidden `collector`
//! command asks for it.

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

/// How it misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// Pages show one in ten of the agents that have gone.
    Leftover,
    /// Pages never show one in ten of the agents.
    Missing,
    /// Pages leave out agents that have not reported for 1.2 s.
    Impatient,
    /// All claims of an id are taken for the same host's, so that the newest wins.
    SameHost,
    /// An id is for the first host for ever.
    OneHost,
    /// Nothing is read from agents while a page is being made, which takes long.
    Stall,
    /// Memory is kept.
    Leak,
    /// The first connections are served, and no later one.
    Gate,
    /// The process is stopped for 2 s of every 2.6 s, by its parent.
    Frozen,
    /// With every page that is made, the connections of one in ten of the agents are closed.
    Cut,
    /// The lines of pages are shuffled.
    Shuffled,
    /// The TYPE of one family is not on pages.
    NoType,
    /// One label has a name that is none.
    BadLabel,
    /// Pages have a series that no agent has reported.
    Foreign,
    /// Two agents have each other's static labels on pages.
    SwappedLabels,
    /// Pages that are compressed end in a checksum and a length that are wrong.
    BadTrailer,
}

impl Fault {
    /// Agents are to connect to the proxy, not to the collector behind it.
    #[must_use]
    pub const fn affects_agents(self) -> bool {
        matches!(self, Self::SameHost | Self::OneHost | Self::Stall | Self::Gate | Self::Cut)
    }

    /// The flag that asks for it.
    #[must_use]
    pub fn flag(self) -> String {
        let name = self.to_possible_value().map(|value| value.get_name().to_owned());
        format!("--fault={}", name.unwrap_or_default())
    }
}

/// Of so many agents in a row, one is lied about or cut off.
const ONE_IN: u32 = 10;
/// What the pages do to the agents.
#[derive(Default)]
struct PageHooks {
    /// Tasks that forward agents' bytes lock it for reading, a page that stalls them for writing.
    /// It is fair: between two such pages every waiting task has a turn.
    gate: RwLock<()>,
    /// Pages made so far.
    pages: watch::Sender<u32>,
}

/// How much is kept for each core, and how often: what `hostile` allows grows with the cores, too.
const LEAK_BYTES: usize = 2 << 20;
const LEAK_EVERY: Duration = Duration::from_millis(250);

/// Where a misbehaving collector seems to be.
#[derive(Debug)]
pub struct Endpoints {
    /// For agents.
    pub agents: SocketAddr,
    /// For scrapes.
    pub http: SocketAddr,
}

/// Puts the fault in front of the collector at `upstream`; it listens at `endpoints`.
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
