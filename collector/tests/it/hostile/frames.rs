//! Malformed frames, and frames that are not allowed in their state.

use fleetgauge_proto::message::{Acknowledge, Bye, Drain, Pong, Reject, Resend, Welcome};
use fleetgauge_proto::{Code, Limits, Message};

use super::{AttackedCollector, Stage, attacker, two_gauges};
use crate::support::frames::{
    CATALOG_KIND, PING_KIND, REPORT_KIND, ROWS_KIND, add_disks, bye, frame, ping, raw, report,
};

#[test]
fn garbage_is_rejected() {
    let mut attacked = AttackedCollector::new();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x02", b"{", &[0; 100], &[0xff; 9]] {
        attacked.refuses(Stage::Connected, bytes, Code::BadMagic);
        attacked.refuses(Stage::Reporting, bytes, Code::BadMagic);
    }
    // The start of a TLS record has a meaning only as the first bytes of a connection.
    attacked.refuses(Stage::Reporting, b"\x16\x03\x01\x02\x00", Code::BadMagic);
}

#[test]
fn wrong_magic_is_rejected() {
    let mut attacked = AttackedCollector::new();
    let mut hello = attacker().hello(&two_gauges());
    hello[1] = b'g';
    attacked.refuses(Stage::Connected, &hello, Code::BadMagic);
    attacked.refuses(Stage::Connected, b"Fg", Code::BadMagic);
}

#[test]
fn future_version_is_rejected() {
    let mut attacked = AttackedCollector::new();
    let mut hello = attacker().hello(&two_gauges());
    hello[2] = 2;
    attacked.refuses(Stage::Connected, &hello, Code::UnsupportedVersion);
    let mut report = report(2, &[1.0, 2.0]);
    report[2] = 2;
    attacked.refuses(Stage::Reporting, &report, Code::UnsupportedVersion);
}

#[test]
fn nonzero_flags_are_rejected() {
    let mut attacked = AttackedCollector::new();
    let mut hello = attacker().hello(&two_gauges());
    hello[7] = 1;
    attacked.refuses(Stage::Connected, &hello, Code::BadFlags);
    let mut ping = ping(1);
    ping[7] = 0x80;
    attacked.refuses(Stage::Reporting, &ping, Code::BadFlags);
}

#[test]
fn oversized_frame_is_rejected() {
    let mut attacked = AttackedCollector::new();
    let announcing = |kind, len: u32| {
        let mut header = raw(kind, &[]);
        header[4..7].copy_from_slice(&len.to_le_bytes()[..3]);
        header
    };
    attacked.refuses(Stage::Connected, &announcing(1, 16 * 1024 + 1), Code::FrameTooLarge);
    let most = Limits::default().max_payload_bytes;
    attacked.refuses(Stage::Welcomed, &announcing(CATALOG_KIND, most + 1), Code::FrameTooLarge);
    attacked.refuses(Stage::Reporting, &announcing(REPORT_KIND, most + 1), Code::FrameTooLarge);
    attacked.refuses(Stage::Reporting, &announcing(0xff, 0x00ff_ffff), Code::FrameTooLarge);
}

#[test]
fn truncated_frame_is_rejected() {
    let mut attacked = AttackedCollector::new();
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
        attacked.refuses_after(stage, Code::TruncatedFrame, |attacker| {
            attacker.send(bytes);
            attacker.finish();
        });
    }
}

#[test]
fn unknown_kind_is_rejected() {
    let mut attacked = AttackedCollector::new();
    for kind in [0, 13, 0x7f] {
        attacked.refuses(Stage::Connected, &raw(kind, &[]), Code::UnknownKind);
        attacked.refuses(Stage::Reporting, &raw(kind, b"payload"), Code::UnknownKind);
    }
}

#[test]
fn skippable_kind_is_skipped() {
    let mut attacked = AttackedCollector::new();
    let mut attacker = attacked.attacker(Stage::Reporting);
    attacker.send(&raw(0x80, b"of a later version"));
    attacker.report(&[2.0, 2.0]);
    assert_eq!(attacked.collector.page().values_of("attacker"), [2.0, 2.0]);
    attacker.send(&bye());
    assert_eq!(attacker.receive(), crate::support::agent::Received::Closed);
    attacked.unaffected();
}

#[test]
fn frame_before_hello_is_rejected() {
    let mut attacked = AttackedCollector::new();
    for bytes in [
        two_gauges().bytes,
        add_disks(&["sda"]),
        report(1, &[1.0]),
        ping(1),
        bye(),
        raw(0x80, &[]),
        frame(&Message::Pong(Pong { token: 1 })),
    ] {
        attacked.refuses(Stage::Connected, &bytes, Code::UnexpectedFrame);
    }
}

