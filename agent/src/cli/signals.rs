//! Signals for shutdown and reload.

use std::io;
use std::sync::Arc;

use tokio::sync::Notify;

/// Returns a future that completes at the first SIGTERM or SIGINT.
#[cfg(unix)]
pub(crate) fn stop() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! { _ = term.recv() => {} _ = int.recv() => {} }
    })
}

/// Returns a future that completes at the first Ctrl-C, or when the console closes.
#[cfg(windows)]
pub(crate) fn stop() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::windows::{ctrl_c, ctrl_close};
    let (mut ctrl_c, mut close) = (ctrl_c()?, ctrl_close()?);
    Ok(async move {
        tokio::select! { _ = ctrl_c.recv() => {} _ = close.recv() => {} }
    })
}

/// Returns a handle that is notified at every SIGHUP.
#[cfg(unix)]
pub(crate) fn reload() -> io::Result<Arc<Notify>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut hangups, reload) = (signal(SignalKind::hangup())?, Arc::new(Notify::new()));
    let notify = Arc::clone(&reload);
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            notify.notify_one();
        }
    });
    Ok(reload)
}

/// Returns a handle that is never notified: Windows has no SIGHUP.
#[cfg(windows)]
#[expect(clippy::unnecessary_wraps, reason = "the Unix version can fail")]
pub(crate) fn reload() -> io::Result<Arc<Notify>> {
    Ok(Arc::new(Notify::new()))
}
