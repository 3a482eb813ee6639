//! Fingerprints of catalogs.

use sha2::{Digest, Sha256};

use crate::codec::{self, BorrowDecode, Encode};
use crate::stream::Streams;
use crate::violation::Violation;

/// Identifies a catalog: the first 128 bits of SHA-256 over the Catalog payload after its stream
/// number and slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, BorrowDecode)]
pub struct Fingerprint(
    /// The first 16 bytes of the SHA-256 digest.
    pub [u8; 16],
);

impl Fingerprint {
    /// Computes the fingerprint of a Catalog frame's payload on stream 0. The stream number is
    /// checked, and neither it nor the slot is hashed.
    ///
    /// # Errors
    /// The payload does not start with stream 0 in its shortest form and a slot.
    pub fn of_payload(payload: &[u8]) -> Result<Self, Violation> {
        Self::of_payload_with(payload, Streams::Live)
    }

    /// Computes the fingerprint of a Catalog frame's payload on one of these streams.
    ///
    /// # Errors
    /// The payload does not start with the number of one of these streams in its shortest form and
    /// a slot.
    pub fn of_payload_with(payload: &[u8], streams: Streams) -> Result<Self, Violation> {
        let (stream, body) = codec::split_u32(payload)?;
        streams.check(stream)?;
        let short = Violation::MalformedPayload { what: "ends inside the message" };
        let (_slot, body) = body.split_first().ok_or(short)?;
        let digest = Sha256::digest(body);
        let mut bits = [0; 16];
        bits.copy_from_slice(&digest[..16]);
        Ok(Self(bits))
    }
}
