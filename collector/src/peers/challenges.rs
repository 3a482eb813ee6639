//! Challenges: an agent on another host claims an id, and the holder must prove that it is alive.
//!
//! Challenges are rare, so this map has them and not every connection.

use std::sync::Arc;

use dashmap::{DashMap, Entry};

use crate::peers::handle::{ConnectionHandle, Signal};

/// The pending challenges, by the challenged session.
#[derive(Debug, Default)]
pub struct Challenges(DashMap<u64, Arc<ConnectionHandle>>);

impl Challenges {
    /// Challenges `holder` on behalf of `challenger`. Returns `false` if a challenge is pending.
    pub fn ask(&self, holder: &ConnectionHandle, challenger: &Arc<ConnectionHandle>) -> bool {
        match self.0.entry(holder.session()) {
            Entry::Occupied(_) => return false,
            Entry::Vacant(slot) => drop(slot.insert(Arc::clone(challenger))),
        }
        holder.raise(Signal::Challenged);
        true
    }

    /// Signals the answer of `holder` to its challenger, if it has one.
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
