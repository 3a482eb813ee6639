//! Compares `docs/protocol.md` with the code: worked examples, limits, codes and other numbers.

use std::collections::{BTreeMap, BTreeSet};

use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::message::ByeReason;
use fleetgauge_proto::{
    Accept, Code, FrameBuffer, Kind, Limits, Message, Streams, capability, limits, message, stream,
};

use crate::cases;
use crate::context::Context;
use crate::json::{hex, unhex};

const PAGE: &str = include_str!("../../../docs/protocol.md");

/// Returns the worked examples on the page: vector name and bytes.
fn examples() -> Vec<(&'static str, Vec<u8>)> {
    let mut examples = Vec::new();
    for block in PAGE.split("```hex ").skip(1) {
        let block = block.split("```").next().expect("the block");
        let (name, lines) = block.split_once('\n').expect("lines");
        let bytes = |line: &'static str| {
            let (bytes, remark) = line.split_once("  ").expect("bytes, two spaces, a remark");
            assert!(!remark.trim().is_empty(), "{line}");
            unhex(bytes)
        };
        examples.push((name.trim(), lines.lines().flat_map(bytes).collect()));
    }
    examples
}

#[test]
fn worked_examples_match_their_vectors_and_decode() {
    let vectors: BTreeMap<_, _> =
        cases::accepted().into_iter().map(|case| (case.name, case.frame)).collect();
    let mut kinds = BTreeSet::new();
    for (name, bytes) in examples() {
        let vector = vectors.get(name).unwrap_or_else(|| panic!("there is no vector {name}"));
        assert_eq!(hex(&bytes), hex(vector), "{name}");
        let accept: Accept = Context::default().accept();
        let (mut buffer, mut input) = (FrameBuffer::default(), &bytes[..]);
        let frame = buffer.next(&mut input, accept).expect(name).expect(name);
        let message = Message::decode_with(frame, Streams::LiveAndReplay).expect(name);
        kinds.insert(message.kind().to_u8().min(0x80));
        assert!(input.is_empty(), "{name}");
    }
    assert_eq!(kinds, (1..=12).chain([0x80]).collect(), "kinds that have an example");
}

#[test]
fn codes_are_unique_and_documented() {
    let numbers: BTreeSet<_> = Code::ALL.iter().map(|code| code.to_u16()).collect();
    let reasons: BTreeSet<_> = Code::ALL.iter().map(|code| code.reason()).collect();
    assert_eq!((numbers.len(), reasons.len()), (Code::ALL.len(), Code::ALL.len()));
    for code in Code::ALL {
        assert_eq!(Code::from_u16(code.to_u16()), Some(*code));
        let row = format!("\n| {} | `{}` | {} | ", code.to_u16(), code.reason(), code.meaning());
        assert!(PAGE.contains(&row), "docs/protocol.md has no row{row}");
    }
    let (_, codes) = PAGE.split_once("\n## Codes\n").expect("the codes");
    let (codes, _) = codes.split_once("\n## ").expect("the next part");
    let rows = codes.lines().filter(|line| line.starts_with("| ") && !line.contains("| number |"));
    assert_eq!(rows.count(), Code::ALL.len(), "rows for codes that do not exist");
}

#[test]
fn other_numbers_are_documented() {
    let (_, numbers) = PAGE.split_once("\n## Other numbers\n").expect("the numbers");
    let (numbers, _) = numbers.split_once("\n## ").expect("the next part");
    let row = |row: String| assert!(numbers.contains(&row), "docs/protocol.md has no row{row}");
    let kinds = [
        Kind::Hello,
        Kind::Welcome,
        Kind::Catalog,
        Kind::Rows,
        Kind::Report,
        Kind::Ping,
        Kind::Pong,
        Kind::Drain,
        Kind::Reject,
        Kind::Bye,
        Kind::Acknowledge,
        Kind::Resend,
    ];
    for kind in kinds {
        row(format!("\n| `{:02x}` | {kind} | ", kind.to_u8()));
    }
    let family_kinds =
        (0..=u8::MAX).filter_map(|number| Some((number, FamilyKind::from_u8(number)?)));
    for (number, kind) in family_kinds {
        let name = match kind {
            FamilyKind::CounterAsNamed => "counter, named as is".to_owned(),
            other => format!("{other:?}").to_lowercase(),
        };
        row(format!("\n| {number} | {name} | 1 |"));
    }
    row(format!("\n| {} | acknowledgements", capability::ACKNOWLEDGEMENTS.trailing_zeros()));
    row(format!("\n| {} | replay", capability::REPLAY.trailing_zeros()));
    row(format!("\n| {} | in Welcome: ", message::PINNED_LABELS));
    row(format!("\n| {} | in Hello: ", message::LOG));
    row(format!("\n| {} | the newest values", stream::LIVE));
    row(format!("\n| {} | reports of the log", stream::REPLAY));
    for reason in [ByeReason::Stopping, ByeReason::Drained, ByeReason::Reconfigured] {
        row(format!("\n| {} | {} | 1 |", reason as u8, format!("{reason:?}").to_lowercase()));
    }
}

#[test]
fn documented_limits_match_the_constants() {
    let Limits { max_payload_bytes, max_families, max_series, max_values, max_label_bytes } =
        Limits::default();
    let row = |what: &str, number: u64| {
        let digits = number.to_string();
        let groups: Vec<_> =
            digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
        let row = format!("\n| {what} | {} | ", groups.join(","));
        assert!(PAGE.contains(&row), "docs/protocol.md has no row{row}");
    };
    row("Hello, and every frame of a collector", limits::MAX_HELLO_BYTES.into());
    assert_eq!(limits::MAX_HELLO_BYTES, limits::MAX_FROM_COLLECTOR_BYTES);
    row("any frame", limits::MAX_PAYLOAD_BYTES.into());
    row("agent id", limits::MAX_AGENT_ID_BYTES as u64);
    row("metric name, unit, label name", limits::MAX_NAME_BYTES as u64);
    row("label value", limits::MAX_LABEL_VALUE_BYTES as u64);
    row("labels of an agent; of a column; of a row", limits::MAX_LABELS as u64);
    row("catalogs of an agent", limits::MAX_CATALOGS as u64);
    row("decimal places of a column", limits::MAX_DECIMALS.into());
    row("help", limits::MAX_HELP_BYTES as u64);
    row("parameters of a column", limits::MAX_PARAMETERS as u64);
    row("width of a column", limits::MAX_WIDTH.into());
    row("extensions of a message", limits::MAX_EXTENSIONS as u64);
    row("text of a Reject", limits::MAX_TEXT_BYTES as u64);
    row("agent version", limits::MAX_VERSION_BYTES as u64);
    row("credential", limits::MAX_CREDENTIAL_BYTES as u64);
    row("`max_payload_bytes`", max_payload_bytes.into());
    row("`max_families`", max_families.into());
    row("`max_series`", max_series.into());
    row("`max_values`", max_values.into());
    row("`max_label_bytes`", max_label_bytes.into());
    assert_eq!((limits::MIN_INTERVAL_MS, limits::MAX_INTERVAL_MS), (1_000, 300_000));
}
