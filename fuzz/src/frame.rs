//! A byte stream yields the same frames and the same error however it is split.
//!
//! The memory for an unfinished frame depends on the bytes received, not on the announced length.

use arbitrary::{Arbitrary, Unstructured};
use fleetgauge_proto::frame::HEADER_LEN;
use fleetgauge_proto::{Accept, Code, FrameBuffer};

/// Allocation that is allowed however few bytes have arrived, in bytes.
const MIN_ALLOCATION: usize = 64;

/// A byte stream, what its receiver accepts, and how the stream is split.
#[derive(Debug, Arbitrary)]
struct Input<'a> {
    version: u8,
    max_payload_bytes: u16,
    /// Lengths of the pieces. The list repeats until the end of the stream.
    pieces: [u8; 8],
    stream: &'a [u8],
}

/// The frames of a stream and how it ends.
#[derive(Debug, PartialEq, Eq)]
struct Received {
    /// Kind and payload of every whole frame.
    frames: Vec<(u8, Vec<u8>)>,
    /// `Err`: the error that ended the stream. `Ok`: the length of the unfinished frame, header
    /// included, or of a header if that is incomplete; `None` if the stream ended between frames.
    end: Result<Option<usize>, Code>,
}

/// Receives the stream at once and in pieces, and compares both with the documented result.
pub fn check(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let accept =
        Accept { version: input.version, max_payload_bytes: input.max_payload_bytes.into() };
    let expected = documented(input.stream, accept);
    assert_eq!(received([input.stream], accept), expected, "in one piece");
    assert_eq!(received(pieces(&input), accept), expected, "in pieces");
}

/// The pieces of the stream; some may be empty.
fn pieces<'a>(input: &Input<'a>) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut rest = input.stream;
    let lens = input.pieces.iter().cycle().copied().map(usize::from);
    // The number of pieces is limited, because pieces of length 0 never use up the stream.
    for len in lens.chain([rest.len()]).take(rest.len()) {
        let (piece, after) = rest.split_at(len.min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

fn received<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, accept: Accept) -> Received {
    let mut buffer = FrameBuffer::default();
    let mut frames = Vec::new();
    // Bytes received since the last complete frame.
    let mut pending = 0;
    for mut piece in pieces {
        pending += piece.len();
        loop {
            match buffer.next(&mut piece, accept) {
                Ok(Some(frame)) => {
                    frames.push((frame.header.kind.to_u8(), frame.payload.to_vec()));
                    pending = piece.len();
                }
                Ok(None) => break,
                Err(violation) => return Received { frames, end: Err(violation.code()) },
            }
        }
        assert!(piece.is_empty(), "bytes are left unread");
        let held = buffer.held_bytes();
        assert!(held <= MIN_ALLOCATION.max(2 * pending), "{held} bytes held for {pending}");
        assert_eq!(buffer.unfinished_len().is_some(), pending > 0);
    }
    Received { frames, end: Ok(buffer.unfinished_len()) }
}

/// Parses a stream as "Read and write frames" in `docs/protocol.md` specifies.
fn documented(mut rest: &[u8], accept: Accept) -> Received {
    let mut frames = Vec::new();
    loop {
        match documented_frame(rest, accept) {
            Ok(Ok((kind, payload, after))) => {
                frames.push((kind, payload.to_vec()));
                rest = after;
            }
            Ok(Err(unfinished)) => return Received { frames, end: Ok(unfinished) },
            Err(code) => return Received { frames, end: Err(code) },
        }
    }
}

/// Kind and payload of a frame and the bytes after it; or the length of an unfinished frame, if
/// known.
type ParsedFrame<'a> = Result<(u8, &'a [u8], &'a [u8]), Option<usize>>;

fn documented_frame(rest: &[u8], accept: Accept) -> Result<ParsedFrame<'_>, Code> {
    if rest.iter().zip(b"FG").any(|(byte, magic)| byte != magic) {
        return Err(Code::BadMagic);
    }
    let announced = rest.get(4..7).map_or(0, |len| {
        usize::from(len[0]) + 256 * usize::from(len[1]) + 65_536 * usize::from(len[2])
    });
    let [_, _, version, kind, _, _, _, flags, ..] = *rest else {
        return Ok(Err((!rest.is_empty()).then_some(HEADER_LEN + announced)));
    };
    if flags != 0 {
        return Err(Code::BadFlags);
    }
    let expected_version = match kind {
        1 | 9 => 1,
        2..=12 | 0x80.. => accept.version,
        _ => return Err(Code::UnknownKind),
    };
    if version != expected_version {
        return Err(Code::UnsupportedVersion);
    }
    if announced > accept.max_payload_bytes as usize {
        return Err(Code::FrameTooLarge);
    }
    let payload = &rest[HEADER_LEN..];
    Ok(payload
        .split_at_checked(announced)
        .map(|(payload, after)| (kind, payload, after))
        .ok_or(Some(HEADER_LEN + announced)))
}
