//! Stream numbers: which reports of a connection belong together.
//!
//! A stream has catalogs, rows, values and rising sequence numbers of its own.

use crate::capability;
use crate::codec;
use crate::violation::Violation;

/// The stream of the newest values.
pub const LIVE: u32 = 0;
/// The stream of reports that the agent sends again from its log.
pub const REPLAY: u32 = 1;

/// The streams that an agent may use on a connection.
///
/// ```
/// use fleetgauge_proto::capability;
/// use fleetgauge_proto::stream::Streams;
///
/// assert_eq!(Streams::of(0), Streams::Live);
/// assert_eq!(Streams::of(capability::LOG), Streams::LiveAndReplay);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Streams {
    /// Only [`LIVE`].
    #[default]
    Live,
    /// [`LIVE`] and [`REPLAY`].
    LiveAndReplay,
}

impl Streams {
    /// Returns the streams that the capabilities in Welcome allow.
    #[must_use]
    pub const fn of(capabilities: u64) -> Self {
        if capabilities & capability::REPLAY == 0 { Self::Live } else { Self::LiveAndReplay }
    }

    /// Returns the stream number at the start of a payload of Catalog, Rows or Report.
    ///
    /// # Errors
    /// [`Violation::BadStream`] if the stream was not negotiated, or the payload does not start
    /// with an integer in its shortest form.
    pub fn of_payload(self, payload: &[u8]) -> Result<u32, Violation> {
        let (stream, _) = codec::split_u32(payload)?;
        self.check(stream)?;
        Ok(stream)
    }

    /// Checks the stream number of a Catalog, Rows or Report.
    pub(crate) fn check(self, stream: u32) -> Result<(), Violation> {
        match (self, stream) {
            (_, LIVE) | (Self::LiveAndReplay, REPLAY) => Ok(()),
            _ => Err(Violation::BadStream { stream }),
        }
    }
}

/// Checks the stream number of a message that exists on one stream only.
pub(crate) fn check_stream(stream: u32, expected: u32) -> Result<(), Violation> {
    if stream == expected { Ok(()) } else { Err(Violation::BadStream { stream }) }
}
