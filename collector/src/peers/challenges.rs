//! Challenges: an agent on another host claims an id, and the holder must prove that it is alive.
//!
//! Challenges are rare, so they are in a map and take no memory in other connections.

use std::sync::Arc;

use dashmap::{DashMap, Entry};

use crate::peers::handle::{ConnectionHandle, Signal};

/// The challenger of each pending challenge, by the session id of the challenged connection.
#[derive(Debug, Default)]
pub struct Challenges(DashMap<u64, Arc<ConnectionHandle>>);

impl Challenges {
    /// Challenges `holder` on behalf of `challenger`. Returns `false` if `holder` is challenged
    /// already.
    pub fn ask(&self, holder: &ConnectionHandle, challenger: &Arc<ConnectionHandle>) -> bool {
        match self.0.entry(holder.session()) {
            Entry::Occupied(_) => return false,
            Entry::Vacant(slot) => drop(slot.insert(Arc::clone(challenger))),
        }
        holder.raise(Signal::Challenged);
        true
    }

    /// Raises the signal `answer` at the challenger of `holder`, if there is one.
    pub fn answer(&self, holder: &ConnectionHandle, answer: Signal) {
        if let Some((_, challenger)) = self.0.remove(&holder.session()) {
            challenger.raise(answer);
        }
    }

    /// Withdraws the challenge of `challenger`.
    pub fn withdraw(&self, holder: &ConnectionHandle, challenger: &ConnectionHandle) {
        self.0.remove_if(&holder.session(), |_, other| **other == *challenger);
    }

    /// Whether no challenge is pending.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
