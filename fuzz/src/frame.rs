//! A stream of bytes is the same frames and the same refusal however it is cut, and what is kept of
//! a frame that is not whole follows the bytes that have come, not those announced.

use arbitrary::{Arbitrary, Unstructured};
use fleetgauge_proto::frame::HEADER_LEN;
use fleetgauge_proto::{Accept, Code, FrameBuffer};

/// What an array of a few bytes may be rounded up to.
const LEAST_ROOM: usize = 64;

/// A stream, what its receiver takes, and how it arrives.
#[derive(Debug, Arbitrary)]
struct Input<'a> {
    version: u8,
    max_payload_bytes: u16,
    /// Lengths of the pieces, again and again from the start.
    pieces: [u8; 8],
    stream: &'a [u8],
}

/// What a receiver makes of a stream.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// Kind and payload of every whole frame.
    frames: Vec<(u8, Vec<u8>)>,
    /// Why the rest is refused; otherwise how long the unfinished frame will be, as far as that is
    /// known.
    end: Result<Option<usize>, Code>,
}

/// Cuts the stream in pieces, in one piece, and as the document says.
pub fn check(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let accept =
        Accept { version: input.version, max_payload_bytes: input.max_payload_bytes.into() };
    let expected = documented(input.stream, accept);
    assert_eq!(received([input.stream], accept), expected, "in one piece");
    assert_eq!(received(pieces(&input), accept), expected, "in pieces");
}

/// The stream's pieces, some of them empty.
fn pieces<'a>(input: &Input<'a>) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut rest = input.stream;
    let lens = input.pieces.iter().cycle().copied().map(usize::from);
    // Those of no bytes alone would never end.
    for len in lens.chain([rest.len()]).take(rest.len()) {
        let (piece, after) = rest.split_at(len.min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

fn received<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, accept: Accept) -> Seen {
    let mut buffer = FrameBuffer::default();
    let mut frames = Vec::new();
    // Bytes that came since the last frame was whole.
    let mut come = 0;
    for mut piece in pieces {
        come += piece.len();
        loop {
            match buffer.next(&mut piece, accept) {
                Ok(Some(frame)) => {
                    frames.push((frame.header.kind.to_u8(), frame.payload.to_vec()));
                    come = piece.len();
                }
                Ok(None) => break,
                Err(violation) => return Seen { frames, end: Err(violation.code()) },
            }
        }
        assert!(piece.is_empty(), "nothing is left unread");
        let held = buffer.held_bytes();
        assert!(held <= LEAST_ROOM.max(2 * come), "{held} bytes are held of {come}");
        assert_eq!(buffer.unfinished_len().is_some(), come > 0);
    }
    Seen { frames, end: Ok(buffer.unfinished_len()) }
}

/// What `docs/protocol.md` says under "Frames".
fn documented(mut rest: &[u8], accept: Accept) -> Seen {
    let mut frames = Vec::new();
    loop {
        match documented_frame(rest, accept) {
            Ok(Ok((kind, payload, after))) => {
                frames.push((kind, payload.to_vec()));
                rest = after;
            }
            Ok(Err(unfinished)) => return Seen { frames, end: Ok(unfinished) },
            Err(code) => return Seen { frames, end: Err(code) },
        }
    }
}

/// A frame's kind and payload and what follows it; or how long the frame will be that is not whole.
type Begun<'a> = Result<(u8, &'a [u8], &'a [u8]), Option<usize>>;

fn documented_frame(rest: &[u8], accept: Accept) -> Result<Begun<'_>, Code> {
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
    let spoken = match kind {
        1 | 8 => 1,
        2..=9 | 0x80.. => accept.version,
        _ => return Err(Code::UnknownKind),
    };
    if version != spoken {
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
