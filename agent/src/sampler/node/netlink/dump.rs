//! Reads the messages of a dump.

use std::io;
use std::time::{Duration, Instant};

use super::message::{DONE, ERROR, INTERRUPTED, Messages, NOOP, OVERRUN, i32_at};

/// Maximum duration of a dump. The kernel may wait for the lock of the network devices.
const MAX_DURATION: Duration = Duration::from_secs(10);
/// Maximum number of datagrams in a dump: some 100 MB, a million devices.
const MAX_DATAGRAMS: usize = 100_000;

/// Why a dump failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum DumpError {
    /// The socket failed.
    #[error("netlink: {0}")]
    Io(#[from] io::Error),
    /// No answer within the time limit.
    #[error("netlink: no answer in time")]
    TimedOut,
    /// The kernel answered with an error.
    #[error("netlink: the kernel refused the request: {0}")]
    Refused(io::Error),
    /// The kernel lost messages, or a datagram is longer than the buffer.
    #[error("netlink: the answer was truncated")]
    Truncated,
    /// The bytes are no messages.
    #[error("netlink: malformed message")]
    Malformed,
    /// The dump does not end.
    #[error("netlink: more than {MAX_DATAGRAMS} datagrams in a dump")]
    TooLong,
}

/// Reads the messages that answer the request with this sequence number. `receive` returns the
/// length of the next datagram, also if it does not fit into the buffer. `each` gets the payloads
/// of messages of this type. Returns whether the dump is consistent: otherwise it may lack items.
pub(super) fn read_dump(
    mut receive: impl FnMut(&mut [u8]) -> io::Result<usize>,
    buffer: &mut [u8],
    (kind, sequence): (u16, u32),
    mut each: impl FnMut(&[u8]),
) -> Result<bool, DumpError> {
    let deadline = Instant::now() + MAX_DURATION;
    let mut is_consistent = true;
    for _ in 0..MAX_DATAGRAMS {
        if Instant::now() > deadline {
            return Err(DumpError::TimedOut);
        }
        let len = match receive(buffer) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(DumpError::TimedOut);
            }
            Err(error) => return Err(error.into()),
        };
        let datagram = buffer.get(..len).ok_or(DumpError::Truncated)?;
        for message in Messages::new(datagram) {
            let message = message.ok_or(DumpError::Malformed)?;
            if message.sequence != sequence {
                continue;
            }
            is_consistent &= message.flags & INTERRUPTED == 0;
            match message.kind {
                NOOP => {}
                OVERRUN => return Err(DumpError::Truncated),
                // Without a code the dump is complete.
                DONE => return check(message.payload, 0).map(|()| is_consistent),
                ERROR => {
                    let code = rustix::io::Errno::IO.raw_os_error();
                    return check(message.payload, code).map(|()| is_consistent);
                }
                other if other == kind => each(message.payload),
                _ => {}
            }
        }
    }
    Err(DumpError::TooLong)
}

/// Checks the error code at the start of a payload: a negative number, or 0 for success.
fn check(payload: &[u8], without_code: i32) -> Result<(), DumpError> {
    let code = i32_at(payload, 0).map_or(without_code, i32::saturating_neg);
    if code == 0 { Ok(()) } else { Err(DumpError::Refused(io::Error::from_raw_os_error(code))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::netlink::message::{NO_FLAGS, message};

    /// Reads a dump of these datagrams. After the last one the socket times out.
    fn read(datagrams: &[Vec<u8>]) -> (Vec<Vec<u8>>, Result<bool, DumpError>) {
        let mut datagrams = datagrams.iter();
        let receive = |buffer: &mut [u8]| {
            let datagram = datagrams.next().ok_or(io::ErrorKind::WouldBlock)?;
            let len = datagram.len().min(buffer.len());
            buffer[..len].copy_from_slice(&datagram[..len]);
            Ok(datagram.len())
        };
        let mut payloads = Vec::new();
        let each = |payload: &[u8]| payloads.push(payload.to_vec());
        let read = read_dump(receive, &mut [0; 256], (16, 7), each);
        (payloads, read)
    }

    fn item(payload: &[u8]) -> Vec<u8> {
        message(16, NO_FLAGS, 7, payload)
    }

    fn end(kind: u16, code: i32) -> Vec<u8> {
        message(kind, NO_FLAGS, 7, &code.to_ne_bytes())
    }

    #[test]
    fn dump_ends_with_done() {
        let other_request = message(16, NO_FLAGS, 6, b"old");
        let other_kind = message(17, NO_FLAGS, 7, b"kind");
        let last = [item(b"b"), end(DONE, 0), item(b"late")].concat();
        let (payloads, read) = read(&[other_request, [item(b"a"), other_kind].concat(), last]);
        assert!(matches!(read, Ok(true)), "{read:?}");
        assert_eq!(payloads, [b"a", b"b"]);
    }

    #[test]
    fn interrupted_dump_is_not_consistent() {
        let interrupted = message(16, INTERRUPTED, 7, b"b");
        let (payloads, read) = read(&[item(b"a"), interrupted, end(DONE, 0)]);
        assert!(matches!(read, Ok(false)), "{read:?}");
        assert_eq!(payloads, [b"a", b"b"]);
        let of_other_request = message(16, INTERRUPTED, 6, b"old");
        assert!(matches!(super::tests::read(&[of_other_request, end(DONE, 0)]).1, Ok(true)));
    }

    #[test]
    fn error_codes_are_errors() {
        for ending in [end(ERROR, -1), end(DONE, -1)] {
            let error = read(&[item(b"a"), ending]).1.unwrap_err().to_string();
            assert!(error.contains("Operation not permitted"), "{error}");
        }
        assert!(matches!(read(&[message(ERROR, NO_FLAGS, 7, &[])]).1, Err(DumpError::Refused(_))));
        assert!(read(&[end(ERROR, 0)]).1.is_ok(), "an acknowledgement");
    }

    #[test]
    fn dump_without_end_times_out() {
        assert!(matches!(read(&[item(b"a")]).1, Err(DumpError::TimedOut)));
        assert!(matches!(read(&[]).1, Err(DumpError::TimedOut)));
    }

    #[test]
    fn truncated_and_malformed_datagrams_are_errors() {
        assert!(matches!(read(&[item(&[0; 400])]).1, Err(DumpError::Truncated)));
        assert!(matches!(read(&[end(OVERRUN, 0)]).1, Err(DumpError::Truncated)));
        assert!(matches!(read(&[vec![1, 2, 3]]).1, Err(DumpError::Malformed)));
    }
}
