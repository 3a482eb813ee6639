//! Reads files of credentials and keys. The errors leave out the path.

use std::path::Path;

use fleetgauge_common::secret_file;

/// Reads a secret file of at most `max_bytes`.
///
/// # Errors
/// What is wrong with it, without its path, and what to do.
pub(crate) fn read(path: &Path, max_bytes: u64) -> Result<Vec<u8>, String> {
    secret_file::read(path, max_bytes).map_err(|error| format!("it {}", error.problem()))
}

/// Reads a file of at most `max_bytes`, whatever its mode.
///
/// # Errors
/// What is wrong with it, without its path.
pub(crate) fn read_public(path: &Path, max_bytes: u64) -> Result<Vec<u8>, String> {
    secret_file::read_public(path, max_bytes).map_err(|error| format!("it {}", error.problem()))
}
