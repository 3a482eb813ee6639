//! Attacks with the content of a Rows frame.

use std::io::Write;

use fleetgauge_proto::Code;

use super::{AttackedCollector, Stage};
use crate::support::agent::Agent;
use crate::support::frames::{
    GAUGE, HISTOGRAM, add_disks, catalog_in, change, changed, disks, family, report, rows, single,
    table, wide,
};

impl AttackedCollector {
    /// Checks that the frame is rejected from an agent with the row `sda`.
    fn refuses_rows(&mut self, bytes: &[u8], code: Code) {
        self.refuses_after(Stage::Reporting, code, |attacker| {
            with_row(attacker);
            attacker.send(bytes);
        });
    }
}

/// Replaces the catalog by [`disks`], with the row `sda`.
fn with_row(attacker: &mut Agent) {
    attacker.send(&disks().bytes);
    attacker.send(&add_disks(&["sda"]));
    attacker.report(&[1.0, 2.0, 3.0]);
}

#[test]
fn rows_of_an_unknown_table_are_rejected() {
    let mut attacked = AttackedCollector::new();
    for (slot, table) in [(0, 0), (0, 2), (0, u32::MAX), (1, 1), (15, 0), (255, 1)] {
        let bytes = rows(&[change(slot, table, &[], &["sdb"])]);
        attacked.refuses_rows(&bytes, Code::UnknownTable);
    }
    let valid = change(0, 1, &[], &["sdb"]);
    attacked.refuses_rows(&rows(&[valid, change(3, 1, &[], &["sdb"])]), Code::UnknownTable);
}

#[test]
fn row_that_exists_is_rejected() {
    let mut attacked = AttackedCollector::new();
    attacked.refuses_rows(&add_disks(&["sda"]), Code::BadRow);
    attacked.refuses_rows(&add_disks(&["sdb", "sdb"]), Code::BadRow);
    attacked.refuses_after(Stage::Reporting, Code::BadRow, |attacker| {
        with_row(attacker);
        attacker.send(&add_disks(&["sdb"]));
        attacker.send(&add_disks(&["sdb"]));
    });
}

#[test]
fn removal_of_a_row_that_is_not_there_is_rejected() {
    let mut attacked = AttackedCollector::new();
    for removed in [&[1][..], &[0, 0], &[0, 1], &[0, u32::MAX]] {
        attacked.refuses_rows(&rows(&[change(0, 1, removed, &[])]), Code::BadRow);
    }
    // Positions refer to the rows before the frame's additions.
    attacked.refuses_rows(&rows(&[change(0, 1, &[1], &["sdb"])]), Code::BadRow);
    attacked.refuses_after(Stage::Reporting, Code::BadRow, |attacker| {
        with_row(attacker);
        attacker.send(&rows(&[change(0, 1, &[0], &[])]));
        attacker.send(&rows(&[change(0, 1, &[0], &[])]));
    });
}

#[test]
fn rows_out_of_order_are_rejected() {
    let mut attacked = AttackedCollector::new();
    attacked.refuses_rows(&add_disks(&["sdc", "sdb"]), Code::BadRow);
    let twice = [change(0, 1, &[], &["sdb"]), change(0, 1, &[], &["sdc"])];
    attacked.refuses_rows(&rows(&twice), Code::BadRow);
    let falling = [change(1, 1, &[], &["sdb"]), change(0, 1, &[], &["sdc"])];
    attacked.refuses_rows(&rows(&falling), Code::BadRow);
}

#[test]
fn label_value_of_a_megabyte_is_rejected() {
    let mut attacked = AttackedCollector::new();
    attacked.refuses_rows(&add_disks(&[&"x".repeat(1_025)]), Code::LabelTooLong);
    attacked.refuses_rows(&add_disks(&[&"x".repeat(1_000_000)]), Code::LabelTooLong);
    // Send only the start: the collector rejects the length in the header.
    let start = &add_disks(&[&"x".repeat(1 << 20)])[..1_000];
    attacked.refuses_rows(start, Code::FrameTooLarge);
}

