//! Attacks with the content of a Rows frame.

use fleetgauge_proto::Code;

use super::{AttackedCollector, Stage};
use crate::support::agent::Agent;
use crate::support::frames::{add_disks, change, disks, report, rows};

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
fn invalid_rows_are_rejected() {
    let mut attacked = AttackedCollector::new();
    for bad in [
        change(0, 1, &[], &["sda"]),
        change(0, 1, &[], &["sdc", "sdb"]),
        change(0, 1, &[], &["sdb", "sdb"]),
        change(0, 1, &[1], &[]),
        change(0, 1, &[0, 0], &[]),
        change(0, 1, &[0, u32::MAX], &[]),
    ] {
        attacked.refuses_rows(&rows(&[bad]), Code::BadRow);
    }
    let twice = [change(0, 1, &[], &["sdb"]), change(0, 1, &[], &["sdc"])];
    attacked.refuses_rows(&rows(&twice), Code::BadRow);
}

#[test]
fn long_row_labels_are_rejected() {
    let mut attacked = AttackedCollector::new();
    let long = "x".repeat(1_025);
    attacked.refuses_rows(&add_disks(&[&long]), Code::LabelTooLong);
    let names: Vec<_> = (0..520).map(|n| format!("{n:01020}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    attacked.refuses_rows(&add_disks(&names), Code::LabelTooLong);
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
