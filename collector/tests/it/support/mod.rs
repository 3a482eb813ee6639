//! What the tests share: a collector in this process, an agent made of frames, an HTTP client that
//! sees how an answer ends.

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

/// How long a test waits for what ought to happen at once. Only a failing test waits that long, so
/// it may be long enough for a machine on which a compiler takes every core.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How often a test repeats an attempt for which the machine was too slow.
const ATTEMPTS: usize = 20;

/// Asks until it is so.
pub(crate) fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "{what} never came to be");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Checks what holds for a limited time only. An attempt that took longer than `limit` proves
/// nothing and is repeated: the machine was busy.
pub(crate) fn holds_within(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..ATTEMPTS {
        let begun = Instant::now();
        if holds() {
            return;
        }
        assert!(begun.elapsed() >= limit, "not so: {what}");
    }
    panic!("the machine is too slow to tell whether {what}");
}

/// Reads what is there. A signal to the process, and a machine that is stopped and goes on, end a
/// read that has a time limit; the system does not take it up again.
pub(crate) fn read_some(from: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match from.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// Tells a thread to stop when it goes out of scope: also when the test fails.
#[derive(Debug)]
pub(crate) struct StopAtEnd<'a>(pub(crate) &'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
