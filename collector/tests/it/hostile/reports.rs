//! Attacks with the content of a report. The attacker's schema has two values, and its last
//! accepted report has the sequence number 1.

use fleetgauge_proto::Code;
use fleetgauge_proto::report::Values;

use super::{AttackedCollector, Stage, two_gauges};
use crate::support::frames::{changed, report, report_of};

#[test]
fn wrong_value_count_is_rejected() {
    let mut attacked = AttackedCollector::new();
    for values in [&[][..], &[1.0], &[1.0; 3]] {
        attacked.refuses(Stage::Reporting, &report(2, values), Code::WrongValueCount);
    }
    for values in [&[][..], &[1.0; 2]] {
        attacked.refuses(Stage::Reporting, &changed(2, &[0b10], values), Code::WrongValueCount);
    }
    let half = report_of(2, Values::All(&[0; 15]));
    attacked.refuses(Stage::Reporting, &half, Code::WrongValueCount);
}

#[test]
fn invalid_bitmap_is_rejected() {
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
fn sequence_must_rise_across_a_schema() {
    AttackedCollector::new().refuses_after(Stage::Reporting, Code::SequenceNotRising, |attacker| {
        attacker.send(&two_gauges().bytes);
        attacker.send(&report(1, &[1.0, 2.0]));
    });
}

#[test]
fn first_report_without_all_values_is_rejected() {
    let mut attacked = AttackedCollector::new();
    attacked.refuses_after(Stage::Welcomed, Code::FullReportRequired, |attacker| {
        attacker.send(&two_gauges().bytes);
        attacker.send(&changed(1, &[0b11], &[1.0, 2.0]));
    });
    attacked.refuses_after(Stage::Reporting, Code::FullReportRequired, |attacker| {
        attacker.send(&two_gauges().bytes);
        attacker.send(&changed(2, &[0b11], &[1.0, 2.0]));
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
