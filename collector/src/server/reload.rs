//! Reload of the configuration files: on request, and when one of them has changed.
//!
//! A reload replaces the [`AuthPolicy`](crate::auth::AuthPolicy) and the expected agents. Other
//! settings require a restart; the reload logs those that changed. An invalid file changes nothing.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fleetgauge_proto::AgentId;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tracing::{error, info, warn};

use crate::config::{Config, Files};
use crate::state::CollectorState;
use crate::systemd::notify;
use fleetgauge_common::settings::{SettingError, SettingErrors};

/// Interval at which the files are checked. A changed file is read only after it was stable for an
/// interval, because it can be half written.
const CHECK_EVERY: Duration = Duration::from_secs(2);

/// Reloads the files when `requested` is notified and when they change. Never completes.
pub(crate) async fn watch(collector: Arc<CollectorState>, requested: Arc<Notify>) {
    collector.telemetry.metrics.reload_succeeded(SystemTime::now());
    let mut read = collector.config.files.clone();
    loop {
        tokio::select! {
            () = requested.notified() => {}
            () = changed(&read) => {}
        }
        notify::reloading();
        read = reload(&collector, read).await;
        notify::reloaded();
    }
}

/// Completes when the files differ from those that were read, and are stable.
async fn changed(read: &Files) {
    let mut before = read.clone();
    loop {
        tokio::time::sleep(CHECK_EVERY).await;
        let now = current(read.clone()).await;
        if now == before && now != *read {
            return;
        }
        before = now;
    }
}

/// Reloads the files and logs a failure. Returns the stamps of the files that were read.
async fn reload(collector: &Arc<CollectorState>, read: Files) -> Files {
    // Stamped before reading, so that a change meanwhile causes another reload.
    let seen = current(read).await;
    let to = Arc::clone(collector);
    let failed = match spawn_blocking(move || apply(&to)).await {
        Ok(Ok(files)) => return files,
        Ok(Err(bad)) => bad.to_string().replace('\n', "; "),
        Err(panicked) => panicked.to_string(),
    };
    collector.telemetry.metrics.reload_failures.inc();
    collector.telemetry.metrics.reload_successful.set(0);
    error!(error = failed, "configuration reload failed; keeping the current configuration");
    seen
}

fn apply(collector: &CollectorState) -> Result<Files, SettingErrors> {
    let before = collector.auth.current();
    let config = Config::try_after(collector.config.sources.clone(), &before)?;
    check_ports(&config, &collector.config)?;
    let fixed = collector.config.effective.restart_required(&config.effective);
    if !fixed.is_empty() {
        let settings = fixed.join(", ");
        warn!(settings, "configuration reload skipped settings that require a restart");
    }
    let is_connected = |id: &AgentId| collector.registry.find(id).is_some();
    collector.roster.expect(&config.roster.expected, collector.clock.moment(), is_connected);
    collector.reload(config.auth);
    collector.telemetry.metrics.reload_succeeded(SystemTime::now());
    info!("configuration reloaded");
    Ok(config.files)
}

/// Rejects a configuration that changes the address of a port or turns its TLS on or off, because
/// other settings can depend on these.
fn check_ports(new: &Config, running: &Config) -> Result<(), SettingError> {
    let (tls, http_tls) = (running.auth.tls.is_some(), running.auth.http_tls.is_some());
    let setting = match new {
        Config { listen, .. } if *listen != running.listen => "listen",
        Config { http, .. } if *http != running.http => "http_listen",
        Config { auth, .. } if auth.tls.is_some() != tls => "tls_certificate",
        Config { auth, .. } if auth.http_tls.is_some() != http_tls => "http_tls_certificate",
        _ => return Ok(()),
    };
    Err(SettingError::new(setting, "requires a restart; reload aborted"))
}

/// Stamps the current files, on a blocking thread because the disk can hang.
async fn current(files: Files) -> Files {
    let unchanged = files.clone();
    spawn_blocking(move || files.restamped()).await.unwrap_or(unchanged)
}
