//! What a byte of an agent can cost: for each kind of frame the worst legal input that we know, its
//! CPU time, memory, bytes of a page and of the log for each byte sent. `--nocapture` prints the
//! table of SECURITY.md.
//!
//! CPU time is this thread's own, so a busy machine changes nothing. Without optimization it is
//! some thirty times what a release build needs, and so are the bounds.
#![expect(clippy::unwrap_used, reason = "a test")]

mod attacks;
mod measure;
mod worst;
