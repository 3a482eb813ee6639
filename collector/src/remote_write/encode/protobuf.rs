//! Protobuf of remote write 1.0:
//! - `WriteRequest { repeated TimeSeries timeseries = 1; }`
//! - `TimeSeries { repeated Label labels = 1; repeated Sample samples = 2; }`
//! - `Label { string name = 1; string value = 2; }`
//! - `Sample { double value = 1; int64 timestamp = 2; }`
//!
//! Of 2.0, with the same `Sample`:
//! - `Request { repeated string symbols = 4; repeated TimeSeries timeseries = 5; }`
//! - `TimeSeries { repeated uint32 labels_refs = 1; repeated Sample samples = 2; Metadata metadata
//!   = 5; }`
//! - `Metadata { MetricType type = 1; uint32 help_ref = 3; uint32 unit_ref = 4; }`

/// Tag of field 1 with a length: `timeseries`, `labels`, `labels_refs`, the name of a label.
pub(super) const FIELD_1: u8 = 0x0a;
/// Tag of field 2 with a length: `samples`, the value of a label.
const FIELD_2: u8 = 0x12;
/// Tag of `symbols` of a request of 2.0.
pub(super) const SYMBOLS: u8 = 0x22;
/// Tag of `timeseries` of a request of 2.0.
pub(super) const SERIES: u8 = 0x2a;
/// Tag of `metadata` of a series of 2.0.
pub(super) const METADATA: u8 = 0x2a;
/// Tags of the fields of `Metadata`.
pub(super) const TYPE: u8 = 0x08;
pub(super) const HELP: u8 = 0x18;
pub(super) const UNIT: u8 = 0x20;
/// Tag of a sample's value, 8 bytes.
const VALUE: u8 = 0x09;
/// Tag of a sample's time, a varint.
const TIME: u8 = 0x10;
/// Longest varint, in bytes.
const MAX_VARINT: usize = 10;
/// Bytes before the value: the tag and length of the sample, and the tag of the value.
const BEFORE_VALUE: usize = 3;

/// Appends a varint.
pub(in crate::remote_write) fn push_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

/// Appends a length as a varint.
pub(in crate::remote_write) fn push_len(len: usize, out: &mut Vec<u8>) {
    if let Ok(short @ ..0x80) = u8::try_from(len) {
        out.push(short);
    } else {
        push_varint(len as u64, out);
    }
}

/// Returns the size of a length as a varint.
pub(super) fn len_bytes(len: usize) -> usize {
    (len.checked_ilog2().unwrap_or(0) / 7 + 1) as usize
}

/// Appends the part of a label that depends on its name only.
pub(super) fn push_label_name(name: &str, out: &mut Vec<u8>) {
    out.push(FIELD_1);
    push_len(name.len(), out);
    out.extend_from_slice(name.as_bytes());
    out.push(FIELD_2);
}

/// Appends a label. `name` is what [`push_label_name`] wrote.
pub(super) fn push_label_value(name: &[u8], value: &str, out: &mut Vec<u8>) {
    out.push(FIELD_1);
    push_len(name.len() + len_bytes(value.len()) + value.len(), out);
    out.extend_from_slice(name);
    push_len(value.len(), out);
    out.extend_from_slice(value.as_bytes());
}

/// Appends a label.
pub(super) fn push_label(name: &str, value: &str, out: &mut Vec<u8>) {
    let name_len = 2 + len_bytes(name.len()) + name.len();
    out.push(FIELD_1);
    push_len(name_len + len_bytes(value.len()) + value.len(), out);
    push_label_name(name, out);
    push_len(value.len(), out);
    out.extend_from_slice(value.as_bytes());
}

/// The `samples` field of a series at one time, apart from the value.
#[derive(Debug, Clone, Copy)]
pub(super) struct SampleAt {
    before: [u8; BEFORE_VALUE],
    after: [u8; 1 + MAX_VARINT],
    after_len: usize,
}

impl SampleAt {
    pub(super) fn new(unix_ms: i64) -> Self {
        let mut after = [0; 1 + MAX_VARINT];
        after[0] = TIME;
        let mut after_len = 1;
        let mut rest = unix_ms.cast_unsigned();
        for place in &mut after[1..] {
            let more = rest >= 0x80;
            *place = rest.to_le_bytes()[0] & 0x7f | u8::from(more) << 7;
            after_len += 1;
            rest >>= 7;
            if !more {
                break;
            }
        }
        let len = 1 + size_of::<f64>() + after_len;
        let len = u8::try_from(len).unwrap_or(0);
        Self { before: [FIELD_2, len, VALUE], after, after_len }
    }

    /// Returns the size of the field.
    pub(super) fn bytes(&self) -> usize {
        BEFORE_VALUE + size_of::<f64>() + self.after_len
    }

    /// Appends the field.
    pub(super) fn push(&self, value: f64, out: &mut Vec<u8>) {
        let [tag, len, value_tag] = self.before;
        let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
        out.extend_from_slice(&[tag, len, value_tag, a, b, c, d, e, f, g, h]);
        out.extend_from_slice(&self.after[..self.after_len]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_computed_as_they_are_written() {
        for len in [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, usize::MAX] {
            let mut out = Vec::new();
            push_len(len, &mut out);
            assert_eq!(out.len(), len_bytes(len), "{len}");
        }
    }

    #[test]
    fn sample_of_any_time_has_the_announced_size() {
        for unix_ms in [0, 1, 1_700_000_000_000, i64::MAX, -1, i64::MIN] {
            let sample = SampleAt::new(unix_ms);
            let mut out = Vec::new();
            sample.push(0.5, &mut out);
            let mut time = Vec::new();
            push_varint(unix_ms.cast_unsigned(), &mut time);
            assert!(out.ends_with(&time));
            assert_eq!(out.len(), sample.bytes());
            assert_eq!(usize::from(out[1]), out.len() - 2);
        }
    }
}
