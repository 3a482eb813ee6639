//! Memory that decoding allocates: none for a report, and never as much as a hostile length prefix
//! announces.
//!
//! A separate test binary, because the counting allocator is global to the process.

use allocation_counter::{AllocationInfo, measure};
use fleetgauge_proto::frame::HEADER_LEN;
use fleetgauge_proto::limits::{
    DECODE_BUDGET_BYTES, MAX_HELLO_BYTES, MAX_PAYLOAD_BYTES, SMALL_DECODE_BUDGET_BYTES,
};
use fleetgauge_proto::message::Report;
use fleetgauge_proto::report::{ABSENT, EncodedValues, TableShape, Values};
use fleetgauge_proto::{Accept, Code, FrameBuffer, Message};

const ACCEPT: Accept = Accept { version: 1, max_payload_bytes: MAX_PAYLOAD_BYTES };

fn frame(values: Values<'_>) -> Vec<u8> {
    let mut frame = Vec::new();
    let report = Report { stream: 0, sequence: 9, unix_ms: 1_767_225_600_000, values };
    Message::Report(report).encode(1, &mut frame).expect("fits a frame");
    frame
}

/// Three tables: 400 rows of two values, one of 100, and 100 of one.
fn shape() -> impl Iterator<Item = TableShape<'static>> {
    [(400, &[0, 3][..]), (1, &[2; 100]), (100, &[9])].into_iter()
}

/// Decodes the report in `bytes` and applies it to `cells`, as a session does.
fn apply(bytes: &[u8], cells: &mut [f64]) {
    let mut buffer = FrameBuffer::default();
    let mut input = bytes;
    let frame = buffer.next(&mut input, ACCEPT).expect("legal").expect("complete");
    let Message::Report(report) = Message::decode(frame).expect("legal") else {
        panic!("not a report");
    };
    report.values.decode(cells, shape()).expect("legal");
}

#[test]
fn applying_a_report_does_not_allocate() {
    let before = [ABSENT; 1000];
    let now: [f64; 1000] = std::array::from_fn(|n| n as f64 / 4.0);
    let mut encoded = EncodedValues::default();
    encoded.encode_all(&now, shape());
    let all = frame(encoded.values());
    encoded.encode_changed(&before, &now, shape());
    let changed = frame(encoded.values());
    for bytes in [all, changed] {
        let mut cells = before;
        let info = measure(|| apply(&bytes, &mut cells));
        assert_eq!(info, AllocationInfo::default());
        assert_eq!(cells, now);
    }
}

#[test]
fn encoding_a_second_report_does_not_allocate() {
    let values: [[f64; 1000]; 3] =
        std::array::from_fn(|second| std::array::from_fn(|n| n as f64 / 4.0 + second as f64));
    let mut encoded = EncodedValues::default();
    encoded.encode_all(&values[0], shape());
    encoded.encode_changed(&values[0], &values[1], shape());
    let info = measure(|| encoded.encode_changed(&values[1], &values[2], shape()));
    assert_eq!(info, AllocationInfo::default());
}

#[test]
fn an_incomplete_frame_takes_memory_for_received_bytes_only() {
    let mut buffer = FrameBuffer::default();
    let info = measure(|| {
        let mut input = &b"FG\x01\x03\xff\xff\xff\x00ten bytes."[..];
        assert!(buffer.next(&mut input, ACCEPT).expect("legal").is_none());
    });
    assert!(info.bytes_max <= 64, "{info:?} for 18 bytes");
    assert_eq!(buffer.unfinished_len(), Some(HEADER_LEN + MAX_PAYLOAD_BYTES as usize));
    let info = measure(|| {
        let kilobyte = [0; 1024];
        for _ in 0..64 {
            assert!(buffer.next(&mut &kilobyte[..], ACCEPT).expect("legal").is_none());
        }
    });
    assert!(info.bytes_current <= 2 * 65 * 1024, "{info:?} for 64 KiB");
}

#[test]
fn the_frame_buffer_holds_no_memory_between_frames() {
    let bytes = frame(Values::All(&[0; 4096]));
    let info = measure(|| {
        let mut buffer = FrameBuffer::default();
        for mut input in bytes.chunks(100) {
            if buffer.next(&mut input, ACCEPT).expect("legal").is_some() {
                assert_eq!(buffer.unfinished_len(), None, "the frame is complete");
                assert!(buffer.next(&mut input, ACCEPT).expect("legal").is_none());
            }
        }
        assert_eq!(buffer.unfinished_len(), None);
        std::mem::forget(buffer);
    });
    assert!(info.bytes_max >= 4096, "the frame arrived in pieces");
    assert_eq!(info.bytes_current, 0, "memory of the forgotten buffer");
}

/// Decodes a payload with a false length prefix. Returns the peak memory.
fn decode_bomb(kind: u8, payload: &[u8]) -> u64 {
    let len = u32::try_from(payload.len()).expect("short").to_le_bytes();
    let mut bytes = vec![b'F', b'G', 1, kind, len[0], len[1], len[2], 0];
    bytes.extend_from_slice(payload);
    let mut buffer = FrameBuffer::default();
    let mut input = &bytes[..];
    let frame = buffer.next(&mut input, ACCEPT).expect("legal").expect("complete");
    let mut code = None;
    let info = measure(|| code = Message::decode(frame).err().map(|violation| violation.code()));
    assert_eq!(code, Some(Code::MalformedPayload));
    assert_eq!(info.bytes_current, 0);
    info.bytes_max
}

#[test]
fn a_length_bomb_in_a_small_frame_allocates_little() {
    let mut worst = 0;
    // Announced lengths on both sides of the memory limit.
    for power in 0..64 {
        let mut payload = vec![0, 0, 0xfd];
        payload.extend(1u64.wrapping_shl(power).wrapping_add(1 << 33).to_le_bytes());
        worst = worst.max(decode_bomb(3, &payload));
        let announced = u32::try_from(1u64 << power).unwrap_or(u32::MAX);
        let [a, b, c, d] = announced.max(0x1_0000).to_le_bytes();
        worst = worst.max(decode_bomb(3, &[0, 0, 0xfc, a, b, c, d]));
        let [a, b] = u16::try_from(1u64 << power).unwrap_or(9_000).max(251).to_le_bytes();
        // Announce too many tables, columns of a table, row changes, and rows of a change.
        worst = worst.max(decode_bomb(3, &[0, 0, 0, 0xfb, a, b]));
        worst = worst.max(decode_bomb(3, &[0, 0, 0, 0xfb, a, b, 0, 0xfb, a, b]));
        worst = worst.max(decode_bomb(4, &[0, 0xfb, a, b]));
        worst = worst.max(decode_bomb(4, &[0, 0xfb, a, b, 0, 0, 0xfb, a, b, 0xfb, a, b]));
    }
    assert!(worst > 100_000, "no bomb reached the limit: {worst}");
    assert!(worst <= 2 * SMALL_DECODE_BUDGET_BYTES as u64, "{worst} bytes");
}

#[test]
fn a_length_bomb_in_a_large_frame_stays_within_the_budget() {
    let announced = |families: u32| {
        let mut payload = vec![0, 0, 0xfc];
        payload.extend(families.to_le_bytes());
        payload.resize(MAX_HELLO_BYTES as usize + 1, 0xff);
        decode_bomb(3, &payload)
    };
    let worst = announced(1_190_000);
    assert!(worst > 60_000_000, "the bomb did not reach the limit: {worst}");
    assert!(worst <= DECODE_BUDGET_BYTES as u64, "{worst} bytes");
    assert_eq!(announced(1_200_000), 0, "a length over the limit allocates nothing");
}
