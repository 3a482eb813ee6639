//! Where the agents' connections run: on the caller's runtime, or, if wakes are coalesced, on one of their own.
//!
//! At low rates a report costs less than waking for it. A runtime whose threads pause before they go to sleep finds
//! several reports at a time when it wakes. The pause delays all that runs there, so nothing else does.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

/// Runs connections until it is dropped.
#[derive(Debug)]
pub(crate) struct Workers {
    own: Option<Runtime>,
    handle: Handle,
}

impl Workers {
    /// Workers that pause for so long before they sleep; without a pause, those of the runtime that this is called in.
    pub(crate) fn start(pause: Duration) -> io::Result<Self> {
        if pause.is_zero() {
            return Ok(Self { own: None, handle: Handle::current() });
        }
        let mut runtime = Builder::new_multi_thread();
        runtime.enable_all().thread_name("agents").worker_threads(threads());
        runtime.on_thread_park(move || std::thread::sleep(pause));
        let runtime = runtime.build()?;
        Ok(Self { handle: runtime.handle().clone(), own: Some(runtime) })
    }

    /// Where connections are to be spawned.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// Every thread wakes once a pause, however little there is for it: as few as will do.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}

/// A runtime must not be waited for within another.
impl Drop for Workers {
    fn drop(&mut self) {
        if let Some(runtime) = self.own.take() {
            runtime.shutdown_background();
        }
    }
}
