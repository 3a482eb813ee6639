//! Test support: a collector in this process, a test agent, an HTTP client, the command as a
//! process.

pub(crate) mod agent;
pub(crate) mod collector;
pub(crate) mod command;
pub(crate) mod driven;
pub(crate) mod frames;
pub(crate) mod http;
pub(crate) mod manager;
pub(crate) mod pki;
pub(crate) mod secrets;
pub(crate) mod secure;

use std::io::{ErrorKind, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Maximum time for something that should happen at once. Only a failing test waits that long, so
/// it can be long enough for a machine whose cores are all busy.
pub(crate) const TEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum attempts of a check that is repeated if the machine was too slow.
const ATTEMPTS: usize = 20;

/// Polls until the condition is true.
pub(crate) fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < TEST_TIMEOUT, "{what} never came to be");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Checks something that holds only for a limited time. An attempt that took longer than `limit`
/// proves nothing and is repeated.
pub(crate) fn holds_within(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..ATTEMPTS {
        let begun = Instant::now();
        if holds() {
            return;
        }
        assert!(begun.elapsed() >= limit, "false: {what}");
    }
    panic!("the machine is too slow to check: {what}");
}

/// Reads available bytes. Retries if the read was interrupted: a read with a timeout also ends when
/// the process gets a signal or the machine is stopped.
pub(crate) fn read_some(from: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match from.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// Sets a flag on drop, which tells a thread to stop even if the test fails.
#[derive(Debug)]
pub(crate) struct StopAtEnd<'a>(pub(crate) &'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
