//! Graceful shutdown: drain the agents, save the roster, finish the HTTP requests in flight.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::roster_saver::RosterSaver;
use crate::config::Config;
use crate::peers::handle::Signal;
use crate::remote_write::{JournalWriter, RemoteWriteTasks};
use crate::state::CollectorState;

/// Maximum time of each step after the drain: closing agents, sending what is queued for engines,
/// writing the journal, saving the roster, finishing scrapes.
const STEP_TIMEOUT: Duration = Duration::from_secs(2);

/// Returns the maximum duration of the shutdown.
pub(crate) fn longest(config: &Config) -> Duration {
    let steps = match (config.remote_write.is_empty(), config.state.keeps_journal()) {
        (true, _) => 3,
        (false, false) => 4,
        (false, true) => 5,
    };
    config.drain + steps * STEP_TIMEOUT + STEP_TIMEOUT
}

/// Stops accepting, asks all agents to leave within the drain time, and closes the rest.
pub(crate) async fn drain(collector: &CollectorState, accepting: &CancellationToken) {
    collector.start_draining();
    accepting.cancel();
    collector.tasks.close();
    info!(
        connections = collector.admission.connections.len(),
        seconds = collector.config.drain.as_secs(),
        "shutting down; draining agents"
    );
    raise(collector, Signal::Drain);
    if tokio::time::timeout(collector.config.drain, collector.tasks.wait()).await.is_ok() {
        return;
    }
    let connections = collector.admission.connections.len();
    info!(connections, "closing remaining agent connections");
    raise(collector, Signal::Close);
    if tokio::time::timeout(STEP_TIMEOUT, collector.tasks.wait()).await.is_err() {
        warn!(connections = collector.admission.connections.len(), "agent connections aborted");
    }
}

/// Sends the samples that are queued for engines.
pub(crate) async fn stop_remote_write(collector: &CollectorState, tasks: RemoteWriteTasks) {
    tasks.stop(collector, STEP_TIMEOUT).await;
}

/// Writes which agents the next start must await. `stop` ends all saving.
pub(crate) async fn finish_journal(
    stop: &CancellationToken,
    journaling: Option<JoinHandle<Option<JournalWriter>>>,
) {
    stop.cancel();
    let Some(journaling) = journaling else { return };
    let finish = async {
        if let Ok(Some(mut writer)) = journaling.await {
            let _ = tokio::task::spawn_blocking(move || writer.finish()).await;
        }
    };
    if tokio::time::timeout(STEP_TIMEOUT, finish).await.is_err() {
        warn!("journal of forwarded agents not written in time");
    }
}

/// Saves the roster of the drained fleet.
pub(crate) async fn save_roster(
    collector: &CollectorState,
    stop: &CancellationToken,
    saving: JoinHandle<Option<RosterSaver>>,
) {
    stop.cancel();
    let save = async {
        if let Ok(Some(mut saver)) = saving.await {
            let _ = tokio::task::spawn_blocking(move || saver.save()).await;
        }
    };
    if tokio::time::timeout(STEP_TIMEOUT, save).await.is_err() {
        let directory = collector.config.state.directory.as_deref().map(|path| path.display());
        let directory = directory.map(tracing::field::display);
        warn!(directory, "state file not written in time; keeping the previous one");
    }
}

/// Stops serving HTTP. Aborts requests that do not finish in time.
pub(crate) async fn stop_http(stop: &CancellationToken, serving: JoinHandle<()>) {
    stop.cancel();
    let abort = serving.abort_handle();
    if tokio::time::timeout(STEP_TIMEOUT, serving).await.is_err() {
        warn!("HTTP requests aborted");
        abort.abort();
    }
}

fn raise(collector: &CollectorState, signal: Signal) {
    for handle in collector.admission.connections.iter() {
        handle.raise(signal);
    }
}
