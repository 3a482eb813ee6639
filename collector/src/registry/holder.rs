//! Who holds an id, and how it may change hands.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use fleetgauge_proto::AgentId;

use super::slab::Seat;
use crate::clock::Millis;
use crate::peer::Peer;

/// How often an id may change hands within [`TAKEOVER_WINDOW`] before the newcomer is refused.
const TAKEOVERS: usize = 3;
/// One minute.
const TAKEOVER_WINDOW: Millis = 60_000;

/// An agent that wants to be shown.
#[derive(Debug, Clone)]
pub struct Newcomer {
    /// Who it is.
    pub id: AgentId,
    /// Which boot of which host it runs on.
    pub host_nonce: [u8; 16],
    /// Its labels as they stand between the braces of its series, the id's included.
    pub labels: Box<str>,
    /// Its connection.
    pub peer: Arc<Peer>,
}

/// An agent that is shown; its labels are in its row. Shared by the registry and the agent's session: one allocation
/// an agent.
#[derive(Debug)]
pub struct Holder {
    pub(super) id: AgentId,
    pub(super) host_nonce: [u8; 16],
    pub(super) peer: Arc<Peer>,
    pub(super) takeovers: Takeovers,
    pub(super) seat: Seat,
}

impl Holder {
    /// Who it is.
    #[must_use]
    pub fn id(&self) -> &AgentId {
        &self.id
    }

    /// Where its reports go.
    #[must_use]
    pub fn seat(&self) -> &Seat {
        &self.seat
    }

    /// Its connection.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// How it would introduce itself again; `None` if its row is another's.
    #[must_use]
    pub fn newcomer(&self) -> Option<Newcomer> {
        Some(Newcomer {
            id: self.id.clone(),
            host_nonce: self.host_nonce,
            labels: self.seat.labels(self.peer.session())?,
            peer: Arc::clone(&self.peer),
        })
    }

    /// Bytes of memory for a holder of this id: the record, its counts, its place in the set.
    pub(super) fn bytes(id: &AgentId) -> usize {
        size_of::<Self>() + 2 * size_of::<usize>() + id.as_str().len() + 20
    }

    /// Whether it is this session's.
    pub(super) fn is(&self, session: u64) -> bool {
        self.peer.session() == session
    }
}

/// A holder as the key under which it is found: its id.
#[derive(Debug, Clone)]
pub(super) struct ById(pub(super) Arc<Holder>);

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for ById {}

impl Hash for ById {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl Borrow<AgentId> for ById {
    fn borrow(&self) -> &AgentId {
        &self.0.id
    }
}

/// When an id changed hands lately.
#[derive(Debug, Clone, Default)]
pub(super) struct Takeovers(Option<Box<[Option<Millis>; TAKEOVERS]>>);

impl Takeovers {
    pub(super) fn exhausted(&self, now: Millis) -> bool {
        let recent = |at: &Option<Millis>| at.is_some_and(|at| now < at + TAKEOVER_WINDOW);
        self.0.as_ref().is_some_and(|times| times.iter().all(recent))
    }

    pub(super) fn record(&mut self, now: Millis) {
        let times = self.0.get_or_insert_default();
        times.rotate_right(1);
        times[0] = Some(now);
    }
}
