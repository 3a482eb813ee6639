//! Bytes with a bad header, encoding, stream or extension.

use fleetgauge_proto::Code;
use serde_json::json;

use super::{ALL_STREAMS, Rejected, hello, raw, reject};
use crate::owned::{
    Acknowledge, Bye, Catalog, Extension, Hello, Owned, Reject, Report, Resend, Rows, Values,
};

const HELLO: u8 = 1;
const CATALOG: u8 = 3;
const ROWS: u8 = 4;
const REPORT: u8 = 5;
const PING: u8 = 6;
const DRAIN: u8 = 8;
const BYE: u8 = 10;

pub(super) fn rejected() -> Vec<Rejected> {
    let mut all = headers();
    all.extend(truncated());
    all.extend(malformed());
    all.extend(length_bombs());
    all.extend(non_minimal());
    all.extend(trailing());
    all.extend(streams_and_extensions());
    all
}

fn headers() -> Vec<Rejected> {
    let version = |version, kind, payload: &[u8]| {
        let mut frame = raw(kind, payload);
        frame[2] = version;
        frame
    };
    let flags = |flags| {
        let mut frame = raw(PING, &[7]);
        frame[7] = flags;
        frame
    };
    let hello = Owned::Hello(hello()).frame();
    let greeting = Rejected {
        context: json!({"max_payload_bytes": 16_384}),
        ..reject(
            "hello_too_large",
            Code::FrameTooLarge,
            "The header announces a Hello of 16385 bytes.",
            b"FG\x01\x01\x01\x40\x00\x00".to_vec(),
        )
    };
    vec![
        reject(
            "http",
            Code::BadMagic,
            "HTTP, not this protocol.",
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        ),
        reject("tls", Code::BadMagic, "The first byte is not F.", vec![0x16]),
        reject("magic_second_byte", Code::BadMagic, "F, but no G.", b"FH".to_vec()),
        reject("flags_low", Code::BadFlags, "The lowest flag is set.", flags(1)),
        reject("flags_high", Code::BadFlags, "The highest flag is set.", flags(0x80)),
        reject(
            "version_0",
            Code::UnsupportedVersion,
            "There is no version 0.",
            version(0, PING, &[7]),
        ),
        reject(
            "version_2",
            Code::UnsupportedVersion,
            "Version 1 was agreed.",
            version(2, PING, &[7]),
        ),
        reject(
            "hello_header_2",
            Code::UnsupportedVersion,
            "Hello always has header version 1.",
            version(2, HELLO, &hello[8..]),
        ),
        reject(
            "report_too_large",
            Code::FrameTooLarge,
            "The header announces 1048577 bytes.",
            b"FG\x01\x05\x01\x00\x10\x00".to_vec(),
        ),
        greeting,
        reject("kind_0", Code::UnknownKind, "There is no kind 0.", raw(0, &[])),
        reject("kind_13", Code::UnknownKind, "The first unassigned kind.", raw(13, &[])),
        reject(
            "kind_7f",
            Code::UnknownKind,
            "The last kind that is not skippable.",
            raw(0x7f, &[0; 3]),
        ),
    ]
}

fn truncated() -> Vec<Rejected> {
    let cut = |name, why, bytes: &[u8]| reject(name, Code::TruncatedFrame, why, bytes.to_vec());
    let hello = Owned::Hello(hello()).frame();
    vec![
        cut("cut_in_magic", "The stream ends after the first byte.", b"F"),
        cut("cut_in_header", "The stream ends before the header does.", b"FG\x01\x06\x01\x00"),
        cut("cut_before_payload", "The stream ends before the payload.", b"FG\x01\x06\x01\0\0\0"),
        cut("cut_in_payload", "The stream ends in a Hello.", &hello[..hello.len() - 1]),
    ]
}

