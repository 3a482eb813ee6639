//! Resident memory of the process.

use std::fs;
use std::thread;
use std::time::Duration;

/// Polling interval while the allocator returns unused pages.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Maximum number of polls: the allocator returns unused pages after ten seconds.
const MAX_POLLS: usize = 24;

/// Runs `make`. Returns its result and the growth of resident memory in bytes, which is 0 on
/// systems without `/proc`.
///
/// First waits until the allocator has returned unused pages: `make` could reuse them without
/// growth.
pub fn resident_growth<T>(make: impl FnOnce() -> T) -> (T, usize) {
    let mut before = resident();
    for _ in 0..MAX_POLLS {
        thread::sleep(POLL_INTERVAL);
        before = resident().min(before);
    }
    let made = make();
    (made, resident().saturating_sub(before))
}

fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_ascii_whitespace().nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0) * rustix::param::page_size()
}
