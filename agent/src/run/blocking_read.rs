//! Reads files on a blocking thread, so that a hung disk stops neither sampling nor shutdown.

use std::time::Duration;

use fleetgauge_common::service_manager;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::warn;

/// Time after which a slow read is logged.
const LOG_AFTER: Duration = Duration::from_secs(10);

/// Runs `read` on a blocking thread, without a timeout: another attempt would block on the same
/// disk and take one more thread.
pub(super) async fn read<T: Send + 'static>(
    what: &'static str,
    read: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let mut reading = spawn_blocking(read);
    let read = match timeout(LOG_AFTER, &mut reading).await {
        Ok(read) => read,
        Err(_) => {
            service_manager::status(&format!("reading {what} is slow"));
            warn!(files = what, "slow file read");
            reading.await
        }
    };
    read.unwrap_or_else(|panicked| Err(panicked.to_string()))
}