#[test]
fn collector_frames_from_an_agent_are_rejected() {
    let mut attacked = AttackedCollector::new();
    let welcome = Welcome {
        version: 1,
        capabilities: 0,
        session_id: 1,
        interval_ms: 1_000,
        limits: Limits::default(),
        catalogs_known: 0,
        unix_ms: 0,
        extensions: Vec::new(),
    };
    let reject = Reject { stream: 0, code: 1, text: "no", retry_after_ms: None };
    for message in [
        Message::Welcome(welcome),
        Message::Reject(reject),
        Message::Drain(Drain { delay_ms: 0, target: None }),
        Message::Acknowledge(Acknowledge { stream: 1, sequence: 1, unix_ms: 1 }),
        Message::Resend(Resend { stream: 1, first: 1, reports: 1 }),
    ] {
        let bytes = frame(&message);
        for stage in [Stage::Connected, Stage::Welcomed, Stage::Reporting] {
            attacked.refuses(stage, &bytes, Code::UnexpectedFrame);
        }
    }
}

#[test]
fn second_hello_is_rejected() {
    let mut attacked = AttackedCollector::new();
    let hello = attacker().hello(&two_gauges());
    attacked.refuses(Stage::Welcomed, &hello, Code::UnexpectedFrame);
    attacked.refuses(Stage::Reporting, &hello, Code::UnexpectedFrame);
}

#[test]
fn report_and_rows_before_the_catalog_are_rejected() {
    let mut attacked = AttackedCollector::new();
    attacked.refuses(Stage::Welcomed, &report(1, &[1.0, 1.0]), Code::UnexpectedFrame);
    attacked.refuses(Stage::Welcomed, &add_disks(&["sda"]), Code::UnexpectedFrame);
}

#[test]
fn trailing_bytes_are_rejected() {
    let mut attacked = AttackedCollector::new();
    for (stage, frame) in [
        (Stage::Connected, attacker().hello(&two_gauges())),
        (Stage::Welcomed, two_gauges().bytes),
        (Stage::Reporting, report(2, &[1.0, 2.0])),
        (Stage::Reporting, add_disks(&["sda"])),
        (Stage::Reporting, ping(1)),
        (Stage::Reporting, bye()),
    ] {
        let mut payload = frame[8..].to_vec();
        payload.push(0);
        attacked.refuses(stage, &raw(frame[3], &payload), Code::TrailingBytes);
    }
}

#[test]
fn non_minimal_varint_is_rejected() {
    let mut attacked = AttackedCollector::new();
    attacked.refuses(Stage::Reporting, &raw(PING_KIND, &[0xfb, 7, 0]), Code::NonMinimalInteger);
    let report = report(2, &[1.0, 2.0]);
    let mut payload = vec![0xfb, 0, 0];
    payload.extend_from_slice(&report[9..]);
    attacked.refuses(Stage::Reporting, &raw(REPORT_KIND, &payload), Code::NonMinimalInteger);
    let catalog = two_gauges().bytes;
    let mut payload = vec![0xfb, 0, 0];
    payload.extend_from_slice(&catalog[9..]);
    attacked.refuses(Stage::Welcomed, &raw(CATALOG_KIND, &payload), Code::NonMinimalInteger);
    let mut payload = vec![0, 0, 0xfb, 2, 0];
    payload.extend_from_slice(&catalog[11..]);
    attacked.refuses(Stage::Welcomed, &raw(CATALOG_KIND, &payload), Code::NonMinimalInteger);
}

#[test]
fn malformed_payload_is_rejected() {
    let mut attacked = AttackedCollector::new();
    let hello = attacker().hello(&two_gauges());
    attacked.refuses(Stage::Connected, &raw(1, &hello[8..40]), Code::MalformedPayload);
    attacked.refuses(Stage::Connected, &raw(1, &[]), Code::MalformedPayload);
    let mut not_utf8 = hello.clone();
    not_utf8[12] = 0xff;
    attacked.refuses(Stage::Connected, &not_utf8, Code::MalformedPayload);
    attacked.refuses(Stage::Reporting, &raw(REPORT_KIND, &[0, 2, 0, 9]), Code::MalformedPayload);
    // A list of 2^64 - 1 families.
    let mut bomb = vec![0, 0, 0xfd];
    bomb.extend_from_slice(&[0xff; 8]);
    attacked.refuses(Stage::Welcomed, &raw(CATALOG_KIND, &bomb), Code::MalformedPayload);
    // A list of 2^64 - 1 changes of rows.
    bomb.remove(0);
    attacked.refuses(Stage::Reporting, &raw(ROWS_KIND, &bomb), Code::MalformedPayload);
}

#[test]
fn unknown_stream_is_rejected() {
    let mut attacked = AttackedCollector::new();
    attacked.refuses(
        Stage::Reporting,
        &frame(&Message::Bye(Bye { stream: 1, reason: 0 })),
        Code::BadStream,
    );
    let mut report = report(2, &[1.0, 2.0]);
    report[8] = 1;
    attacked.refuses(Stage::Reporting, &report, Code::BadStream);
    let mut rows = add_disks(&["sda"]);
    rows[8] = 1;
    attacked.refuses(Stage::Reporting, &rows, Code::BadStream);
    let mut catalog = two_gauges().bytes;
    catalog[8] = 1;
    attacked.refuses(Stage::Welcomed, &catalog, Code::BadStream);
}
