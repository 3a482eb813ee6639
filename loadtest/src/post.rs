//! A worker as its parent knows it.

use crate::child::Worker;
use crate::orders::Sample;
use crate::tally::Tally;

/// What the parent knows of a worker.
pub(crate) struct Post {
    pub(crate) worker: Worker,
    pub(crate) ready: bool,
    pub(crate) last: Sample,
    /// All that it counted so far.
    pub(crate) counts: Tally,
    /// Commands to leave or to tell what was counted that have not been carried out.
    pub(crate) undone: usize,
    /// Pages asked for that have not been told of.
    pub(crate) awaited: usize,
    /// How many of its agents could not say that they left; `None` until they have.
    pub(crate) left: Option<u32>,
    /// It was stopped on purpose.
    pub(crate) frozen: bool,
    /// It was ended on purpose.
    pub(crate) dismissed: bool,
}

impl Post {
    pub(crate) fn new(worker: Worker) -> Self {
        Self {
            worker,
            ready: false,
            last: Sample::default(),
            counts: Tally::default(),
            undone: 0,
            awaited: 0,
            left: None,
            frozen: false,
            dismissed: false,
        }
    }
}
