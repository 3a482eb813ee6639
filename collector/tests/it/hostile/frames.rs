//! Attacks by the form of frames, and by frames where they do not belong.

use fleetgauge_proto::message::{Bye, Drain, Pong, Reject, Welcome};
use fleetgauge_proto::{Code, Limits, Message};

use super::{House, Stage, attacker, two_gauges};
use crate::support::frames::{bye, frame, ping, raw, report};

#[test]
fn garbage() {
    let mut house = House::new();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x02", b"{", &[0; 100], &[0xff; 9]] {
        house.refuses(Stage::Connected, bytes, Code::BadMagic);
        house.refuses(Stage::Reporting, bytes, Code::BadMagic);
    }
    // The beginning of TLS means something only as the first that is sent.
    house.refuses(Stage::Reporting, b"\x16\x03\x01\x02\x00", Code::BadMagic);
}

#[test]
fn wrong_magic() {
    let mut house = House::new();
    let mut hello = attacker().hello(&two_gauges());
    hello[1] = b'g';
    house.refuses(Stage::Connected, &hello, Code::BadMagic);
    house.refuses(Stage::Connected, b"Fg", Code::BadMagic);
}

#[test]
fn future_version() {
    let mut house = House::new();
    let mut hello = attacker().hello(&two_gauges());
    hello[2] = 2;
    house.refuses(Stage::Connected, &hello, Code::UnsupportedVersion);
    let mut report = report(2, &[1.0, 2.0]);
    report[2] = 2;
    house.refuses(Stage::Reporting, &report, Code::UnsupportedVersion);
}

#[test]
fn nonzero_flags() {
    let mut house = House::new();
    let mut hello = attacker().hello(&two_gauges());
    hello[7] = 1;
    house.refuses(Stage::Connected, &hello, Code::BadFlags);
    let mut ping = ping(1);
    ping[7] = 0x80;
    house.refuses(Stage::Reporting, &ping, Code::BadFlags);
}

#[test]
fn oversized_frame() {
    let mut house = House::new();
    let announcing = |kind, len: u32| {
        let mut header = raw(kind, &[]);
        header[4..7].copy_from_slice(&len.to_le_bytes()[..3]);
        header
    };
    house.refuses(Stage::Connected, &announcing(1, 16 * 1024 + 1), Code::FrameTooLarge);
    let most = Limits::default().max_payload_bytes;
    house.refuses(Stage::Welcomed, &announcing(3, most + 1), Code::FrameTooLarge);
    house.refuses(Stage::Reporting, &announcing(4, most + 1), Code::FrameTooLarge);
    house.refuses(Stage::Reporting, &announcing(0xff, 0x00ff_ffff), Code::FrameTooLarge);
}

#[test]
fn truncated_frame() {
    let mut house = House::new();
    let hello = attacker().hello(&two_gauges());
    let report = report(2, &[1.0, 2.0]);
    for (stage, bytes) in [
        (Stage::Connected, &hello[..1]),
        (Stage::Connected, &hello[..7]),
        (Stage::Connected, &hello[..8]),
        (Stage::Connected, &hello[..hello.len() - 1]),
        (Stage::Reporting, &report[..3]),
        (Stage::Reporting, &report[..report.len() - 1]),
    ] {
        house.refuses_after(stage, Code::TruncatedFrame, |attacker| {
            attacker.send(bytes);
            attacker.finish();
        });
    }
}

#[test]
fn unknown_kind() {
    let mut house = House::new();
    for kind in [0, 10, 0x7f] {
        house.refuses(Stage::Connected, &raw(kind, &[]), Code::UnknownKind);
        house.refuses(Stage::Reporting, &raw(kind, b"payload"), Code::UnknownKind);
    }
}

#[test]
fn a_kind_that_may_be_skipped_is_skipped() {
    let mut house = House::new();
    let mut attacker = house.attacker(Stage::Reporting);
    attacker.send(&raw(0x80, b"of a later version"));
    attacker.report(&[2.0, 2.0]);
    assert_eq!(house.collector.page().values_of("attacker"), [2.0, 2.0]);
    attacker.send(&bye());
    assert_eq!(attacker.hear(), crate::support::agent::Heard::Closed);
    house.in_peace();
}