fn malformed() -> Vec<Rejected> {
    let bad = |name, why, kind, payload: &[u8]| {
        reject(name, Code::MalformedPayload, why, raw(kind, payload))
    };
    let mut not_utf8 = Owned::Hello(hello()).frame();
    not_utf8[12] = 0xff;
    let text = "x".repeat(513);
    let long_text = Owned::Reject(Reject { stream: 0, code: 20, text, retry_after_ms: None });
    vec![
        bad("ping_empty", "The token is missing.", PING, &[]),
        bad("ping_half_token", "The frame ends in the token.", PING, &[0xfb, 0x00]),
        bad(
            "report_cut",
            "16 bytes of values are announced, 8 are there, and the frame ends.",
            REPORT,
            &[0, 1, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0],
        ),
        reject("not_utf8", Code::MalformedPayload, "The id begins with the byte ff.", not_utf8),
        bad("option_2", "An option is neither 0 nor 1.", DRAIN, &[0, 2]),
        bad("choice_2", "Values are neither All (0) nor Changed (1).", REPORT, &[0, 1, 0, 2, 0]),
        bad("integer_fe", "No integer begins with fe.", PING, &[0xfe; 17]),
        bad("integer_ff", "No integer begins with ff.", PING, &[0xff]),
        bad(
            "integer_wider_than_field",
            "The stream is a u32; fd opens a u64.",
            BYE,
            &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ),
        reject(
            "reject_text_513",
            Code::MalformedPayload,
            "The text has 513 bytes.",
            long_text.frame(),
        ),
    ]
}

fn length_bombs() -> Vec<Rejected> {
    let bomb = |name, why, kind, before: &[u8], length: &[u8]| {
        let payload = [before, length].concat();
        reject(name, Code::MalformedPayload, why, raw(kind, &payload))
    };
    let huge = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0x80];
    let plain = Owned::Hello(hello()).frame();
    let (labels_at, interval_and_version) = (3 + 6 + 32, 3 + 6);
    let hello = &plain[8..][..labels_at];
    let catalogs = &plain[8..][..labels_at + 1 + interval_and_version];
    vec![
        bomb("bomb_string", "An id of 2^63 bytes is announced.", HELLO, &[1, 1, 0], &huge),
        bomb("bomb_labels", "2^63 labels are announced.", HELLO, hello, &huge),
        bomb("bomb_values", "2^63 bytes of values are announced.", REPORT, &[0, 1, 0, 0], &huge),
        bomb("bomb_catalogs", "2^63 catalogs are announced.", HELLO, catalogs, &huge),
        bomb("bomb_families", "2^63 families are announced.", CATALOG, &[0, 0], &huge),
        bomb(
            "bomb_tables",
            "16777216 tables are announced in a frame of a few bytes.",
            CATALOG,
            &[0, 0, 0],
            &[0xfc, 0, 0, 0, 1],
        ),
        bomb("bomb_row_labels", "2^63 row labels are announced.", CATALOG, &[0, 0, 0, 1], &huge),
        bomb("bomb_columns", "2^63 columns are announced.", CATALOG, &[0, 0, 0, 1, 0], &huge),
        bomb(
            "bomb_parameters",
            "2^63 parameters are announced.",
            CATALOG,
            &[0, 0, 0, 1, 0, 1, 0, 1, 0],
            &huge,
        ),
        bomb("bomb_changes", "2^63 changes of rows are announced.", ROWS, &[0], &huge),
        bomb("bomb_removed", "2^63 rows to remove are announced.", ROWS, &[0, 1, 0, 0], &huge),
        bomb("bomb_added", "2^63 label values are announced.", ROWS, &[0, 1, 0, 0, 0], &huge),
    ]
}

