//! Stopping: agents are asked to leave, then made to; HTTP finishes what is under way.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::Config;
use crate::peer::Signal;
use crate::roster::keeper::Keeper;
use crate::shared::Shared;

/// How long agents that were closed, and scrapes under way, may take to end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long all of it may take.
pub(crate) fn longest(config: &Config) -> Duration {
    config.drain + 3 * LAST_WORDS + LAST_WORDS
}

/// Stops accepting, asks every agent to leave within the configured time, and closes those who stay.
pub(crate) async fn drain(shared: &Shared, accepting: &CancellationToken) {
    shared.start_draining();
    accepting.cancel();
    shared.tasks.close();
    info!(
        connections = shared.peers.len(),
        seconds = shared.config.drain.as_secs(),
        "stopping; asking agents to leave"
    );
    raise(shared, Signal::Drain);
    if tokio::time::timeout(shared.config.drain, shared.tasks.wait()).await.is_ok() {
        return;
    }
    info!(connections = shared.peers.len(), "closing agents that have not left");
    raise(shared, Signal::Close);
    if tokio::time::timeout(LAST_WORDS, shared.tasks.wait()).await.is_err() {
        warn!(connections = shared.peers.len(), "connections were cut off");
    }
}

/// Keeps what is known of the fleet, as it is now that its agents have been sent away.
pub(crate) async fn keep_roster(
    shared: &Shared,
    stop: &CancellationToken,
    keeping: JoinHandle<Option<Keeper>>,
) {
    stop.cancel();
    let save = async {
        if let Ok(Some(mut keeper)) = keeping.await {
            let _ = tokio::task::spawn_blocking(move || keeper.save()).await;
        }
    };
    if tokio::time::timeout(LAST_WORDS, save).await.is_err() {
        let directory = shared.config.state.directory.as_deref().map(|path| path.display());
        let directory = directory.map(tracing::field::display);
        warn!(directory, "the state file was not written in time; the one before stands");
    }
}

/// Stops serving HTTP.
pub(crate) async fn stop_http(stop: &CancellationToken, serving: JoinHandle<()>) {
    stop.cancel();
    let abort = serving.abort_handle();
    if tokio::time::timeout(LAST_WORDS, serving).await.is_err() {
        warn!("scrapes under way were cut off");
        abort.abort();
    }
}

fn raise(shared: &Shared, signal: Signal) {
    for peer in shared.peers.iter() {
        peer.raise(signal);
    }
}
