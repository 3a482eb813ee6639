//! Encoding and decoding: of each message, and of the reports of recorded traces. Prints the bytes
//! of a sample as well, and compares both with other codings.

mod messages;
mod raw;
mod remote_write;
mod traces;

use fleetgauge_benches::{Clock, criterion};

fn main() {
    let mut c = criterion(Clock::Thread);
    messages::bench(&mut c);
    traces::bench(&mut c);
    c.final_summary();
}
