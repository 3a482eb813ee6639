use prost::Message;

use super::*;
use crate::wire::{MetricMetadata, TimeSeries, WriteRequest};

fn all_fields(message: &[u8]) -> Result<usize, Undecodable> {
    Fields::new(message).try_fold(0, |count, field| field.map(|_| count + 1))
}

#[test]
fn scanner_reads_what_prost_encodes() {
    let labels = [("__name__", "up"), ("agent", "web-1")];
    let samples = [(1, 0.0), (-5, f64::NEG_INFINITY), (i64::MAX, 0.1), (i64::MIN, f64::NAN)];
    let sent = TimeSeries::of(&labels, &samples);
    let metadata = MetricMetadata { kind: 2, ..Default::default() };
    let request = WriteRequest { timeseries: vec![sent.clone()], metadata: vec![metadata.clone()] };
    let message = request.encode_to_vec();
    let parts: Vec<_> = super::request(&message).map(Result::unwrap).collect();
    let (series, metadata) = (sent.encode_to_vec(), metadata.encode_to_vec());
    assert_eq!(parts, [Part::Series(&series), Part::Metadata(&metadata)]);

    let mut scanned = Vec::new();
    let encoded = super::series(&series, &mut scanned).unwrap();
    assert_eq!(encoded, TimeSeries::of(&labels, &[]).encode_to_vec());
    let sent = |&(unix_ms, value): &(i64, f64)| Sample { unix_ms, bits: value.to_bits() };
    assert_eq!(scanned, samples.iter().map(sent).collect::<Vec<_>>());
    let pairs = crate::labels::Labels::new(&encoded).iter().collect::<Vec<_>>();
    assert_eq!(pairs, labels);
}

#[test]
fn labels_behind_samples_are_found() {
    let labels = TimeSeries::of(&[("a", "b"), ("c", "d")], &[]).encode_to_vec();
    let samples = TimeSeries::of(&[], &[(1, 2.0)]).encode_to_vec();
    let (first, second) = labels.split_at(labels.len() / 2);
    for message in [
        [&samples, first, second].concat(),
        [first, &samples, second].concat(),
        [first, second, &samples].concat(),
    ] {
        let mut scanned = Vec::new();
        assert_eq!(super::series(&message, &mut scanned).unwrap(), labels);
        assert_eq!(scanned.len(), 1);
    }
}

#[test]
fn unknown_fields_are_skipped() {
    let unknown = [0x22, 1, 9, 0x29, 0, 0, 0, 0, 0, 0, 0, 0, 0x35, 0, 0, 0, 0, 0x38, 1];
    assert_eq!(all_fields(&unknown), Ok(4));
    let mut samples = Vec::new();
    assert_eq!(super::series(&unknown, &mut samples).unwrap(), &[][..]);
    assert_eq!(super::request(&unknown).count(), 0);
}

#[test]
fn truncated_messages_are_undecodable() {
    let series = TimeSeries::of(&[("__name__", "up")], &[(1_700_000_000_000, 1.0)]);
    let message = series.encode_to_vec();
    let label_end = TimeSeries::of(&[("__name__", "up")], &[]).encode_to_vec().len();
    for end in (1..message.len()).filter(|end| *end != label_end) {
        assert!(super::series(&message[..end], &mut Vec::new()).is_err(), "{end} bytes");
    }
}

#[test]
fn lengths_beyond_the_end_are_undecodable() {
    let huge = [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0];
    assert_eq!(all_fields(&huge), Err(Undecodable("field beyond the end")));
}

#[test]
fn integers_above_64_bits_are_undecodable() {
    let most = [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    assert_eq!(Fields::new(&most).next(), Some(Ok((1, Value::Varint(u64::MAX)))));
    let above = [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
    assert!(all_fields(&above).is_err());
    let endless = [0x80; 40];
    assert!(all_fields(&endless).is_err());
}

#[test]
fn wrong_wire_types_are_undecodable() {
    assert!(super::request(&[0x08, 1]).any(|part| part.is_err()));
    assert!(super::series(&[0x08, 1], &mut Vec::new()).is_err());
    assert!(super::sample(&[0x08, 1]).is_err());
    assert!(super::sample(&[0x11, 0, 0, 0, 0, 0, 0, 0, 0]).is_err());
    assert!(super::label(&[0x08, 1]).is_err());
    assert!(all_fields(&[0x0b]).is_err(), "groups");
    assert!(all_fields(&[0x02, 0]).is_err(), "field number 0");
}
