//! Catalogs and rows of a session: they take effect with the next report.

use fleetgauge_collector::peers::close_reason::CloseReason;
use fleetgauge_proto::report::ABSENT;
use fleetgauge_proto::{Code, Message};

use super::{reporting, rig};
use crate::support::agent::{Identity, identity};
use crate::support::collector::config;
use crate::support::driven::{Driven, Rig, Sent};
use crate::support::frames::{
    GAUGE, add_disks, catalog_in, change, changed_first, changed_from, disks, family, frame,
    gauges, gauges_in, hello, report, rows, single, table,
};

/// The series of an agent without its name: `load`, `used{sda}`.
fn series(rig: &Rig) -> Vec<(String, f64)> {
    let short = |series: &str| {
        let (name, labels) = series.split_once('{').unwrap();
        let device =
            labels.split_once("device=\"").map(|(_, rest)| rest.split('"').next().unwrap());
        device.map_or(name.to_owned(), |device| format!("{name}{{{device}}}"))
    };
    rig.page().samples().map(|(series, value)| (short(series), value)).collect()
}

fn is_shown(rig: &Rig, expected: &[(&str, f64)]) {
    let expected: Vec<_> =
        expected.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    assert_eq!(series(rig), expected);
}

fn every_second() -> Identity<'static> {
    Identity { interval_ms: 1_000, ..identity("a") }
}

fn is_refused(agent: &mut Driven, code: Code) {
    assert_eq!(agent.take_sent(), [Sent::Reject(code)]);
    assert_eq!(agent.close_reason(), Some(CloseReason::Rejected(code)));
}

#[test]
fn rows_are_shown_with_the_next_report() {
    let rig = rig();
    let mut agent = reporting(&rig, &identity("a"), &disks());
    agent.receives(&rig, &add_disks(&["sda", "sdb"]));
    is_shown(&rig, &[("load", 1.0)]);
    agent.receives(&rig, &report(2, &[2.0, 3.0, 4.0, ABSENT, 6.0]));
    let all = [("load", 2.0), ("size{sda}", 4.0), ("size{sdb}", 6.0), ("used{sda}", 3.0)];
    is_shown(&rig, &all);
    // Several frames between two reports. Rows that stay keep the values of the last report.
    agent.receives(&rig, &rows(&[change(0, 1, &[1], &["sdc"])]));
    agent.receives(&rig, &rows(&[change(0, 1, &[], &["sdb"])]));
    agent.receives(&rig, &rows(&[]));
    is_shown(&rig, &all);
    let before = [2.0, 3.0, 4.0, ABSENT, ABSENT, ABSENT, ABSENT];
    let now = [2.0, 3.0, 5.0, 7.0, ABSENT, ABSENT, 8.0];
    agent.receives(&rig, &changed_from(3, &before, &now));
    let all = [
        ("load", 2.0),
        ("size{sda}", 5.0),
        ("size{sdc}", 8.0),
        ("used{sda}", 3.0),
        ("used{sdb}", 7.0),
    ];
    is_shown(&rig, &all);
    agent.receives(&rig, &rows(&[change(0, 1, &[0, 1, 2], &[])]));
    agent.receives(&rig, &report(4, &[9.0]));
    is_shown(&rig, &[("load", 9.0)]);
    assert_eq!(agent.close_reason(), None);
}

#[test]
fn first_report_can_have_only_the_present_values() {
    let rig = rig();
    let mut agent = rig.connect();
    agent.receives(&rig, &identity("a").hello(&disks()));
    agent.receives(&rig, &disks().bytes);
    agent.receives(&rig, &add_disks(&["sda", "sdb"]));
    agent.receives(&rig, &changed_first(1, &[ABSENT, 1.5, ABSENT, ABSENT, -2.0]));
    is_shown(&rig, &[("size{sdb}", -2.0), ("used{sda}", 1.5)]);
}

#[test]
fn agent_sends_only_the_catalogs_that_are_unknown() {
    let rig = rig();
    let catalogs = [gauges(&["a"]), gauges_in(1, &["b"]), gauges_in(2, &["c"])];
    let _known = reporting(&rig, &identity("known"), &gauges(&["b"]));
    let mut agent = rig.connect();
    let mut greeting = hello("a", 1, catalogs[0].fingerprint);
    greeting.catalogs = catalogs.iter().map(|catalog| catalog.fingerprint).collect();
    agent.receives(&rig, &frame(&Message::Hello(greeting.clone())));
    assert_eq!(agent.take_catalogs_known(), !0b101, "the slot does not matter");
    agent.receives(&rig, &catalogs[2].bytes);
    agent.receives(&rig, &catalogs[0].bytes);
    agent.receives(&rig, &report(1, &[1.0, 2.0, 3.0]));
    let page = rig.page();
    for (name, value) in [("a", 1.0), ("b", 2.0), ("c", 3.0)] {
        assert_eq!(page.value(&format!("{name}{{agent=\"a\"}}")), Some(value));
    }
    // A report is rejected while a requested catalog is missing. Catalogs that Hello did not list
    // may come at any time.
    let mut early = rig.connect();
    greeting.agent_id = "early";
    greeting.catalogs.extend([gauges(&["d"]).fingerprint, gauges(&["e"]).fingerprint]);
    early.receives(&rig, &frame(&Message::Hello(greeting)));
    assert_eq!(early.take_catalogs_known(), !0b11000);
    early.receives(&rig, &gauges_in(4, &["e"]).bytes);
    early.receives(&rig, &report(1, &[1.0; 4]));
    is_refused(&mut early, Code::UnexpectedFrame);
    assert!(!rig.page().shows("early"));
}

