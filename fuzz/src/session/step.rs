//! Steps of a test case: everything that can happen to a collector's connections.

use arbitrary::{Arbitrary, Result, Unstructured};

use crate::schema_gen::{Declared, Labels, vec_of};

pub(super) const CONNECTIONS: usize = 5;
pub(super) const IDS: [&str; 3] = ["a", "b", "c"];
/// Number of schemas, and of label sets, that agents choose from.
pub(super) const CHOICES: usize = 3;

#[derive(Debug, Arbitrary)]
pub(super) struct Input {
    pub(super) bounds: Bounds,
    #[arbitrary(with = schemas)]
    pub(super) schemas: [Declared; CHOICES],
    pub(super) labels: [Labels; CHOICES],
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
    pub(super) schemas: u8,
    pub(super) memory: u16,
}

#[derive(Debug, Arbitrary)]
pub(super) enum Step {
    /// Sends the next message of a correct agent.
    Behave {
        #[arbitrary(with = index)]
        at: usize,
        id: u8,
        host: u8,
        schema: u8,
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
        schema: u8,
        interval_ms: u16,
    },
    Schema(u8),
    Report {
        full: bool,
        bits: u64,
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

/// Generates two valid schemas and an arbitrary one.
fn schemas(u: &mut Unstructured<'_>) -> Result<[Declared; CHOICES]> {
    let [one, other, any]: [Declared; CHOICES] = u.arbitrary()?;
    Ok([one.legal(), other.legal(), any])
}

fn index(u: &mut Unstructured<'_>) -> Result<usize> {
    u.int_in_range(0..=CONNECTIONS - 1)
}
