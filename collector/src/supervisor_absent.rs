//! Where there is no service manager that could be told anything.

use std::time::{Duration, Instant};

use tokio::runtime::Handle;

pub(crate) fn ready() {}

pub(crate) fn reloading() {}

pub(crate) fn reloaded() {}

pub(crate) fn stopping(_: Duration) {}

/// Nobody feels it.
#[derive(Debug)]
pub(crate) struct Pulse;

impl Pulse {
    pub(crate) fn start(_: &Handle) -> Option<Self> {
        None
    }

    pub(crate) fn beat(&mut self, _: Instant, _: usize) {}
}
