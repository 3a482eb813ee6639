//! Reads files on a thread that may block: a disk that hangs keeps the agent neither from sampling
//! nor from stopping.

use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::warn;

use crate::supervisor;

/// After this long it is said what is waited for.
const LONG: Duration = Duration::from_secs(10);

/// What `read` gives, however long that takes: who tried again would hang on the same disk, with
/// one thread more.
pub(super) async fn read<T: Send + 'static>(
    what: &'static str,
    read: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let mut reading = spawn_blocking(read);
    let read = match timeout(LONG, &mut reading).await {
        Ok(read) => read,
        Err(_) => {
            supervisor::status(format_args!("waiting for a disk to give {what}"));
            warn!(what, "waiting for a disk");
            reading.await
        }
    };
    read.unwrap_or_else(|panicked| Err(panicked.to_string()))
}
