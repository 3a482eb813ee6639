//! Attacks with the content of a report. The catalog has two values, and the last report has the
//! sequence number 1.

use fleetgauge_proto::Code;
use fleetgauge_proto::report::Values;

use super::{AttackedCollector, Stage, two_gauges};
use crate::support::frames::{changed, report, report_of};

#[test]
fn wrong_value_count_is_rejected() {
    let mut attacked = AttackedCollector::new();
    // Too short for the codes of two values.
    attacked.refuses(Stage::Reporting, &report(2, &[]), Code::WrongValueCount);
    attacked.refuses(Stage::Reporting, &changed(2, &[0b10], &[]), Code::WrongValueCount);
    attacked.refuses(Stage::Reporting, &report(2, &[1.0; 3]), Code::BadValue);
    attacked.refuses(Stage::Reporting, &changed(2, &[0b10], &[1.0; 2]), Code::BadValue);
}

#[test]
fn missing_or_extra_bytes_of_a_value_are_rejected() {
    let mut attacked = AttackedCollector::new();
    for values in [&[0xff, 0][..], &[0x10], &[0x11, 2], &[0x11, 2, 2, 2]] {
        attacked.refuses(Stage::Reporting, &report_of(2, Values::All(values)), Code::BadValue);
    }
}

#[test]
fn compact_value_that_is_not_canonical_is_rejected() {
    let mut attacked = AttackedCollector::new();
    for values in [
        // Steps and XORs whose last byte is zero, and thus superfluous.
        &[0x01, 0][..],
        &[0x02, 2, 0],
        &[0x08, 0],
        &[0x09, 1, 0],
        // An XOR between whole values: 0 and 1.
        &[0x0f, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f],
        // A step beyond the whole values: to 2^50.
        &[0x07, 0, 0, 0, 0, 0, 0, 8],
        // A NaN that is neither the canonical one nor that of absent values.
        &[0x0f, 1, 0, 0, 0, 0, 0, 0xf8, 0x7f],
    ] {
        attacked.refuses(Stage::Reporting, &report_of(2, Values::All(values)), Code::BadValue);
    }
    // A value marked as changed whose bits are the same.
    let unchanged = report_of(2, Values::Changed { bitmap: &[1], values: &[0] });
    attacked.refuses(Stage::Reporting, &unchanged, Code::BadValue);
}

#[test]
fn bitmap_that_does_not_fit_is_rejected() {
    let mut attacked = AttackedCollector::new();
    for bitmap in [&[][..], &[0b11_u8, 0], &[0b100], &[0x80]] {
        let values = vec![1.0; bitmap.iter().map(|b| b.count_ones() as usize).sum()];
        attacked.refuses(Stage::Reporting, &changed(2, bitmap, &values), Code::BadBitmap);
    }
}

#[test]
fn sequence_that_does_not_rise_is_rejected() {
    let mut attacked = AttackedCollector::new();
    for sequence in [0, 1] {
        attacked.refuses(Stage::Reporting, &report(sequence, &[1.0, 2.0]), Code::SequenceNotRising);
        attacked.refuses(Stage::Reporting, &changed(sequence, &[0], &[]), Code::SequenceNotRising);
    }
}

#[test]
fn sequence_must_rise_across_a_catalog() {
    AttackedCollector::new().refuses_after(Stage::Reporting, Code::SequenceNotRising, |attacker| {
        attacker.send(&two_gauges().bytes);
        attacker.send(&report(1, &[1.0, 2.0]));
    });
}

#[test]
fn reports_before_a_violation_count_and_reports_after_it_do_not() {
    let mut attacked = AttackedCollector::new();
    let mut bytes = report(2, &[2.0, 2.0]);
    bytes.extend(report(2, &[3.0, 3.0]));
    bytes.extend(report(4, &[4.0, 4.0]));
    attacked.refuses(Stage::Reporting, &bytes, Code::SequenceNotRising);
}