#[test]
fn frame_before_hello() {
    let mut house = House::new();
    for bytes in [
        two_gauges().bytes,
        report(1, &[1.0]),
        ping(1),
        bye(),
        raw(0x80, &[]),
        frame(&Message::Pong(Pong { token: 1 })),
    ] {
        house.refuses(Stage::Connected, &bytes, Code::UnexpectedFrame);
    }
}

#[test]
fn frame_that_only_a_collector_sends() {
    let mut house = House::new();
    let welcome = Welcome {
        version: 1,
        capabilities: 0,
        session_id: 1,
        interval_ms: 1_000,
        limits: Limits::default(),
        schema_known: false,
        extensions: Vec::new(),
    };
    let reject = Reject { stream: 0, code: 1, text: "no", retry_after_ms: None };
    for message in [
        Message::Welcome(welcome),
        Message::Reject(reject),
        Message::Drain(Drain { delay_ms: 0, target: None }),
    ] {
        let bytes = frame(&message);
        for stage in [Stage::Connected, Stage::Welcomed, Stage::Reporting] {
            house.refuses(stage, &bytes, Code::UnexpectedFrame);
        }
    }
}

#[test]
fn second_hello() {
    let mut house = House::new();
    let hello = attacker().hello(&two_gauges());
    house.refuses(Stage::Welcomed, &hello, Code::UnexpectedFrame);
    house.refuses(Stage::Reporting, &hello, Code::UnexpectedFrame);
}

#[test]
fn report_before_the_schema() {
    House::new().refuses(Stage::Welcomed, &report(1, &[1.0, 1.0]), Code::UnexpectedFrame);
}

#[test]
fn trailing_bytes() {
    let mut house = House::new();
    for (stage, frame) in [
        (Stage::Connected, attacker().hello(&two_gauges())),
        (Stage::Welcomed, two_gauges().bytes),
        (Stage::Reporting, report(2, &[1.0, 2.0])),
        (Stage::Reporting, ping(1)),
        (Stage::Reporting, bye()),
    ] {
        let mut payload = frame[8..].to_vec();
        payload.push(0);
        house.refuses(stage, &raw(frame[3], &payload), Code::TrailingBytes);
    }
}

#[test]
fn non_minimal_varint() {
    let mut house = House::new();
    house.refuses(Stage::Reporting, &raw(5, &[0xfb, 7, 0]), Code::NonMinimalInteger);
    let report = report(2, &[1.0, 2.0]);
    let mut payload = vec![0xfb, 0, 0];
    payload.extend_from_slice(&report[9..]);
    house.refuses(Stage::Reporting, &raw(4, &payload), Code::NonMinimalInteger);
    let schema = two_gauges().bytes;
    let mut payload = vec![0xfb, 0, 0];
    payload.extend_from_slice(&schema[9..]);
    house.refuses(Stage::Welcomed, &raw(3, &payload), Code::NonMinimalInteger);
    let mut payload = vec![0, 0xfb, 2, 0];
    payload.extend_from_slice(&schema[10..]);
    house.refuses(Stage::Welcomed, &raw(3, &payload), Code::NonMinimalInteger);
}

#[test]
fn malformed_payload() {
    let mut house = House::new();
    let hello = attacker().hello(&two_gauges());
    house.refuses(Stage::Connected, &raw(1, &hello[8..40]), Code::MalformedPayload);
    house.refuses(Stage::Connected, &raw(1, &[]), Code::MalformedPayload);
    let mut not_utf8 = hello.clone();
    not_utf8[12] = 0xff;
    house.refuses(Stage::Connected, &not_utf8, Code::MalformedPayload);
    house.refuses(Stage::Reporting, &raw(4, &[0, 2, 0, 9]), Code::MalformedPayload);
    // A list of 2^64 - 1 families.
    let mut bomb = vec![0, 0xfd];
    bomb.extend_from_slice(&[0xff; 8]);
    house.refuses(Stage::Welcomed, &raw(3, &bomb), Code::MalformedPayload);
}

#[test]
fn stream_that_was_not_agreed_on() {
    let mut house = House::new();
    house.refuses(
        Stage::Reporting,
        &frame(&Message::Bye(Bye { stream: 1, reason: 0 })),
        Code::BadStream,
    );
    let mut report = report(2, &[1.0, 2.0]);
    report[8] = 1;
    house.refuses(Stage::Reporting, &report, Code::BadStream);
    let mut schema = two_gauges().bytes;
    schema[8] = 1;
    house.refuses(Stage::Welcomed, &schema, Code::BadStream);
}
