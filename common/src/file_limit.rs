//! The limit of open files of the process: each connection takes one file descriptor.

use std::io;

/// Raises the soft limit to the hard limit. Returns the new soft limit; `None` if the number of
/// open files is unlimited.
///
/// # Errors
/// The system refuses to raise the limit.
#[cfg(unix)]
pub fn raise() -> io::Result<Option<u64>> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    Ok(limit.current)
}

/// Does nothing and returns `None`: the system has no such limit.
///
/// # Errors
/// Never fails.
#[cfg(not(unix))]
pub fn raise() -> io::Result<Option<u64>> {
    Ok(None)
}

/// Returns the hard limit; `None` if the number of open files is unlimited.
#[must_use]
pub fn maximum() -> Option<u64> {
    #[cfg(unix)]
    return rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    #[cfg(not(unix))]
    None
}

/// Returns the soft limit; `None` if the number of open files is unlimited.
#[must_use]
pub fn current() -> Option<u64> {
    #[cfg(unix)]
    return rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    None
}
