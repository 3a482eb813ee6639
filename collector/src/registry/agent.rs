//! Registered agents: the connection that holds an id, and takeovers of ids.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use fleetgauge_proto::report::{ABSENT, Values};
use fleetgauge_proto::{AgentId, Violation};
use parking_lot::Mutex;

use super::layout::Layout;
use super::slab::SlabPlace;
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
    pub(super) handle: Arc<ConnectionHandle>,
    pub(super) takeovers: Takeovers,
    pub(super) series: Mutex<SeriesStorage>,
}

/// Where the labels, layout and values of an agent are stored. They change under one lock, so a
/// copy never mixes two reports.
#[derive(Debug)]
pub(super) enum SeriesStorage {
    /// In a slab, beside those of other agents with the same fixed layout.
    Shared(SlabPlace),
    /// In its own allocation, because its layout has row labels.
    Own(Box<SeriesData>),
    /// Nowhere: another connection has taken over the id.
    Gone,
}

/// The labels, layout and values of an agent.
#[derive(Debug)]
pub(super) struct SeriesData {
    /// Labels as written between the braces of its series, with `agent`.
    pub(super) labels: Box<str>,
    pub(super) layout: Arc<Layout>,
    /// Values of the layout.
    pub(super) values: Box<[f64]>,
    /// Index of the agent among those of its stripe; unused in a slab.
    pub(super) index: usize,
}

impl SeriesData {
    /// Returns the bytes of the record, labels and values, and of the layout unless it is shared.
    pub(super) fn bytes(&self) -> usize {
        let layout = if self.layout.is_fixed() { 0 } else { self.layout.bytes() };
        size_of::<Self>() + self.labels.len() + layout + size_of_val(&*self.values)
    }
}

impl SeriesStorage {
    /// Calls `read` with labels, layout and values; `None` if another connection has taken over the
    /// id.
    pub(super) fn read<T>(&self, read: impl FnOnce(&str, &Arc<Layout>, &[f64]) -> T) -> Option<T> {
        match self {
            Self::Shared(shared) => Some(shared.read(read)),
            Self::Own(own) => Some(read(&own.labels, &own.layout, &own.values)),
            Self::Gone => None,
        }
    }

    pub(super) fn own(&self) -> Option<&SeriesData> {
        match self {
            Self::Own(own) => Some(own),
            Self::Shared(_) | Self::Gone => None,
        }
    }
}

/// Stores the values of a report. Returns their number. After an invalid report all values are
/// absent, because some may be new and others old.
pub(super) fn decode(
    values: &Values<'_>,
    own: &mut [f64],
    layout: &Layout,
) -> Result<usize, Violation> {
    let decoded = values.decode(own, layout.shape());
    if decoded.is_err() {
        own.fill(ABSENT);
    }
    decoded.map(|()| own.len())
}

impl RegisteredAgent {
    /// Returns the id.
    #[must_use]
    pub fn id(&self) -> &AgentId {
        &self.id
    }

    /// Returns the connection.
    #[must_use]
    pub fn handle(&self) -> &ConnectionHandle {
        &self.handle
    }

    /// Returns a copy of the labels as written between the braces of its series; `None` if another
    /// connection has taken over the id.
    #[must_use]
    pub fn labels(&self) -> Option<Box<str>> {
        self.series.lock().read(|labels, _, _| labels.into())
    }

    /// Returns the layout of its values; `None` if another connection has taken over the id.
    #[must_use]
    pub fn layout(&self) -> Option<Arc<Layout>> {
        self.series.lock().read(|_, layout, _| Arc::clone(layout))
    }

    /// Calls `read` with labels, layout and values; `None` if another connection has taken over the
    /// id. The agent's reports wait meanwhile.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&str, &Arc<Layout>, &[f64]) -> T) -> Option<T> {
        self.series.lock().read(read)
    }

    /// Stores the values of a report. Returns the number of values, absent ones included; `None` if
    /// another connection has taken over the id.
    ///
    /// # Errors
    /// The first [`Violation`] found. All values are then absent.
    pub fn store(&self, values: &Values<'_>) -> Result<Option<usize>, Violation> {
        match &mut *self.series.lock() {
            SeriesStorage::Shared(shared) => shared.store(values).map(Some),
            SeriesStorage::Own(own) => decode(values, &mut own.values, &own.layout).map(Some),
            SeriesStorage::Gone => Ok(None),
        }
    }

    /// Returns the bytes of an agent with this id, without its series: the record, its reference
    /// counts, its map entry, and its place in the stripe.
    pub(super) fn bytes(id: &AgentId) -> usize {
        size_of::<Self>() + 3 * size_of::<usize>() + id.as_str().len() + 20
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
