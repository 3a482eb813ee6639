//! Every payload decodes to a message or is refused, and a message encodes to the same bytes again.
//!
//! wincode, an independent implementation of the encoding that shares only the order of the fields,
//! agrees on which payloads are messages.

use ::wincode::config::{self, Configuration};
use fleetgauge_proto::message::{Hello, Label};
use fleetgauge_proto::{
    Accept, AgentId, Code, FrameBuffer, Message, StaticLabels, Streams, VERSION, Violation, limits,
};

use crate::owned::Owned;

/// Checks one payload. The first byte of the input is the frame's kind, the others are the payload.
pub fn check(data: &[u8]) {
    let Some((kind, payload)) = data.split_first() else { return };
    let Ok(len) = u32::try_from(payload.len()) else { return };
    let mut frame = vec![b'F', b'G', VERSION, *kind, 0, 0, 0, 0];
    frame[4..7].copy_from_slice(&len.to_le_bytes()[..3]);
    frame.extend_from_slice(payload);
    let accept = Accept { version: VERSION, max_payload_bytes: limits::MAX_PAYLOAD_BYTES };
    let mut buffer = FrameBuffer::default();
    let Ok(Some(received)) = buffer.next(&mut &frame[..], accept) else { return };
    let second = decode_with_wincode(*kind, payload);
    match Message::decode_with(received, Streams::LiveAndReplay) {
        Ok(Message::Skipped(skipped)) => assert_eq!(skipped, *kind),
        Ok(message) => {
            assert_eq!(encoded(&message), frame, "not canonical: {message:?}");
            let second = second.expect("wincode refuses a message");
            assert_eq!(second.frame(), frame, "wincode decodes another message");
            if let Message::Hello(hello) = &message {
                check_names(hello);
            }
        }
        Err(violation) => {
            let text = violation.to_string();
            assert!(text.len() <= limits::MAX_TEXT_BYTES, "{text:?} does not fit a Reject");
            assert!(second.is_none() || is_about_contents(&violation), "{text}, {second:?}");
        }
    }
}

fn encoded(message: &Message<'_>) -> Vec<u8> {
    let mut frame = Vec::new();
    message.encode(VERSION, &mut frame).unwrap();
    frame
}

/// Decodes a message with wincode; `None` if the payload is not its canonical encoding.
fn decode_with_wincode(kind: u8, payload: &[u8]) -> Option<Owned> {
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
    read!(1 Hello 2 Welcome 3 Catalog 4 Rows 5 Report 6 Ping 7 Pong 8 Drain 9 Reject 10 Bye
        11 Acknowledge 12 Resend)
}

/// Whether a payload was refused for its contents, which wincode does not check.
fn is_about_contents(violation: &Violation) -> bool {
    match violation {
        Violation::BadStream { .. }
        | Violation::BadExtension
        | Violation::BadLogExtension { .. }
        | Violation::BadHello { .. }
        | Violation::BadRow { .. } => true,
        Violation::MalformedPayload { what } => *what == "has a text that is too long",
        _ => false,
    }
}

/// Checks that exactly the documented ids and labels are valid.
fn check_names(hello: &Hello<'_>) {
    let id = hello.agent_id;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._:-".contains(c);
    let legal = matches!(id.len(), 1..=128) && id.chars().all(allowed) && id != "." && id != "..";
    assert_eq!(AgentId::try_new(id).is_ok(), legal, "{id:?}");
    let labels = StaticLabels::try_new(&hello.labels);
    let code = labels.as_ref().map(drop).map_err(Violation::code);
    assert_eq!(code, static_labels_code(&hello.labels), "{:?}", hello.labels);
    let Ok(labels) = labels else { return };
    let mut shown: Vec<_> = hello.labels.iter().filter(|label| !label.value.is_empty()).collect();
    shown.sort_by_key(|label| label.name);
    let shown: Vec<_> = shown.iter().map(|label| (label.name, label.value)).collect();
    assert_eq!(labels.iter().collect::<Vec<_>>(), shown);
}

/// Checks labels of an agent as "Labels" and "The order of checks" in `docs/protocol.md` specify.
fn static_labels_code(labels: &[Label<'_>]) -> Result<(), Code> {
    labels_code(labels, &["instance", "job", "le", "quantile"])
}

/// Checks labels as "Labels" and "The order of checks" in `docs/protocol.md` specify. `reserved`
/// are
/// the names that are reserved only on these labels.
pub(crate) fn labels_code(labels: &[Label<'_>], reserved: &[&str]) -> Result<(), Code> {
    if labels.iter().filter(|label| !label.value.is_empty()).count() > 32 {
        return Err(Code::TooManyLabels);
    }
    for label in labels {
        label_name_code(label.name)?;
        if reserved.contains(&label.name) {
            return Err(Code::ReservedLabel);
        }
        if label.value.len() > 1024 {
            return Err(Code::LabelTooLong);
        }
    }
    let names: std::collections::BTreeSet<_> = labels.iter().map(|label| label.name).collect();
    if names.len() == labels.len() { Ok(()) } else { Err(Code::DuplicateLabel) }
}

/// Checks the name of any label as "Labels" in `docs/protocol.md` specifies.
pub(crate) fn label_name_code(name: &str) -> Result<(), Code> {
    match name {
        _ if !is_name(name) => Err(Code::BadLabelName),
        "agent" | "client_no" => Err(Code::ReservedLabel),
        _ if name.starts_with("__") => Err(Code::ReservedLabel),
        _ => Ok(()),
    }
}

/// Whether a metric name is valid according to "Names" in `docs/protocol.md`.
pub(crate) fn is_metric_name(name: &str) -> bool {
    is_name(&name.replace(':', "_"))
}

/// Whether a label name or a unit is valid according to "Names" in `docs/protocol.md`.
pub(crate) fn is_name(name: &str) -> bool {
    matches!(name.len(), 1..=200)
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
