//! Properties of all messages, byte strings and ways to split a stream.

use fleetgauge_proto::frame::Header;
use fleetgauge_proto::limits::MAX_TEXT_BYTES;
use fleetgauge_proto::message::{self, Family, Label};
use fleetgauge_proto::report::{ABSENT, Values, is_absent, write_all, write_changed};
use fleetgauge_proto::{
    AgentId, Code, FrameBuffer, Limits, Message, StaticLabels, Violation, schema,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::cases::raw;
use crate::receiver::{Context, receive_code};
use crate::strategies;

/// The frames of a stream, then the error or the length of the incomplete frame.
type Received = (Vec<(Header, Vec<u8>)>, Result<Option<usize>, Violation>);

/// Reads a stream that arrives in `pieces`.
fn received<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Received {
    let accept = Context::default().accept();
    let mut buffer = FrameBuffer::default();
    let mut frames = Vec::new();
    for mut piece in pieces {
        loop {
            match buffer.next(&mut piece, accept) {
                Ok(Some(frame)) => frames.push((frame.header, frame.payload.to_vec())),
                Ok(None) => break,
                Err(violation) => return (frames, Err(violation)),
            }
        }
        assert!(piece.is_empty(), "None means that all input is consumed");
    }
    let unfinished = buffer.unfinished_len();
    (frames, Ok(unfinished))
}

/// A byte stream: a few frames, then possibly random bytes or an incomplete frame.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let tail = prop_oneof![
        Just(vec![]),
        vec(any::<u8>(), 1..20),
        Just(b"FG\x01\x05\x01\x00\x00\x01".to_vec()),
        Just(b"FG\x01\x04\x00\x00\xff\x00".to_vec()),
        Just(b"FG\x01\x04\x00\x01\x00\x00FG".to_vec()),
    ];
    (vec(strategies::message(), 0..4), tail).prop_map(|(messages, tail)| {
        let mut stream: Vec<u8> = messages.iter().flat_map(|message| message.frame()).collect();
        stream.extend(tail);
        stream
    })
}

fn kind() -> impl Strategy<Value = u8> {
    prop_oneof![8 => 1..=9u8, 1 => any::<u8>()]
}

/// A payload of bytes that are frequent in payloads, so that decoding gets beyond the first field.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => 0..4u8, 1 => 0xfa..=0xffu8, 1 => any::<u8>()];
    vec(byte, 0..64)
}

