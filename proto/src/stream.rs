//! Stream numbers. Version 1 has stream 0 only.

use crate::violation::Violation;

/// Checks that the stream number of a message is 0.
pub(crate) fn check_stream(stream: u32) -> Result<(), Violation> {
    if stream == 0 { Ok(()) } else { Err(Violation::BadStream { stream }) }
}
