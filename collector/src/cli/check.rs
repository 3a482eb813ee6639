//! `--check`: prints the settings, and checks what the collector needs at its start.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use fleetgauge_common::settings::{SettingError, SettingErrors};

use super::{bad_settings, say};
use crate::Config;

/// Prints the settings in force, or the errors that a start would meet.
pub(super) fn run(config: &Config) -> ExitCode {
    if let Some(directory) = &config.state.directory
        && let Err(problem) = is_writable(directory)
    {
        let problem = format!("{} {problem}", directory.display());
        let errors = SettingErrors::from(SettingError::new("state_dir", problem));
        return bad_settings(&errors);
    }
    // Standard output may be closed.
    let _ = write!(std::io::stdout(), "{}", config.effective);
    say("all settings are valid");
    ExitCode::SUCCESS
}

/// Checks that files can be created in a directory, or the directory itself, without doing so.
#[cfg(unix)]
fn is_writable(directory: &Path) -> Result<(), String> {
    use rustix::fs::{Access, access};
    let existing = directory.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    if !existing.is_dir() {
        return Err("is not a directory".to_owned());
    }
    let rights = Access::WRITE_OK | Access::EXEC_OK;
    access(existing, rights).map_err(|error| format!("is not writable: {error}"))
}

#[cfg(not(unix))]
fn is_writable(_: &Path) -> Result<(), String> {
    Ok(())
}
