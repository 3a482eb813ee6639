//! A payload is a message or a refusal; a message is written again as the same bytes; and a second
//! implementation of the encoding, which shares nothing with the first but the order of the fields,
//! agrees on which payloads are messages.

use ::wincode::config::{self, Configuration};
use fleetgauge_proto::message::{Hello, Label};
use fleetgauge_proto::{
    Accept, AgentId, FrameBuffer, Message, StaticLabels, VERSION, Violation, limits,
};

use self::owned::Owned;

#[path = "../../proto/tests/it/owned.rs"]
mod owned;

/// The first byte is the frame's kind, the others are its payload.
pub fn check(data: &[u8]) {
    let Some((kind, payload)) = data.split_first() else { return };
    let Ok(len) = u32::try_from(payload.len()) else { return };
    let mut frame = vec![b'F', b'G', VERSION, *kind, 0, 0, 0, 0];
    frame[4..7].copy_from_slice(&len.to_le_bytes()[..3]);
    frame.extend_from_slice(payload);
    let accept = Accept { version: VERSION, max_payload_bytes: limits::MAX_PAYLOAD_BYTES };
    let mut buffer = FrameBuffer::default();
    let Ok(Some(received)) = buffer.next(&mut &frame[..], accept) else { return };
    let second = second_opinion(*kind, payload);
    match Message::decode(received) {
        Ok(Message::Skipped(skipped)) => assert_eq!(skipped, *kind),
        Ok(message) => {
            assert_eq!(written(&message), frame, "equal meanings are equal bytes: {message:?}");
            let second = second.expect("wincode reads it, too");
            assert_eq!(second.frame(), frame, "and finds the same in it");
            if let Message::Hello(hello) = &message {
                check_names(hello);
            }
        }
        Err(violation) => {
            let text = violation.to_string();
            assert!(text.len() <= limits::MAX_TEXT_BYTES, "{text:?} does not fit a Reject");
            assert!(second.is_none() || is_about_meaning(&violation), "{text}, {second:?}");
        }
    }
}

fn written(message: &Message<'_>) -> Vec<u8> {
    let mut frame = Vec::new();
    message.encode(VERSION, &mut frame).unwrap();
    frame
}

/// The message as wincode reads it, if the payload is its only encoding.
fn second_opinion(kind: u8, payload: &[u8]) -> Option<Owned> {
    let encoding = Configuration::default().with_varint_encoding();
    macro_rules! read {
        ($($number:literal $variant:ident)*) => {
            match kind {
                $($number => {
                    let message = config::deserialize_exact(payload, encoding).ok()?;
                    let again = config::serialize(&message, encoding).unwrap();
                    (again == payload).then_some(Owned::$variant(message))
                })*
                _ => None,
            }
        };
    }
    read!(1 Hello 2 Welcome 3 Schema 4 Report 5 Ping 6 Pong 7 Drain 8 Reject 9 Bye)
}

/// Refused for what it says, and not for how it says it.
fn is_about_meaning(violation: &Violation) -> bool {
    match violation {
        Violation::BadStream { .. } | Violation::BadExtension | Violation::BadHello { .. } => true,
        Violation::MalformedPayload { what } => *what == "has a text that is too long",
        _ => false,
    }
}

/// Ids and labels are legal exactly if the document says so.
fn check_names(hello: &Hello<'_>) {
    let id = hello.agent_id;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._:-".contains(c);
    let legal = matches!(id.len(), 1..=128) && id.chars().all(allowed) && id != "." && id != "..";
    assert_eq!(AgentId::try_new(id).is_ok(), legal, "{id:?}");
    let labels = StaticLabels::try_new(&hello.labels);
    assert_eq!(labels.is_ok(), labels_are_legal(&hello.labels), "{:?}", hello.labels);
    let Ok(labels) = labels else { return };
    let mut told: Vec<_> = hello.labels.iter().filter(|label| !label.value.is_empty()).collect();
    told.sort_by_key(|label| label.name);
    let told: Vec<_> = told.iter().map(|label| (label.name, label.value)).collect();
    assert_eq!(labels.iter().collect::<Vec<_>>(), told);
}

/// `docs/protocol.md`, "Labels".
pub(crate) fn labels_are_legal(labels: &[Label<'_>]) -> bool {
    const RESERVED: [&str; 6] = ["agent", "client_no", "instance", "job", "le", "quantile"];
    let legal = |label: &Label<'_>| {
        is_name(label.name)
            && !RESERVED.contains(&label.name)
            && !label.name.starts_with("__")
            && label.value.len() <= 1024
    };
    let names: std::collections::BTreeSet<_> = labels.iter().map(|label| label.name).collect();
    let told = labels.iter().filter(|label| !label.value.is_empty()).count();
    told <= 32 && labels.iter().all(legal) && names.len() == labels.len()
}

/// `docs/protocol.md`, "Names".
pub(crate) fn is_name(name: &str) -> bool {
    matches!(name.len(), 1..=200)
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
