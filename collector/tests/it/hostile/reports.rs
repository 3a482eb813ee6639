//! Attacks by what a report carries. The schema has two values and the last report the sequence
//! number 1.

use fleetgauge_proto::Code;
use fleetgauge_proto::report::Values;

use super::{House, Stage, two_gauges};
use crate::support::frames::{changed, report, report_of};

#[test]
fn wrong_value_count() {
    let mut house = House::new();
    for values in [&[][..], &[1.0], &[1.0; 3]] {
        house.refuses(Stage::Reporting, &report(2, values), Code::WrongValueCount);
    }
    for values in [&[][..], &[1.0; 2]] {
        house.refuses(Stage::Reporting, &changed(2, &[0b10], values), Code::WrongValueCount);
    }
    let half = report_of(2, Values::All(&[0; 15]));
    house.refuses(Stage::Reporting, &half, Code::WrongValueCount);
}

#[test]
fn bad_bitmap() {
    let mut house = House::new();
    for bitmap in [&[][..], &[0b11_u8, 0], &[0b100], &[0x80]] {
        let values = vec![1.0; bitmap.iter().map(|b| b.count_ones() as usize).sum()];
        house.refuses(Stage::Reporting, &changed(2, bitmap, &values), Code::BadBitmap);
    }
}

#[test]
fn sequence_not_rising() {
    let mut house = House::new();
    for sequence in [0, 1] {
        house.refuses(Stage::Reporting, &report(sequence, &[1.0, 2.0]), Code::SequenceNotRising);
        house.refuses(Stage::Reporting, &changed(sequence, &[0], &[]), Code::SequenceNotRising);
    }
}

#[test]
fn sequence_not_rising_across_a_schema() {
    House::new().refuses_after(Stage::Reporting, Code::SequenceNotRising, |attacker| {
        attacker.send(&two_gauges().bytes);
        attacker.send(&report(1, &[1.0, 2.0]));
    });
}

#[test]
fn first_report_not_full() {
    let mut house = House::new();
    house.refuses_after(Stage::Welcomed, Code::FullReportRequired, |attacker| {
        attacker.send(&two_gauges().bytes);
        attacker.send(&changed(1, &[0b11], &[1.0, 2.0]));
    });
    house.refuses_after(Stage::Reporting, Code::FullReportRequired, |attacker| {
        attacker.send(&two_gauges().bytes);
        attacker.send(&changed(2, &[0b11], &[1.0, 2.0]));
    });
}

#[test]
fn a_violation_takes_back_nothing_before_it_and_lets_nothing_after_it_through() {
    let mut house = House::new();
    let mut bytes = report(2, &[2.0, 2.0]);
    bytes.extend(report(2, &[3.0, 3.0]));
    bytes.extend(report(4, &[4.0, 4.0]));
    house.refuses(Stage::Reporting, &bytes, Code::SequenceNotRising);
}