#[test]
fn too_many_row_label_bytes_are_rejected() {
    let mut attacked = AttackedCollector::new();
    let names: Vec<_> = (0..520).map(|n| format!("{n:01020}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    attacked.refuses_rows(&add_disks(&names), Code::LabelTooLong);
}

#[test]
fn too_many_rows_are_rejected() {
    let mut attacked = AttackedCollector::new();
    let bounds: Vec<_> = (0..256).map(f64::from).collect();
    let wide = catalog_in(0, &[family("h", HISTOGRAM)], &[table(&["n"], &[wide(0, &bounds)])]);
    let names: Vec<_> = (0..400).map(|n| format!("{n:03}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    attacked.refuses_after(Stage::Reporting, Code::TooManyValues, |attacker| {
        attacker.send(&wide.bytes);
        attacker.send(&rows(&[change(0, 0, &[], &names)]));
    });
    let columns: Vec<_> = (0..9).map(single).collect();
    let families: Vec<_> = ["a", "b", "c", "d", "e", "f", "g", "h", "i"]
        .iter()
        .map(|name| family(name, GAUGE))
        .collect();
    let many = catalog_in(0, &families, &[table(&["n"], &columns)]);
    let names: Vec<_> = (0..6_000).map(|n| format!("{n:04}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    attacked.refuses_after(Stage::Reporting, Code::TooManySeries, |attacker| {
        attacker.send(&many.bytes);
        attacker.send(&rows(&[change(0, 0, &[], &names)]));
    });
}

#[test]
fn ten_thousand_rows_added_and_removed_a_second_are_rejected() {
    let mut attacked = AttackedCollector::new();
    let names: Vec<_> = (0..10_000).map(|n| format!("d{n:04}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let all: Vec<u32> = (0..10_000).collect();
    let (add, remove) = (add_disks(&names), rows(&[change(0, 1, &all, &[])]));
    attacked.refuses_after(Stage::Reporting, Code::TooManyRowChanges, |attacker| {
        attacker.send(&disks().bytes);
        for _ in 0..5 {
            // A rejected agent continues to send until the connection ends.
            let sent = [&add, &remove].map(|bytes| attacker.stream.write_all(bytes));
            if sent.iter().any(Result::is_err) {
                break;
            }
        }
    });
}

/// A report shows the rows sent before it, not those sent after it.
#[test]
fn report_between_two_rows_frames_shows_the_rows_of_the_first() {
    let mut attacked = AttackedCollector::new();
    let mut attacker = attacked.attacker(Stage::Reporting);
    with_row(&mut attacker);
    let mut bytes = add_disks(&["sdb"]);
    bytes.extend(report(10, &[1.0, 2.0, 3.0, 4.0, 5.0]));
    bytes.extend(add_disks(&["sdc"]));
    attacker.send(&bytes);
    attacker.settle();
    let page = attacked.collector.page();
    assert_eq!(page.values_of("attacker").len(), 5, "{}", page.0);
    assert!(page.0.contains("sdb") && !page.0.contains("sdc"), "{}", page.0);
    // The next report is of all three.
    attacker.send(&report(11, &[1.0, 2.0, 3.0, 4.0, 5.0]));
    attacker.expect_reject(Code::BadValue);
    attacked.unaffected();
}

#[test]
fn bitmap_of_other_rows_is_rejected() {
    let mut attacked = AttackedCollector::new();
    let devices = ["sdb", "sdc", "sdd"];
    // A bitmap for three values after rows grew to nine values (two bytes).
    attacked.refuses_after(Stage::Reporting, Code::BadBitmap, |attacker| {
        with_row(attacker);
        attacker.send(&add_disks(&devices));
        attacker.send(&changed(3, &[0b001], &[9.0]));
    });
    // A bitmap for nine values after they shrank to three.
    attacked.refuses_after(Stage::Reporting, Code::BadBitmap, |attacker| {
        with_row(attacker);
        attacker.send(&add_disks(&devices));
        attacker.report(&[1.0; 9]);
        attacker.send(&rows(&[change(0, 1, &[1, 2, 3], &[])]));
        attacker.send(&changed(4, &[0b001, 0], &[9.0]));
    });
}

#[test]
fn report_with_the_size_of_other_rows_is_rejected() {
    let mut attacked = AttackedCollector::new();
    attacked.refuses_rows(&report(3, &[1.0; 5]), Code::BadValue);
    attacked.refuses_after(Stage::Reporting, Code::BadValue, |attacker| {
        with_row(attacker);
        attacker.send(&add_disks(&["sdb"]));
        attacker.send(&report(3, &[1.0; 3]));
    });
}
