//! The payload encoding: bincode 2 `config::standard()`, little-endian with variable-length
//! integers.
//!
//! Decoding has a memory limit, consumes the whole payload and accepts only the canonical form.
//!
//! This is the only file that names bincode; other modules import its derives from here.

pub use bincode::{BorrowDecode, Encode};

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::enc::write::{SizeWriter, Writer};
use bincode::error::{DecodeError, EncodeError};

use crate::limits::{DECODE_BUDGET_BYTES, MAX_HELLO_BYTES, SMALL_DECODE_BUDGET_BYTES};
use crate::violation::Violation;

const DECODING: Configuration<LittleEndian, Varint, Limit<DECODE_BUDGET_BYTES>> =
    bincode::config::standard().with_limit::<DECODE_BUDGET_BYTES>();
const DECODING_SMALL: Configuration<LittleEndian, Varint, Limit<SMALL_DECODE_BUDGET_BYTES>> =
    bincode::config::standard().with_limit::<SMALL_DECODE_BUDGET_BYTES>();
const ENCODING: Configuration = bincode::config::standard();

/// Decodes one message from the whole of `payload`, borrowing strings and byte strings from it.
///
/// bincode ignores trailing bytes and accepts integers in a longer form than needed. This function
/// rejects both, so that a message has exactly one encoding. Integers are the only part of the
/// encoding with more than one form: a payload that is longer than its canonical encoding has a
/// non-minimal integer.
pub(crate) fn decode<'a, T>(payload: &'a [u8]) -> Result<T, Violation>
where
    T: BorrowDecode<'a, ()> + Encode,
{
    let decoded = if payload.len() <= MAX_HELLO_BYTES as usize {
        bincode::borrow_decode_from_slice::<T, _>(payload, DECODING_SMALL)
    } else {
        bincode::borrow_decode_from_slice::<T, _>(payload, DECODING)
    };
    let (message, read) = decoded.map_err(malformed)?;
    if read != payload.len() {
        return Err(Violation::TrailingBytes { extra: payload.len() - read });
    }
    if encoded_len(&message) != read {
        return Err(Violation::NonMinimalInteger);
    }
    Ok(message)
}

/// Decodes the integer at the start of `payload`. Returns it and the remaining bytes.
///
/// The integer must be in its shortest form.
pub(crate) fn split_u32(payload: &[u8]) -> Result<(u32, &[u8]), Violation> {
    let (value, read) =
        bincode::borrow_decode_from_slice::<u32, _>(payload, DECODING_SMALL).map_err(malformed)?;
    if encoded_len(&value) != read {
        return Err(Violation::NonMinimalInteger);
    }
    Ok((value, &payload[read..]))
}

/// Appends the encoding of `message` to `out`.
pub(crate) fn encode<T: Encode>(message: &T, out: &mut Vec<u8>) {
    struct Append<'a>(&'a mut Vec<u8>);
    impl Writer for Append<'_> {
        fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
            self.0.extend_from_slice(bytes);
            Ok(())
        }
    }
    let written = bincode::encode_into_writer(message, Append(out), ENCODING);
    debug_assert!(written.is_ok(), "appending to memory cannot fail: {written:?}");
}

fn encoded_len<T: Encode>(message: &T) -> usize {
    let mut size = SizeWriter::default();
    let counted = bincode::encode_into_writer(message, &mut size, ENCODING);
    debug_assert!(counted.is_ok(), "counting bytes cannot fail: {counted:?}");
    size.bytes_written
}

fn malformed(error: DecodeError) -> Violation {
    let what = match error {
        DecodeError::UnexpectedEnd { .. } => "ends inside the message",
        DecodeError::LimitExceeded => {
            "has lists or strings that need more memory than decoding may use"
        }
        DecodeError::Utf8 { .. } => "has a string that is not UTF-8",
        DecodeError::UnexpectedVariant { .. } => "has an unknown enum variant",
        DecodeError::InvalidBooleanValue(_) => "has a boolean that is neither 0 nor 1",
        DecodeError::InvalidIntegerType { .. } => "has an integer wider than its field",
        _ => "does not decode as its message",
    };
    Violation::MalformedPayload { what }
}
