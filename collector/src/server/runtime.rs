//! The runtime of the agents' connections: that of the caller, or a separate one that coalesces
//! wake-ups.
//!
//! At low rates, waking a thread costs more than handling a report. Threads that pause before they
//! park find several reports when they wake. The pause delays every task of the runtime, so it runs
//! only connections.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

/// The runtime of the connections. Dropping it stops them if it is a separate one.
#[derive(Debug)]
pub(crate) struct ConnectionRuntime {
    own: Option<Runtime>,
    handle: Handle,
}

impl ConnectionRuntime {
    /// Starts a runtime whose threads pause before they park. Without a pause, uses the current
    /// runtime.
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

    /// Returns the handle to spawn connections on.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// Returns the number of threads: half of the cores, because each thread wakes once per pause even
/// without work.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}

/// Shuts down in the background: tokio panics if a runtime is dropped inside an async context.
impl Drop for ConnectionRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.own.take() {
            runtime.shutdown_background();
        }
    }
}
