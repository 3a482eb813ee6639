//! Steps of a test case: everything that can happen to a collector's connections.

use arbitrary::{Arbitrary, Result, Unstructured};

use crate::catalog_gen::{CatalogChoice, Declared, Labels, vec_of};
use crate::row_gen::Changes;

pub(super) const CONNECTIONS: usize = 5;
pub(super) const IDS: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Arbitrary)]
pub(super) struct Input {
    pub(super) bounds: Bounds,
    #[arbitrary(with = catalogs)]
    pub(super) catalogs: [Declared; CatalogChoice::CHOICES],
    pub(super) labels: [Labels; 3],
    #[arbitrary(with = |u: &mut Unstructured<'_>| vec_of(u, 40, Step::arbitrary))]
    pub(super) steps: Vec<Step>,
}

/// Arbitrary settings of the collector, which the test reduces to valid values.
#[derive(Debug, Arbitrary)]
pub(super) struct Bounds {
    pub(super) classic: bool,
    pub(super) departed: u8,
    pub(super) per_address: u8,
    pub(super) handshakes: u8,
    pub(super) catalogs: u8,
    pub(super) memory: u16,
    pub(super) series: u8,
    pub(super) row_changes: u8,
}

#[derive(Debug, Arbitrary)]
pub(super) enum Step {
    /// Sends the next message of a correct agent.
    Behave {
        #[arbitrary(with = index)]
        at: usize,
        id: u8,
        host: u8,
        catalogs: CatalogChoice,
    },
    /// Sends a frame or arbitrary bytes. They arrive together with earlier bytes, except for the
    /// last `withheld`.
    Send {
        #[arbitrary(with = index)]
        at: usize,
        output: AgentOutput,
        withheld: u8,
    },
    /// Opens a connection with index `at`. An existing connection with this index is closed.
    Connect {
        #[arbitrary(with = index)]
        at: usize,
        address: u8,
    },
    Finish(#[arbitrary(with = index)] usize),
    Break(#[arbitrary(with = index)] usize),
    Drop(#[arbitrary(with = index)] usize),
    Tick(#[arbitrary(with = index)] usize),
    Close(#[arbitrary(with = index)] usize),
    /// Advances the clock by this many milliseconds.
    Wait(u16),
    Drain,
    Scrape,
    /// Lets all sessions handle their signals and deadlines.
    Settle,
}

#[derive(Debug, Arbitrary)]
pub(super) enum AgentOutput {
    Hello {
        id: u8,
        host: u8,
        labels: u8,
        catalogs: CatalogChoice,
        interval_ms: u16,
    },
    Catalog {
        #[arbitrary(with = slot)]
        slot: u8,
        catalog: u8,
    },
    Rows(Changes),
    /// Sets all values to `bits`, except those kept: bit `n` of `kept` keeps every eighth value
    /// from `n` on.
    Report {
        full: bool,
        bits: u64,
        kept: u8,
        skipped: u8,
    },
    Ping,
    Pong,
    Bye(u8),
    /// A frame of any kind and payload.
    Frame(u8, Vec<u8>),
    /// Any bytes, which need not be a frame.
    Bytes(Vec<u8>),
}

/// Generates two valid catalogs and an arbitrary one.
fn catalogs(u: &mut Unstructured<'_>) -> Result<[Declared; CatalogChoice::CHOICES]> {
    let [one, other, any]: [Declared; CatalogChoice::CHOICES] = u.arbitrary()?;
    Ok([one.legal(), other.legal(), any])
}

/// Generates a slot: one of the first three, or any number.
fn slot(u: &mut Unstructured<'_>) -> Result<u8> {
    let any: u8 = u.arbitrary()?;
    Ok(if any < 192 { any % 3 } else { any - 192 })
}

fn index(u: &mut Unstructured<'_>) -> Result<usize> {
    u.int_in_range(0..=CONNECTIONS - 1)
}
