//! Cost of one byte from an agent. For each kind of frame, the worst known legal input is measured:
//! CPU time, memory, page bytes and log bytes for each byte sent. `--nocapture` prints the table of
//! SECURITY.md.
//!
//! CPU time is that of this thread, so a busy machine changes nothing. An unoptimized build takes
//! about thirty times as long as a release build, and the bounds are scaled accordingly.
#![expect(clippy::unwrap_used, reason = "a test")]

mod attacks;
mod measure;
mod rows;
mod small;
mod worst;
