//! Who asks whether whom is alive: a newcomer with the id of an agent on another host.
//!
//! Few ask at any time, so what they ask is kept here and not with every connection.

use std::sync::Arc;

use dashmap::{DashMap, Entry};

use crate::peer::{Peer, Signal};

/// The questions that have not been answered, by the session that they are put to.
#[derive(Debug, Default)]
pub struct Challenges(DashMap<u64, Arc<Peer>>);

impl Challenges {
    /// Asks on behalf of `challenger` whether `holder` is alive; `false` if another is asking already.
    pub fn ask(&self, holder: &Peer, challenger: &Arc<Peer>) -> bool {
        match self.0.entry(holder.session()) {
            Entry::Occupied(_) => return false,
            Entry::Vacant(question) => drop(question.insert(Arc::clone(challenger))),
        }
        holder.raise(Signal::Challenged);
        true
    }

    /// Tells whoever asks after `holder`, if anybody does.
    pub fn answer(&self, holder: &Peer, answer: Signal) {
        if let Some((_, challenger)) = self.0.remove(&holder.session()) {
            challenger.raise(answer);
        }
    }

    /// Forgets what `challenger` asked of `holder`.
    pub fn withdraw(&self, holder: &Peer, challenger: &Peer) {
        self.0.remove_if(&holder.session(), |_, asking| **asking == *challenger);
    }

    /// Whether nobody asks.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
