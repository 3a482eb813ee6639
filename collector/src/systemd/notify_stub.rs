//! Notifications on systems without systemd: they do nothing.

use std::time::{Duration, Instant};

use tokio::runtime::Handle;

pub(crate) fn ready() {}

pub(crate) fn reloading() {}

pub(crate) fn reloaded() {}

pub(crate) fn stopping(_: Duration) {}

/// Never created.
#[derive(Debug)]
pub(crate) struct Watchdog;

impl Watchdog {
    pub(crate) fn start(_: &Handle) -> Option<Self> {
        None
    }

    pub(crate) fn ping(&mut self, _: Instant, _: usize) {}
}