#[test]
fn replaced_catalog_has_no_rows() {
    let rig = rig();
    let mut agent = reporting(&rig, &identity("a"), &disks());
    agent.receives(&rig, &add_disks(&["sda"]));
    agent.receives(&rig, &report(2, &[1.0, 2.0, 3.0]));
    agent.receives(&rig, &gauges_in(3, &["extra"]).bytes);
    agent.receives(&rig, &disks().bytes);
    is_shown(&rig, &[("load", 1.0), ("size{sda}", 3.0), ("used{sda}", 2.0)]);
    agent.receives(&rig, &add_disks(&["sdb"]));
    agent.receives(&rig, &changed_from(3, &[ABSENT; 4], &[ABSENT, ABSENT, 7.0, 8.0]));
    is_shown(&rig, &[("extra", 8.0), ("size{sdb}", 7.0)]);
}

#[test]
fn too_many_row_changes_are_rejected() {
    let mut config = config();
    config.bounds.limits.max_series = 20_001;
    let mut rig = Rig::new(config);
    let mut agent = reporting(&rig, &every_second(), &disks());
    let names: Vec<_> = (0..10_000).map(|n| format!("d{n:04}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let all: Vec<u32> = (0..10_000).collect();
    // A burst of as many rows as the agent may have series.
    agent.receives(&rig, &add_disks(&names));
    agent.receives(&rig, &rows(&[change(0, 1, &all, &[])]));
    agent.receives(&rig, &report(2, &[2.0]));
    rig.now += 1_000;
    agent.receives(&rig, &add_disks(&names[..201]));
    agent.receives(&rig, &report(3, &[1.0; 403]));
    assert_eq!((agent.close_reason(), agent.take_sent()), (None, vec![]));
    agent.receives(&rig, &rows(&[change(0, 1, &[0], &[])]));
    is_refused(&mut agent, Code::TooManyRowChanges);
    assert!(rig.page().0.is_empty());
}

#[test]
fn agent_can_add_as_many_rows_as_it_may_have_series_at_once() {
    let config = config();
    let count = config.bounds.limits.max_series as usize;
    let rig = Rig::new(config);
    let catalog =
        catalog_in(0, &[family("used", GAUGE)], &[table(&["device", "mountpoint"], &[single(0)])]);
    let mut agent = reporting(&rig, &every_second(), &gauges(&["load"]));
    agent.receives(&rig, &catalog.bytes);
    let names: Vec<_> = (0..count).map(|n| format!("{n:05}")).collect();
    for some in names.chunks(count / 2) {
        let added: Vec<_> = some.iter().flat_map(|name| [name, "/"]).collect();
        agent.receives(&rig, &rows(&[change(0, 0, &[], &added)]));
    }
    agent.receives(&rig, &report(2, &vec![1.0; count]));
    assert_eq!((agent.close_reason(), agent.take_sent()), (None, vec![]));
    assert_eq!(rig.page().samples().count(), count);
}

#[test]
fn ten_thousand_rows_can_be_added_and_removed_every_second() {
    let mut config = config();
    config.bounds.row_changes_per_second = 20_000;
    let mut rig = Rig::new(config);
    let mut agent = reporting(&rig, &every_second(), &disks());
    let names: Vec<_> = (0..20_000).map(|n| format!("d{n:05}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let (odd, even) = names.split_at(10_000);
    let all: Vec<u32> = (0..10_000).collect();
    let budget = &rig.collector.admission.budget;
    let without_rows = budget.taken();
    agent.receives(&rig, &add_disks(odd));
    agent.receives(&rig, &report(2, &[1.0; 20_001]));
    let with_rows = rig.collector.admission.budget.taken();
    assert!(with_rows > without_rows + 20_000 * 8);
    for second in 0..20 {
        rig.now += 1_000;
        let added = if second % 2 == 0 { even } else { odd };
        agent.receives(&rig, &rows(&[change(0, 1, &all, added)]));
        agent.receives(&rig, &report(3 + second, &[second as f64; 20_001]));
        assert_eq!((agent.close_reason(), agent.take_sent()), (None, vec![]));
        let page = rig.page();
        let shown = format!("used{{agent=\"a\",device=\"{}\"}}", added[77]);
        assert_eq!(page.value(&shown), Some(second as f64));
        assert_eq!(page.samples().count(), 20_001);
        assert_eq!(rig.collector.admission.budget.taken(), with_rows);
    }
    rig.now += 1_000;
    agent.receives(&rig, &rows(&[change(0, 1, &all, &[])]));
    agent.receives(&rig, &report(100, &[1.0]));
    assert_eq!(rig.collector.admission.budget.taken(), without_rows);
}
