//! What tells the program to stop, and to read its settings anew.

use std::io;
use std::sync::Arc;

use tokio::sync::Notify;

/// Done at the first SIGTERM or SIGINT.
#[cfg(unix)]
pub(crate) fn stop() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! { _ = term.recv() => {} _ = int.recv() => {} }
    })
}

/// Done at the first Ctrl-C or when the console closes.
#[cfg(windows)]
pub(crate) fn stop() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::windows::{ctrl_c, ctrl_close};
    let (mut ctrl_c, mut close) = (ctrl_c()?, ctrl_close()?);
    Ok(async move {
        tokio::select! { _ = ctrl_c.recv() => {} _ = close.recv() => {} }
    })
}

/// Notified at every SIGHUP.
#[cfg(unix)]
pub(crate) fn reload() -> io::Result<Arc<Notify>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut hangups, asked) = (signal(SignalKind::hangup())?, Arc::new(Notify::new()));
    let tell = Arc::clone(&asked);
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            tell.notify_one();
        }
    });
    Ok(asked)
}

/// Never: there is no such signal.
#[cfg(windows)]
#[expect(clippy::unnecessary_wraps, reason = "the one for Unix can fail")]
pub(crate) fn reload() -> io::Result<Arc<Notify>> {
    Ok(Arc::new(Notify::new()))
}
