//! Registered agents: the connection that holds an id, and takeovers of ids.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use fleetgauge_proto::report::Values;
use fleetgauge_proto::{AgentId, Violation};
use parking_lot::Mutex;

use super::layout::Layout;
use super::pending_values::PendingValues;
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

/// An agent whose series are exposed. The registry and the agent's session share it, so it is one
/// allocation for each agent.
#[derive(Debug)]
pub struct RegisteredAgent {
    pub(super) id: AgentId,
    pub(super) host_nonce: [u8; 16],
    /// Labels as written between the braces of its series, with `agent`.
    pub(super) labels: Box<str>,
    pub(super) handle: Arc<ConnectionHandle>,
    pub(super) takeovers: Takeovers,
    /// Index in the stripe; changes only under the lock of the stripe.
    pub(super) index: AtomicUsize,
    pub(super) series: Mutex<Series>,
}

/// The series of an agent, under one lock: a copy never mixes two reports.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) layout: Arc<Layout>,
    /// Values of the layout.
    pub(super) values: Box<[f64]>,
    /// Whether pages show the series. Not after another connection has taken over the id, or after
    /// an invalid report.
    pub(super) is_shown: bool,
}

impl RegisteredAgent {
    /// Returns the id.
    #[must_use]
    pub fn id(&self) -> &AgentId {
        &self.id
    }

    /// Returns the labels as written between the braces of its series.
    #[must_use]
    pub fn labels(&self) -> &str {
        &self.labels
    }

    /// Returns the connection.
    #[must_use]
    pub fn handle(&self) -> &ConnectionHandle {
        &self.handle
    }

    /// Returns the layout of its values.
    #[must_use]
    pub fn layout(&self) -> Arc<Layout> {
        Arc::clone(&self.series.lock().layout)
    }

    /// Stores the values of a report. Returns `false` if another connection has taken over the id.
    ///
    /// # Errors
    /// The first [`Violation`] found. The agent is then on no page any more, because some of its
    /// values may be new and others old.
    pub fn store(&self, values: &Values<'_>) -> Result<bool, Violation> {
        let mut series = self.series.lock();
        if !series.is_shown {
            return Ok(false);
        }
        let Series { layout, values: own, is_shown } = &mut *series;
        let decoded = values.decode(own, layout.shape());
        *is_shown = decoded.is_ok();
        decoded.map(|()| true)
    }

    /// Copies layout and values, to change them; `None` if another connection has taken over the
    /// id.
    #[must_use]
    pub fn to_pending_values(&self) -> Option<PendingValues> {
        let series = self.series.lock();
        series.is_shown.then(|| PendingValues::from_current(&series.layout, &series.values))
    }

    /// Returns the bytes of an agent with this id, these labels and series: the record, its
    /// reference counts, its map entry, its place in the stripe, and what it points to.
    pub(super) fn bytes(id: &AgentId, labels: &str, layout: &Layout, values: &[f64]) -> usize {
        size_of::<Self>()
            + 3 * size_of::<usize>()
            + id.as_str().len()
            + 20
            + labels.len()
            + layout.bytes()
            + size_of_val(values)
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
