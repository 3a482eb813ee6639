//! What tells the program to stop.

/// Done at the first SIGTERM or SIGINT.
#[cfg(unix)]
pub(crate) fn stop() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! { _ = term.recv() => {} _ = int.recv() => {} }
    })
}

/// Done at the first Ctrl-C or when the console closes.
#[cfg(windows)]
pub(crate) fn stop() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::windows::{ctrl_c, ctrl_close};
    let (mut ctrl_c, mut close) = (ctrl_c()?, ctrl_close()?);
    Ok(async move {
        tokio::select! { _ = ctrl_c.recv() => {} _ = close.recv() => {} }
    })
}
