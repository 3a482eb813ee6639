//! Checks of the state directory for `--check`, without creating anything.

use std::path::Path;

use fleetgauge_common::settings::{Layers, SettingError};

/// Part of the error message: what to do about an unusable directory.
#[cfg(unix)]
const REMEDY: &str = "choose a directory that the collector can write to";

/// Records an error if the collector could not create files in the state directory.
pub(super) fn check(layers: &mut Layers) {
    if let Some(directory) = layers.path("state_dir") {
        let problem = |problem| format!("{} {problem}", directory.display());
        let checked = is_writable(&directory).map_err(problem);
        layers.accept(checked.map_err(|problem| SettingError::new("state_dir", problem)));
    }
}

/// Checks that files can be created in a directory or, if it does not exist, that it can be
/// created.
#[cfg(unix)]
fn is_writable(directory: &Path) -> Result<(), String> {
    use rustix::fs::{Access, access};
    let existing = directory.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    if !existing.is_dir() {
        return Err(format!("is not a directory; {REMEDY}"));
    }
    let rights = Access::WRITE_OK | Access::EXEC_OK;
    access(existing, rights).map_err(|error| format!("is not writable: {error}; {REMEDY}"))
}

#[cfg(not(unix))]
fn is_writable(_: &Path) -> Result<(), String> {
    Ok(())
}
