//! Reading the settings' files anew: when somebody asks for it, and when one of them has changed.
//!
//! Only who may be whom ([`Trust`](crate::trust::Trust)) and who is expected is taken from them; every other setting
//! stays as it was at the start, and the log says which of them are others now. If anything is wrong, everything stays.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fleetgauge_proto::AgentId;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tracing::{error, info, warn};

use crate::config::{BadSetting, Config, Files};
use crate::shared::Shared;
use crate::supervisor;

/// How often the files are looked at. One that changed must have been left alone for as long: it may be half written.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Reads the files anew whenever `asked`, and whenever they change, for ever.
pub(crate) async fn watch(shared: Arc<Shared>, asked: Arc<Notify>) {
    shared.metrics.read_settings(SystemTime::now());
    let mut read = shared.config.source.files.clone();
    loop {
        tokio::select! {
            () = asked.notified() => {}
            () = changed(&read) => {}
        }
        supervisor::reloading();
        read = reload(&shared, read).await;
        supervisor::reloaded();
    }
}

/// Done when the files are not as they were when they were read, and have been left alone since.
async fn changed(read: &Files) {
    let mut before = read.clone();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = as_they_are(read.clone()).await;
        if now == before && now != *read {
            return;
        }
        before = now;
    }
}

/// Puts what the files say now in force; the files, as they were read.
async fn reload(shared: &Arc<Shared>, read: Files) -> Files {
    // Before they are read: what changes meanwhile is read once more.
    let seen = as_they_are(read).await;
    let to = Arc::clone(shared);
    let failed = match spawn_blocking(move || read_anew(&to)).await {
        Ok(Ok(files)) => return files,
        Ok(Err(bad)) => bad.to_string(),
        Err(panicked) => panicked.to_string(),
    };
    shared.metrics.reload_failures.inc();
    shared.metrics.reload_successful.set(0);
    error!(problem = failed, "cannot read the settings anew; the old ones stay in force");
    seen
}

fn read_anew(shared: &Shared) -> Result<Files, BadSetting> {
    let before = Arc::clone(&shared.trust.read());
    let config = Config::try_after(shared.config.source.given.clone(), &before)?;
    check_ports(&config, &shared.config)?;
    let fixed = shared.config.source.settings.fixed_that_differ(&config.source.settings);
    if !fixed.is_empty() {
        let settings = fixed.join(", ");
        warn!(settings, "settings have changed that take a restart; they stay as they were");
    }
    let is_connected = |id: &AgentId| shared.registry.holder(id).is_some();
    shared.roster.expect(&config.memory.expected, shared.clock.moment(), is_connected);
    shared.reload(config.trust);
    shared.metrics.read_settings(SystemTime::now());
    info!("the settings were read anew");
    Ok(config.source.files)
}

/// What is legal at other addresses, or under TLS, need not be at the ports as they are.
fn check_ports(anew: &Config, running: &Config) -> Result<(), BadSetting> {
    let (tls, http_tls) = (running.trust.tls.is_some(), running.trust.http_tls.is_some());
    let setting = match anew {
        Config { listen, .. } if *listen != running.listen => "listen",
        Config { http, .. } if *http != running.http => "http",
        Config { trust, .. } if trust.tls.is_some() != tls => "tls_certificate",
        Config { trust, .. } if trust.http_tls.is_some() != http_tls => "http_tls_certificate",
        _ => return Ok(()),
    };
    let problem =
        "has changed, which takes a restart; until then nothing is taken from the settings";
    Err(BadSetting::new(setting, problem))
}

/// A disk that hangs holds nobody else up.
async fn as_they_are(files: Files) -> Files {
    let same = files.clone();
    spawn_blocking(move || files.as_they_are()).await.unwrap_or(same)
}
