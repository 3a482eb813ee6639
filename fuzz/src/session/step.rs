//! What may happen to a collector's connections.

use arbitrary::{Arbitrary, Result, Unstructured};

use crate::schema_gen::{Declared, Labels, some};

pub(super) const CONNECTIONS: usize = 5;
pub(super) const IDS: [&str; 3] = ["a", "b", "c"];
/// Schemas and sets of labels that agents choose among.
pub(super) const CHOICES: usize = 3;

#[derive(Debug, Arbitrary)]
pub(super) struct Input {
    pub(super) bounds: Bounds,
    #[arbitrary(with = schemas)]
    pub(super) schemas: [Declared; CHOICES],
    pub(super) labels: [Labels; CHOICES],
    #[arbitrary(with = |u: &mut Unstructured<'_>| some(u, 40, Step::arbitrary))]
    pub(super) steps: Vec<Step>,
}

/// The collector's settings, from which it takes what is legal.
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
    /// Whatever an honest agent would do next.
    Behave {
        #[arbitrary(with = place)]
        at: usize,
        id: u8,
        host: u8,
        schema: u8,
    },
    /// Says something, of which all but the last bytes arrive, and all that had not arrived before.
    Say {
        #[arbitrary(with = place)]
        at: usize,
        saying: Saying,
        kept_back: u8,
    },
    /// A new connection in this place, which ends the one that was there.
    Connect {
        #[arbitrary(with = place)]
        at: usize,
        address: u8,
    },
    Finish(#[arbitrary(with = place)] usize),
    Break(#[arbitrary(with = place)] usize),
    Drop(#[arbitrary(with = place)] usize),
    Tick(#[arbitrary(with = place)] usize),
    Close(#[arbitrary(with = place)] usize),
    /// Time passes, in milliseconds.
    Wait(u16),
    Drain,
    Scrape,
    /// Everybody looks at the time and at signals.
    Settle,
}

#[derive(Debug, Arbitrary)]
pub(super) enum Saying {
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
    /// No frame at all, perhaps.
    Bytes(Vec<u8>),
}

/// Two that are legal, and one that may be.
fn schemas(u: &mut Unstructured<'_>) -> Result<[Declared; CHOICES]> {
    let [one, other, any]: [Declared; CHOICES] = u.arbitrary()?;
    Ok([one.legal(), other.legal(), any])
}

fn place(u: &mut Unstructured<'_>) -> Result<usize> {
    u.int_in_range(0..=CONNECTIONS - 1)
}
