//! Stream numbers. Version 1 has stream 0 only.

use crate::violation::Violation;

/// Checks the stream number of a message.
pub(crate) fn check_stream(stream: u32) -> Result<(), Violation> {
    if stream == 0 { Ok(()) } else { Err(Violation::BadStream { stream }) }
}
