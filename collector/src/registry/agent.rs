//! Registered agents: the connection that holds an id, and takeovers of ids.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use fleetgauge_proto::AgentId;

use super::slab::RowHandle;
use crate::clock::Millis;
use crate::peers::handle::ConnectionHandle;

/// Maximum takeovers of an id within [`TAKEOVER_WINDOW`]; further agents are refused.
const TAKEOVERS: usize = 3;
/// Window of [`TAKEOVERS`], in milliseconds.
const TAKEOVER_WINDOW: Millis = 60_000;

/// An agent before its first report.
#[derive(Debug, Clone)]
pub struct PendingAgent {
    /// Id of the agent.
    pub id: AgentId,
    /// Random number of the host's current boot, to distinguish hosts that claim one id.
    pub host_nonce: [u8; 16],
    /// Labels as written between the braces of the agent's series, the `agent` label included.
    pub labels: Box<str>,
    /// Connection of the agent.
    pub handle: Arc<ConnectionHandle>,
}

/// An agent whose series are exposed. Its labels are in its row. The registry and the agent's
/// session share it, so it is one allocation for each agent.
#[derive(Debug)]
pub struct RegisteredAgent {
    pub(super) id: AgentId,
    pub(super) host_nonce: [u8; 16],
    pub(super) handle: Arc<ConnectionHandle>,
    pub(super) takeovers: Takeovers,
    pub(super) row: RowHandle,
}

impl RegisteredAgent {
    /// Returns the id.
    #[must_use]
    pub fn id(&self) -> &AgentId {
        &self.id
    }

    /// Returns the row in which reports are stored.
    #[must_use]
    pub fn row(&self) -> &RowHandle {
        &self.row
    }

    /// Returns the connection.
    #[must_use]
    pub fn handle(&self) -> &ConnectionHandle {
        &self.handle
    }

    /// Returns the agent as it was before registration, to register it with another schema; `None`
    /// if another session has taken over its row.
    #[must_use]
    pub fn to_pending(&self) -> Option<PendingAgent> {
        Some(PendingAgent {
            id: self.id.clone(),
            host_nonce: self.host_nonce,
            labels: self.row.labels(self.handle.session())?,
            handle: Arc::clone(&self.handle),
        })
    }

    /// Returns the memory of an agent with this id, in bytes: record, reference counts and map
    /// entry.
    pub(super) fn bytes(id: &AgentId) -> usize {
        size_of::<Self>() + 2 * size_of::<usize>() + id.as_str().len() + 20
    }

    /// Whether the agent belongs to this session.
    pub(super) fn is(&self, session: u64) -> bool {
        self.handle.session() == session
    }
}

/// An agent as its own map key: hashed and compared by id.
#[derive(Debug, Clone)]
pub(super) struct ById(pub(super) Arc<RegisteredAgent>);

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

/// Times of the last takeovers of an id, the oldest replaced first.
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
