//! A child process whose wall clock is ahead: libfaketime changes what the process reads. Its
//! monotonic clock is right, so that its timers and intervals are.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use tokio::process::Command;

/// Checks that the library is installed if clocks are to be shifted.
///
/// # Errors
/// If it is not; says how to install it.
pub fn check(offset: Duration) -> anyhow::Result<()> {
    let library = library();
    if !offset.is_zero() && !library.exists() {
        bail!(
            "--clock-offset needs libfaketime, but {} does not exist; install it, for example \
             with: apt-get install libfaketime",
            library.display()
        );
    }
    Ok(())
}

/// Lets a command start with a clock that is this much ahead.
pub(super) fn shift(command: &mut Command, offset: Duration) {
    if !offset.is_zero() {
        command.env("LD_PRELOAD", library());
        command.env("FAKETIME", format!("+{}s", offset.as_secs_f64()));
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
}

/// Path of the library in Debian's packages.
fn library() -> PathBuf {
    let arch = std::env::consts::ARCH;
    PathBuf::from(format!("/usr/lib/{arch}-linux-gnu/faketime/libfaketime.so.1"))
}
