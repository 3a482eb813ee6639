//! Who may read a file that holds a secret.

/// The file's mode, if it lets others than its owner and group in.
#[cfg(unix)]
pub(crate) fn open_to_everybody(metadata: &std::fs::Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o777;
    (mode & 0o007 != 0).then_some(mode)
}

#[cfg(not(unix))]
pub(crate) fn open_to_everybody(_: &std::fs::Metadata) -> Option<u32> {
    None
}
