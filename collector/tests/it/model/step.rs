//! Steps of a history: what agents send, and everything else that can happen to their connections.

use proptest::prelude::*;

use super::series::{CATALOGS, RowBits, SLOTS, ValueBits, WRONG};
use super::{CONNECTIONS, IDS};

#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Performs the next step of a well-behaved agent.
    Behave {
        at: usize,
        id: usize,
        host: u8,
        /// What it sends after its first catalog.
        then: Frame,
    },
    /// Opens a connection in this slot and closes the previous one.
    Connect(usize),
    Hello {
        at: usize,
        id: usize,
        host: u8,
    },
    Send(usize, Frame),
    Pong(usize),
    Bye(usize),
    Close(usize),
    Break(usize),
    Garbage(usize),
    /// Advances the clock, in milliseconds.
    Wait(u64),
}

/// A frame that concerns the series of an agent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Frame {
    Catalog(usize),
    Rows(RowBits),
    Report(ValueBits),
    /// Rows or a report that contradict the agent's rows.
    Wrong(usize),
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let at = 0..CONNECTIONS;
    let host = 1..3_u8;
    prop_oneof![
        40 => (at.clone(), 0..IDS.len(), host.clone(), valid_frame())
            .prop_map(|(at, id, host, then)| Step::Behave { at, id, host, then }),
        1 => at.clone().prop_map(Step::Connect),
        1 => (at.clone(), 0..IDS.len(), host)
            .prop_map(|(at, id, host)| Step::Hello { at, id, host }),
        6 => (at.clone(), valid_frame()).prop_map(|(at, frame)| Step::Send(at, frame)),
        1 => (at.clone(), 0..WRONG).prop_map(|(at, number)| Step::Send(at, Frame::Wrong(number))),
        1 => at.clone().prop_map(Step::Pong),
        1 => at.clone().prop_map(Step::Bye),
        1 => at.clone().prop_map(Step::Close),
        1 => at.clone().prop_map(Step::Break),
        1 => at.prop_map(Step::Garbage),
        2 => (1..20_000_u64).prop_map(Step::Wait),
    ]
}

fn valid_frame() -> impl Strategy<Value = Frame> {
    let bits = || prop_oneof![Just(u8::MAX), any::<u8>()];
    prop_oneof![
        1 => (0..CATALOGS.len()).prop_map(Frame::Catalog),
        4 => (0..SLOTS, any::<u8>(), bits())
            .prop_map(|(slot, removed, added)| Frame::Rows(RowBits { slot, removed, added })),
        6 => (bits(), any::<u8>())
            .prop_map(|(changed, absent)| Frame::Report(ValueBits { changed, absent })),
    ]
}