fn non_minimal() -> Vec<Rejected> {
    let long = |name, why, kind, payload: &[u8]| {
        reject(name, Code::NonMinimalInteger, why, raw(kind, payload))
    };
    let plain = Owned::Hello(hello()).frame()[8..].to_vec();
    let labels_at = 3 + 6 + 32;
    let labels = [&plain[..labels_at], &[0xfb, 0, 0], &plain[labels_at + 1..]].concat();
    let id = [&plain[..3], &[0xfb, 5, 0], &plain[4..]].concat();
    vec![
        long("long_token_fb", "7 is written as fb 07 00.", PING, &[0xfb, 7, 0]),
        long("long_token_250", "250 is written as fb fa 00.", PING, &[0xfb, 250, 0]),
        long("long_token_fc", "65535 is written with fc.", PING, &[0xfc, 0xff, 0xff, 0, 0]),
        long(
            "long_token_fd",
            "2^32-1 is written with fd.",
            PING,
            &[0xfd, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
        ),
        long("long_choice", "All is written as fb 00 00.", REPORT, &[0, 1, 0, 0xfb, 0, 0, 0]),
        long("long_stream", "Stream 0 is written as fb 00 00.", BYE, &[0xfb, 0, 0, 0]),
        long(
            "long_stream_of_catalog",
            "Stream 0 is written as fb 00 00.",
            CATALOG,
            &[0xfb, 0, 0, 0, 0, 0],
        ),
        long(
            "long_position_of_row",
            "Row 0 is written as fb 00 00.",
            ROWS,
            &[0, 1, 0, 0, 1, 0xfb, 0, 0, 0],
        ),
        long(
            "long_length_of_values",
            "0 bytes, written as fb 00 00.",
            REPORT,
            &[0, 1, 0, 0, 0xfb, 0, 0],
        ),
        long("long_length_of_string", "The id's length 5 is written as fb 05 00.", HELLO, &id),
        long("long_length_of_list", "No labels, written as fb 00 00.", HELLO, &labels),
    ]
}

fn trailing() -> Vec<Rejected> {
    let more = |name, why, mut frame: Vec<u8>| {
        frame.push(0);
        frame[4] += 1;
        reject(name, Code::TrailingBytes, why, frame)
    };
    vec![
        more("trailing_in_ping", "A byte follows the token.", raw(PING, &[7])),
        more("trailing_in_hello", "A byte follows the extensions.", Owned::Hello(hello()).frame()),
        more("trailing_in_report", "A byte follows the values.", raw(REPORT, &[0, 1, 0, 0, 0])),
    ]
}

fn streams_and_extensions() -> Vec<Rejected> {
    let stream = |name, why, message: Owned| reject(name, Code::BadStream, why, message.frame());
    let log = |name, why, capabilities, data: Option<&[u8]>| {
        let extensions = data.map(|data| Extension { id: 2, data: data.to_vec() });
        let extensions = extensions.into_iter().collect();
        let hello = Hello { capabilities, extensions, ..hello() };
        reject(name, Code::BadExtension, why, Owned::Hello(hello).frame())
    };
    let extensions = |name, why, ids: &[u16]| {
        let extensions = ids.iter().map(|&id| Extension { id, data: vec![] }).collect();
        let hello = Hello { extensions, ..hello() };
        reject(name, Code::BadExtension, why, Owned::Hello(hello).frame())
    };
    let values = Values::All(vec![]);
    vec![
        stream(
            "stream_of_catalog",
            "Stream 1 was not negotiated.",
            Owned::Catalog(Catalog { stream: 1, slot: 0, families: vec![], tables: vec![] }),
        ),
        stream(
            "stream_of_rows",
            "Stream 1 was not negotiated.",
            Owned::Rows(Rows { stream: 1, changes: vec![] }),
        ),
        stream(
            "stream_of_report",
            "Stream 1 was not negotiated.",
            Owned::Report(Report { stream: 1, sequence: 1, unix_ms: 0, values }),
        ),
        stream(
            "stream_of_reject",
            "Reject is sent on stream 0 only.",
            Owned::Reject(Reject {
                stream: 1,
                code: 20,
                text: String::new(),
                retry_after_ms: None,
            }),
        ),
        stream(
            "stream_of_bye",
            "Bye is sent on stream 0 only.",
            Owned::Bye(Bye { stream: 1, reason: 0 }),
        ),
        stream(
            "stream_of_acknowledge",
            "Acknowledge is sent on stream 1 only.",
            Owned::Acknowledge(Acknowledge { stream: 0, sequence: 1, unix_ms: 0 }),
        ),
        stream(
            "stream_of_resend",
            "Resend is sent on stream 1 only.",
            Owned::Resend(Resend { stream: 2, first: 1, reports: 1 }),
        ),
        Rejected {
            context: json!({ "capabilities": ALL_STREAMS }),
            ..stream(
                "stream_2",
                "There is no stream 2.",
                Owned::Rows(Rows { stream: 2, changes: vec![] }),
            )
        },
        log(
            "log_without_capability",
            "The agent has a log, but does not offer to send reports again.",
            0b01,
            Some(&[1]),
        ),
        log(
            "capability_without_log",
            "The agent offers to send reports again, but has no log.",
            0b11,
            None,
        ),
        log("log_empty", "The log begins with no number.", 0b11, Some(&[])),
        log("log_long", "The first number is written as fb 01 00.", 0b11, Some(&[0xfb, 1, 0])),
        log("log_trailing", "A byte follows the first number.", 0b11, Some(&[1, 0])),
        extensions(
            "extensions_17",
            "17 extensions, one more than allowed.",
            &(0..17).collect::<Vec<_>>(),
        ),
        extensions("extension_twice", "Extension 7 occurs twice.", &[7, 9, 7]),
    ]
}
