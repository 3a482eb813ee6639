//! Resident memory of the process.

use std::fs;
use std::thread;
use std::time::Duration;

/// Time between two looks at the memory, while the allocator returns unused pages.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Maximum number of looks: the allocator returns unused pages after ten seconds.
const MAX_POLLS: usize = 24;

/// Returns what a function returns, and the bytes by which the resident memory has grown by it. 0
/// on systems without `/proc`.
///
/// Waits first until the allocator has returned unused memory, which would not show in the growth.
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
