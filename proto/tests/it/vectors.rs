//! Compares the committed frames of `vectors/v1` with their JSON and with the code that generates
//! them.
//!
//! `REGENERATE_VECTORS=1 cargo test -p fleetgauge-proto match_the_generator` writes the files again
//! from [`crate::cases`]. Review the difference: version 1 never changes, so files may be added but
//! not changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fleetgauge_proto::{Code, Fingerprint, FrameBuffer, Message};
use serde_json::{Value, json};

use crate::cases;
use crate::context::Context;
use crate::json::{hex, to_json, unhex};
use crate::receiver::{receive, receive_code};

/// A committed test vector.
struct Vector {
    name: String,
    bytes: Vec<u8>,
    expected: Value,
}

#[test]
fn accepted_frames_decode_to_their_json_and_encode_to_the_same_bytes() {
    for Vector { name, bytes, expected } in committed("accepted") {
        let mut context = Context::from_json(&expected["context"]);
        assert_eq!(receive(&bytes, &mut context), Ok(1), "{name}");
        assert_eq!(context.after(), expected["after"], "{name}");
        let mut buffer = FrameBuffer::default();
        let mut input = &bytes[..];
        let frame = buffer.next(&mut input, context.accept()).expect(&name).expect(&name);
        let message = Message::decode_with(frame, context.streams).expect(&name);
        let found = to_json(&message, frame.payload);
        for key in ["kind", "fields", "fingerprint"] {
            assert_eq!(found[key], expected[key], "{name}: {key}");
        }
        if !matches!(message, Message::Skipped(_)) {
            let mut again = Vec::new();
            message.encode(1, &mut again).expect(&name);
            assert_eq!(hex(&again), hex(&bytes), "{name}");
        }
    }
}

#[test]
fn rejected_bytes_return_the_code_of_their_json() {
    for Vector { name, bytes, expected } in committed("rejected") {
        let code = receive_code(&bytes, &mut Context::from_json(&expected["context"]));
        let code = code.expect_err(&name);
        assert_eq!(expected["reason"], code.reason(), "{name}");
        assert_eq!(expected["code"], code.to_u16(), "{name}");
    }
}

#[test]
fn fingerprint_depends_on_neither_slot_nor_unchecked_stream() {
    let payload = |name| {
        unhex(&read(&file(if name == "catalog" { "accepted" } else { "rejected" }, name, "hex")))
    };
    let in_slot = |slot| {
        let mut payload = payload("catalog")[8..].to_vec();
        payload[1] = slot;
        Fingerprint::of_payload(&payload).expect("a catalog")
    };
    assert_eq!(in_slot(0), in_slot(15));
    for name in ["stream_of_catalog", "long_stream_of_catalog"] {
        let refused = Fingerprint::of_payload(&payload(name)[8..]).expect_err(name);
        assert_eq!(
            Some(refused.code()),
            receive(&payload(name), &mut Context::default()).err().map(|v| v.code())
        );
    }
}

#[test]
fn every_kind_and_every_stateless_code_has_a_vector() {
    let text = |json: &Value, key: &str| json[key].as_str().expect("a string").to_owned();
    let kinds: BTreeSet<_> =
        committed("accepted").iter().map(|v| text(&v.expected, "kind")).collect();
    for kind in
        "Hello Welcome Catalog Rows Report Ping Pong Drain Reject Bye Acknowledge Resend skippable"
            .split_ascii_whitespace()
    {
        assert!(kinds.contains(kind), "no accepted vector of kind {kind}");
    }
    let reasons: BTreeSet<_> =
        committed("rejected").iter().map(|v| text(&v.expected, "reason")).collect();
    let needs_a_session = |code: &&Code| {
        use Code::{
            LabelNotAllowed, PageTooLarge, SequenceNotRising, TooManyRowChanges, UnexpectedFrame,
            UnknownTable,
        };
        let rules = [
            UnexpectedFrame,
            SequenceNotRising,
            LabelNotAllowed,
            PageTooLarge,
            TooManyRowChanges,
            UnknownTable,
        ];
        rules.contains(code) || code.to_u16() >= Code::HelloTimeout.to_u16()
    };
    for code in Code::ALL.iter().filter(|code| !needs_a_session(code)) {
        assert!(reasons.contains(code.reason()), "no rejected vector of code {code}");
    }
}

#[test]
fn committed_vectors_match_the_generator() {
    let mut generated = BTreeSet::new();
    let mut check = |side: &str, name: &str, bytes: &[u8], json: &Value| {
        assert!(generated.insert(format!("{side}/{name}")), "two vectors are called {name}");
        let (hex_file, json_file) = (file(side, name, "hex"), file(side, name, "json"));
        if std::env::var_os("REGENERATE_VECTORS").is_some() {
            std::fs::write(&hex_file, wrapped(bytes)).expect("a vector is written");
            let pretty = serde_json::to_string_pretty(json).expect("JSON") + "\n";
            std::fs::write(&json_file, pretty).expect("a vector is written");
        }
        assert_eq!(read(&hex_file), wrapped(bytes), "{name}");
        assert_eq!(&parse(&json_file), json, "{name}");
    };
    for case in cases::accepted() {
        let mut buffer = FrameBuffer::default();
        let mut input = &case.frame[..];
        let accept = Context::default().accept();
        let frame = buffer.next(&mut input, accept).expect(case.name).expect(case.name);
        let streams = Context::from_json(&case.context).streams;
        let message = Message::decode_with(frame, streams).expect(case.name);
        let mut json = to_json(&message, frame.payload);
        json["note"] = json!(case.note);
        if case.context != json!({}) {
            let mut context = Context::from_json(&case.context);
            assert_eq!(receive(&case.frame, &mut context), Ok(1), "{}", case.name);
            if !context.after().is_null() {
                json["after"] = context.after();
            }
            json["context"] = case.context;
        }
        check("accepted", case.name, &case.frame, &json);
    }
    for case in cases::rejected() {
        let (code, reason) = (case.code.to_u16(), case.code.reason());
        let mut json = json!({"code": code, "reason": reason, "why": case.why});
        if case.context != json!({}) {
            json["context"] = case.context;
        }
        check("rejected", case.name, &case.bytes, &json);
    }
    let found: BTreeSet<_> = ["accepted", "rejected"]
        .iter()
        .flat_map(|side| committed(side).into_iter().map(move |v| format!("{side}/{}", v.name)))
        .collect();
    assert_eq!(found, generated);
}

fn committed(side: &str) -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/v1").join(side);
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the vectors are there") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "hex") {
            let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
            let bytes = unhex(&read(&path));
            all.push(Vector { name, bytes, expected: parse(&path.with_extension("json")) });
        }
    }
    assert!(!all.is_empty(), "no vectors");
    all
}

fn file(side: &str, name: &str, extension: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("vectors/v1/{side}/{name}.{extension}"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn parse(path: &Path) -> Value {
    serde_json::from_str(&read(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns `bytes` as hexadecimal digits, 16 bytes a line.
fn wrapped(bytes: &[u8]) -> String {
    bytes.chunks(16).map(|line| hex(line) + "\n").collect()
}