/// A mutation of a payload.
#[derive(Debug, Clone)]
enum Mutation {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index),
    Cut(Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let odd = prop_oneof![select(vec![0, 1, 2, 0x7f, 0x80, 251, 252, 253, 254, 255]), any::<u8>()];
    prop_oneof![
        (any::<Index>(), odd.clone()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (any::<Index>(), vec(odd, 1..9)).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        any::<Index>().prop_map(Mutation::Remove),
        any::<Index>().prop_map(Mutation::Cut),
    ]
}

/// Applies mutations to a payload, which stays at least one byte long.
fn mutated(mut payload: Vec<u8>, mutations: &[Mutation]) -> Vec<u8> {
    for mutation in mutations {
        let len = payload.len();
        match mutation {
            Mutation::Set(at, byte) => payload[at.index(len)] = *byte,
            Mutation::Insert(at, bytes) => {
                let at = at.index(len);
                payload.splice(at..at, bytes.iter().copied());
            }
            Mutation::Remove(at) if len > 1 => drop(payload.remove(at.index(len))),
            Mutation::Cut(at) => payload.truncate(at.index(len).max(1)),
            Mutation::Remove(_) => {}
        }
    }
    payload
}

/// Floats with random bits; special values are more frequent.
fn float() -> impl Strategy<Value = f64> {
    let special = select(vec![
        ABSENT,
        f64::NAN,
        f64::from_bits(0x7ff0_0000_0000_0001),
        f64::from_bits(0xfff0_0000_0000_0002),
        f64::from_bits(u64::MAX),
        0.0,
        -0.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ]);
    prop_oneof![special, any::<u64>().prop_map(f64::from_bits)]
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Returns the bits that a receiver stores: absent, the canonical NaN, or the bits that were sent.
fn stored(values: &[f64]) -> Vec<u64> {
    let stored = |value: &f64| match value {
        value if is_absent(*value) => 0x7ff0_0000_0000_0002,
        value if value.is_nan() => 0x7ff8_0000_0000_0000,
        value => value.to_bits(),
    };
    values.iter().map(stored).collect()
}

proptest! {
    #[test]
    fn every_message_round_trips(message in strategies::message()) {
        let frame = message.frame();
        let mut buffer = FrameBuffer::default();
        let mut input = &frame[..];
        let accept = Context::default().accept();
        let got = buffer.next(&mut input, accept).expect("legal").expect("complete");
        prop_assert_eq!(got.header.len as usize, got.payload.len());
        let decoded = Message::decode(got).expect("legal");
        prop_assert_eq!(decoded.kind(), message.borrowed().kind());
        prop_assert_eq!(&decoded, &message.borrowed());
        let mut again = Vec::new();
        decoded.encode(1, &mut again).expect("fits");
        prop_assert_eq!(&again, &frame);
        prop_assert!(input.is_empty());
    }

    #[test]
    fn violation_text_of_any_name_fits_a_reject(name in vec(any::<char>(), 0..300)) {
        let name = String::from_iter(name);
        let label = [Label { name: &name, value: "" }];
        let family = Family { name: &name, kind: 1, unit: &name, help: "" };
        let schema = schema::Schema::try_new(
            &message::Schema { stream: 0, families: vec![family], series: vec![] },
            &Limits::default(),
        );
        for refused in [
            AgentId::try_new(&name).err(),
            StaticLabels::try_new(&label).err(),
            schema.err(),
        ] {
            let text = refused.map_or_else(String::new, |violation| violation.to_string());
            prop_assert!(text.len() <= MAX_TEXT_BYTES, "{}", text);
        }
    }

    #[test]
    fn any_bytes_are_frames_or_a_violation(bytes in vec(any::<u8>(), 0..300)) {
        let _ = receive_code(&bytes, &Context::default());
    }

    #[test]
    fn any_payload_is_a_message_or_a_violation(kind in kind(), payload in payload()) {
        let context = Context { width: Some(9), ..Context::default() };
        let _ = receive_code(&raw(kind, &payload), &context);
    }

    #[test]
    fn a_mutated_frame_is_a_message_or_a_violation(
        message in strategies::message(),
        mutations in vec(mutation(), 1..4),
    ) {
        let frame = message.frame();
        let context = Context { width: Some(9), ..Context::default() };
        let payload = mutated(frame[8..].to_vec(), &mutations);
        let _ = receive_code(&raw(frame[3], &payload), &context);
        let _ = receive_code(&mutated(frame, &mutations), &context);
    }

    #[test]
    fn a_non_minimal_integer_is_rejected(
        number in strategies::number(),
        wider in 0..3usize,
    ) {
        let forms = [(0xfb, 2), (0xfc, 4), (0xfd, 8)];
        let shortest = match number {
            0..=250 => 0,
            251..=0xffff => 1,
            0x1_0000..=0xffff_ffff => 2,
            _ => 3,
        };
        if let Some((tag, len)) = forms.get(shortest + wider) {
            let mut payload = vec![*tag];
            payload.extend(&number.to_le_bytes()[..*len]);
            let code = receive_code(&raw(5, &payload), &Context::default());
            prop_assert_eq!(code, Err(Code::NonMinimalInteger));
        }
    }

    #[test]
    fn a_stream_split_anywhere_gives_the_same_frames(stream in stream()) {
        let whole = received([&stream[..]]);
        for at in 0..=stream.len() {
            let (before, after) = stream.split_at(at);
            prop_assert_eq!(&received([before, after]), &whole, "cut at {}", at);
        }
        prop_assert_eq!(&received(stream.chunks(1)), &whole, "byte by byte");
    }

    #[test]
    fn a_stream_split_many_times_gives_the_same_frames(
        stream in stream(),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
        prop_assert_eq!(received(pieces), received([&stream[..]]));
    }

    #[test]
    fn all_values_restore_the_row(row in vec(float(), 0..40)) {
        let mut bytes = Vec::new();
        write_all(&row, &mut bytes);
        let values = Values::All(&bytes);
        prop_assert_eq!(values.check(row.len()), Ok(()));
        let mut got = vec![1.0; row.len()];
        values.apply(&mut got);
        prop_assert_eq!(bits(&got), stored(&row));
    }

    #[test]
    fn changed_values_update_the_row(
        rows in vec((float(), float(), any::<bool>()), 0..40),
    ) {
        let before: Vec<f64> = rows.iter().map(|(before, _, _)| *before).collect();
        let now: Vec<f64> = rows
            .iter()
            .map(|(before, now, changed)| if *changed { *now } else { *before })
            .collect();
        let (mut bitmap, mut bytes) = (Vec::new(), Vec::new());
        write_changed(&before, &now, &mut bitmap, &mut bytes);
        let values = Values::Changed { bitmap: &bitmap, values: &bytes };
        prop_assert_eq!(values.check(now.len()), Ok(()));
        let differ = before.iter().zip(&now).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
        prop_assert_eq!(bytes.len(), differ * 8);
        let mut row: Vec<f64> = stored(&before).into_iter().map(f64::from_bits).collect();
        values.apply(&mut row);
        prop_assert_eq!(bits(&row), stored(&now));
    }

    #[test]
    fn check_accepts_exactly_the_matching_lengths(
        width in 0..40usize,
        mut bitmap in payload(),
        mut bytes in payload(),
        is_fitted in any::<bool>(),
    ) {
        let bit = |bitmap: &[u8], n: usize| bitmap[n / 8] >> (n % 8) & 1 == 1;
        if is_fitted {
            bitmap.resize(width.div_ceil(8), 0b0101_0101);
            if let (Some(last), used @ 1..) = (bitmap.last_mut(), width % 8) {
                *last &= (1 << used) - 1;
            }
            let changed = (0..width).filter(|n| bit(&bitmap, *n)).count();
            bytes.resize(8 * changed, 7);
        }
        let values = Values::Changed { bitmap: &bitmap, values: &bytes };
        let announced: Vec<_> = (0..bitmap.len() * 8).filter(|n| bit(&bitmap, *n)).collect();
        let fits = bitmap.len() == width.div_ceil(8)
            && announced.iter().all(|n| *n < width)
            && bytes.len() == 8 * announced.len();
        prop_assert!(fits || !is_fitted);
        prop_assert_eq!(values.check(width).is_ok(), fits);
        let mut row = vec![0.0; width];
        // Excess values are ignored.
        values.apply(&mut row);
        if fits {
            let mut expected = vec![0.0; width];
            for (n, value) in announced.iter().zip(bytes.chunks_exact(8)) {
                expected[*n] = f64::from_le_bytes(value.try_into().unwrap());
            }
            prop_assert_eq!(bits(&row), stored(&expected));
        }

        if is_fitted {
            bytes.resize(8 * width, 7);
        }
        prop_assert_eq!(Values::All(&bytes).check(width).is_ok(), bytes.len() == 8 * width);
        let mut row = vec![0.0; width];
        Values::All(&bytes).apply(&mut row);
        let all = bytes.chunks_exact(8).map(|value| f64::from_le_bytes(value.try_into().unwrap()));
        let expected: Vec<_> = all.chain(std::iter::repeat(0.0)).take(width).collect();
        prop_assert_eq!(bits(&row), stored(&expected));
    }
}
