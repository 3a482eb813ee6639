//! Invalid rows, and catalogs and reports that contradict them: each is rejected with its code, and
//! takes no memory afterwards, even while the connection is open.

use fleetgauge_proto::Code;
use fleetgauge_proto::report::Values;

use super::{reporting, rig};
use crate::support::agent::identity;
use crate::support::driven::{Rig, Sent};
use crate::support::frames::{
    GAUGE, add_disks, catalog_in, change, changed, disks, family, gauges, gauges_in, labelled,
    report, report_of, rows, single, table,
};

/// Sends these frames from an agent with the row `sda`. The last frame must be rejected with this
/// code, and only the data of another agent may remain.
fn leaves_nothing(what: &str, frames: &[Vec<u8>], code: Code) {
    let rig = rig();
    let _neighbour = reporting(&rig, &identity("neighbour"), &gauges(&["peace"]));
    let mut attacker = rig.connect();
    let before = held(&rig);
    attacker.receives(&rig, &identity("attacker").hello(&disks()));
    assert_eq!(attacker.take_sent(), [Sent::Welcome { catalogs_known: false }]);
    for frame in [&disks().bytes, &add_disks(&["sda"]), &report(1, &[1.0, 2.0, 3.0])] {
        attacker.receives(&rig, frame);
    }
    assert_eq!((attacker.take_sent(), rig.page().samples().count()), (vec![], 4), "{what}");
    for frame in frames {
        assert_eq!(attacker.close_reason(), None, "{what}: rejected before its last frame");
        attacker.receives(&rig, frame);
    }
    assert_eq!(attacker.take_sent(), [Sent::Reject(code)], "{what}");
    let page = rig.page();
    let shown: Vec<_> = page.samples().collect();
    assert_eq!(shown, [("peace{agent=\"neighbour\"}", 1.0)], "{what}");
    assert_eq!(held(&rig), before, "{what}");
}

/// Returns the bytes of the memory limit that are in use, and the numbers of catalogs and rows.
fn held(rig: &Rig) -> (usize, usize, usize) {
    let registry = &rig.collector.registry;
    registry.catalogs().evict_unused();
    (registry.budget().taken(), registry.catalogs().len(), registry.row_count())
}

#[test]
fn invalid_rows_leave_nothing() {
    let one = |removed: &[u32], added: &[&str]| vec![rows(&[change(0, 1, removed, added)])];
    let megabyte = "x".repeat(1_000_000);
    let (unknown, fixed) = (change(0, 2, &[], &["sdb"]), change(0, 0, &[], &["sdb"]));
    leaves_nothing("unknown table", &[rows(&[unknown])], Code::UnknownTable);
    leaves_nothing("table without row labels", &[rows(&[fixed])], Code::UnknownTable);
    leaves_nothing("row that exists", &one(&[], &["sda"]), Code::BadRow);
    leaves_nothing("removal beyond the rows", &one(&[1], &["sdb"]), Code::BadRow);
    leaves_nothing("removed twice", &one(&[0, 0], &[]), Code::BadRow);
    leaves_nothing("out of order", &one(&[], &["sdc", "sdb"]), Code::BadRow);
    leaves_nothing("label of a megabyte", &one(&[], &[&megabyte]), Code::LabelTooLong);
    let valid = add_disks(&["sdb"]);
    let after = [valid.clone(), valid];
    leaves_nothing("row that the frame before added", &after, Code::BadRow);
}

#[test]
fn rows_beyond_the_limits_leave_nothing() {
    let names: Vec<_> = (0..25_000).map(|n| format!("n{n:05}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    leaves_nothing("too many series", &[add_disks(&names)], Code::TooManySeries);
    let some = &names[..10_000];
    let all: Vec<u32> = (0..10_000).collect();
    let turn = [rows(&[change(0, 1, &[0], some)]), rows(&[change(0, 1, &all, &["sda"])])];
    let without_end: Vec<_> = turn.iter().cycle().take(5).cloned().collect();
    leaves_nothing("10,000 rows added and removed", &without_end, Code::TooManyRowChanges);
    let long: Vec<_> = (0..520).map(|n| format!("{n:01020}")).collect();
    let long: Vec<_> = long.iter().map(String::as_str).collect();
    leaves_nothing("too many label bytes", &[add_disks(&long)], Code::LabelTooLong);
}

#[test]
fn reports_that_contradict_the_rows_leave_nothing() {
    let added = add_disks(&["sdb", "sdc", "sdd"]);
    let of_before = [added.clone(), changed(2, &[0b001], &[9.0])];
    leaves_nothing("bitmap of the rows before", &of_before, Code::BadBitmap);
    let of_before = [added.clone(), report(2, &[0.0; 3])];
    leaves_nothing("values of the rows before", &of_before, Code::WrongValueCount);
    let too_many = [report(2, &[1.0; 5])];
    leaves_nothing("values of rows that were not added", &too_many, Code::BadValue);
    let superfluous = report_of(2, Values::Changed { bitmap: &[1, 0], values: &[1, 0] });
    leaves_nothing("value that is not canonical", &[added.clone(), superfluous], Code::BadValue);
    let between = [added, report(2, &[1.0; 9]), add_disks(&["sde"]), report(3, &[1.0; 9])];
    leaves_nothing("report between two Rows frames", &between, Code::BadValue);
}

#[test]
fn invalid_catalogs_beside_rows_leave_nothing() {
    let families = [family("a", GAUGE)];
    let of = |columns: &[_]| vec![catalog_in(1, &families, &[table(&["x"], columns)]).bytes];
    let label = [("y", "1")];
    let twice = of(&[labelled(0, &label), labelled(0, &label)]);
    leaves_nothing("family twice with the same labels", &twice, Code::DuplicateSeries);
    let (name_twice, both) = ([("y", "1"), ("y", "2")], [("x", "1")]);
    leaves_nothing("label name twice", &of(&[labelled(0, &name_twice)]), Code::DuplicateLabel);
    leaves_nothing("label of column and rows", &of(&[labelled(0, &both)]), Code::DuplicateLabel);
    let names: Vec<_> = (0..65_536).map(|n| format!("f{n}")).collect();
    let many: Vec<_> = names.iter().map(|name| family(name, GAUGE)).collect();
    let many = vec![catalog_in(1, &many, &[table(&[], &[single(0)])]).bytes];
    leaves_nothing("65,536 families", &many, Code::TooManyFamilies);
    let again = vec![gauges_in(1, &["used"]).bytes];
    leaves_nothing("family of another slot", &again, Code::DuplicateFamily);
    // A catalog costs as much as the reports of an interval, and twenty intervals are a burst. The
    // first catalog and its rows and report were sent before.
    let replaced: Vec<_> = (0..20).map(|n| gauges_in(1, &[&format!("g{n:02}")]).bytes).collect();
    leaves_nothing("catalogs replaced without end", &replaced[..19], Code::TooManyReports);
}
