//! Properties of all messages, byte strings and ways to split a stream.

use fleetgauge_proto::frame::Header;
use fleetgauge_proto::limits::MAX_TEXT_BYTES;
use fleetgauge_proto::message::{self, Family, Label};
use fleetgauge_proto::{
    AgentId, Catalog, Code, FrameBuffer, Limits, Message, StaticLabels, Streams, Violation,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::cases::raw;
use crate::context::Context;
use crate::receiver::receive_code;
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
        Just(b"FG\x01\x06\x01\x00\x00\x01".to_vec()),
        Just(b"FG\x01\x05\x00\x00\xff\x00".to_vec()),
        Just(b"FG\x01\x05\x00\x01\x00\x00FG".to_vec()),
    ];
    (vec(strategies::message(), 0..4), tail).prop_map(|(messages, tail)| {
        let mut stream: Vec<u8> = messages.iter().flat_map(|message| message.frame()).collect();
        stream.extend(tail);
        stream
    })
}

fn kind() -> impl Strategy<Value = u8> {
    prop_oneof![8 => 1..=10u8, 1 => any::<u8>()]
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

proptest! {
    #[test]
    fn every_message_round_trips(message in strategies::message()) {
        let frame = message.frame();
        let mut buffer = FrameBuffer::default();
        let mut input = &frame[..];
        let accept = Context::default().accept();
        let got = buffer.next(&mut input, accept).expect("legal").expect("complete");
        prop_assert_eq!(got.header.len as usize, got.payload.len());
        let decoded = Message::decode_with(got, Streams::LiveAndReplay).expect("legal");
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
        let mut message =
            message::Catalog { stream: 0, slot: 0, families: vec![family], tables: vec![] };
        let with_family = Catalog::try_new(&message, &Limits::default());
        message.families.clear();
        let column = message::Column {
            family: 0, width: 1, decimals: 0, parameters: vec![], labels: vec![],
        };
        let row_labels = vec![&*name, &*name];
        message.tables.push(message::Table { row_labels, columns: vec![column] });
        let with_table = Catalog::try_new(&message, &Limits::default());
        for refused in [
            AgentId::try_new(&name).err(),
            StaticLabels::try_new(&label).err(),
            with_family.err(),
            with_table.err(),
        ] {
            let text = refused.map_or_else(String::new, |violation| violation.to_string());
            prop_assert!(text.len() <= MAX_TEXT_BYTES, "{}", text);
        }
    }

    #[test]
    fn only_names_of_metrics_may_have_colons(name in "[a-zA-Z0-9_:.é-]{0,4}", kind in 0..9u8) {
        let is_legal = |also: &str| {
            let is_mark = |c: char| c == '_' || also.contains(c);
            name.chars().all(|c| c.is_ascii_alphanumeric() || is_mark(c))
                && name.starts_with(|c: char| !c.is_ascii_digit())
        };
        let family = Family { name: &name, kind, unit: "", help: "" };
        let (width, parameters) = (1 + u32::from([3, 4].contains(&kind)), vec![]);
        let column = message::Column { family: 0, width, decimals: 0, parameters, labels: vec![] };
        let table = message::Table { row_labels: vec![], columns: vec![column] };
        let mut catalog =
            message::Catalog { stream: 0, slot: 0, families: vec![family], tables: vec![table] };
        let found = Catalog::try_new(&catalog, &Limits::default()).map(drop);
        prop_assert_eq!(found.map_err(|violation| violation.code()), match is_legal(":") {
            true => Ok(()),
            false => Err(Code::BadMetricName),
        });
        catalog.families[0].name = "metric";
        catalog.tables[0].row_labels = vec![&name];
        let found = Catalog::try_new(&catalog, &Limits::default()).map(drop);
        prop_assert_eq!(found.map_err(|violation| violation.code()), match is_legal("") {
            true if name.starts_with("__") => Err(Code::ReservedLabel),
            true => Ok(()),
            false => Err(Code::BadLabelName),
        });
    }

    #[test]
    fn names_of_labels_are_reserved_where_the_collector_would_add_them(
        name in select(&["agent", "client_no", "job", "instance", "le", "quantile", "__a", "a"][..]),
        kind in 0..9u8,
        place in 0..3usize,
        value in select(&["", "1"][..]),
    ) {
        let is_always_reserved = ["agent", "client_no", "__a"].contains(&name);
        let is_added = (name, kind) == ("le", 3) || (name, kind) == ("quantile", 4);
        let label = Label { name, value };
        let (found, is_reserved) = if place == 0 {
            (StaticLabels::try_new(&[label]).map(drop), name != "a")
        } else {
            let width = 1 + u32::from([3, 4].contains(&kind));
            let (row_labels, labels) =
                if place == 1 { (vec![name], vec![]) } else { (vec![], vec![label]) };
            let column = message::Column { family: 0, width, decimals: 0, parameters: vec![], labels };
            let table = message::Table { row_labels, columns: vec![column] };
            let family = Family { name: "b", kind, unit: "", help: "" };
            let catalog =
                message::Catalog { stream: 0, slot: 0, families: vec![family], tables: vec![table] };
            let found = Catalog::try_new(&catalog, &Limits::default()).map(drop);
            (found, is_always_reserved || is_added)
        };
        let expected = if is_reserved { Err(Code::ReservedLabel) } else { Ok(()) };
        prop_assert_eq!(found.map_err(|violation| violation.code()), expected);
    }

    #[test]
    fn any_bytes_are_frames_or_a_violation(bytes in vec(any::<u8>(), 0..300)) {
        let _ = receive_code(&bytes, &mut Context::default());
    }

    #[test]
    fn any_payload_is_a_message_or_a_violation(kind in kind(), payload in payload()) {
        let mut context = Context::of_nine_values();
        let _ = receive_code(&raw(kind, &payload), &mut context);
    }

    #[test]
    fn a_mutated_frame_is_a_message_or_a_violation(
        message in strategies::message(),
        mutations in vec(mutation(), 1..4),
    ) {
        let frame = message.frame();
        let mut context = Context::of_nine_values();
        let payload = mutated(frame[8..].to_vec(), &mutations);
        let _ = receive_code(&raw(frame[3], &payload), &mut context);
        let _ = receive_code(&mutated(frame, &mutations), &mut context);
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
            let code = receive_code(&raw(6, &payload), &mut Context::default());
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
}
