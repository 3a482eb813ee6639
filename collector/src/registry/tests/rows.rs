//! Rows of tables: they appear and disappear on pages, and are stored once.

use fleetgauge_proto::message::Label;
use fleetgauge_proto::report::is_absent;

use super::*;

pub(super) fn label<'a>(name: &'a str, value: &'a str) -> Label<'a> {
    Label { name, value }
}

/// A catalog of the gauge `load`, and a table of rows by `device` with the gauges `used` and
/// `size`.
pub(super) fn disks(registry: &Registry, number: u8) -> CatalogPin {
    let host = Table { row_labels: vec![], columns: vec![column(0)] };
    let disk = Table { row_labels: vec!["device"], columns: vec![column(1), column(2)] };
    let families = [("load", GAUGE), ("used", GAUGE), ("size", GAUGE)];
    pin(registry, number, catalog_of(&families, vec![host, disk]))
}

/// Changes rows of an agent and makes the change visible. Values stay.
pub(super) fn replace(registry: &Registry, agent: &Arc<RegisteredAgent>, change: &RowChange<'_>) {
    let mut pending = registry.pending_values_of(agent).unwrap().unwrap();
    registry.change_rows(&mut pending, std::slice::from_ref(change), &Limits::default()).unwrap();
    assert_eq!(registry.replace(agent, pending), Ok(Some(vec![])));
}

#[test]
fn rows_appear_and_disappear() {
    let registry = registry();
    let agent = enter(&registry, "a", 1, &disks(&registry, 1), &[7.0]);
    assert_eq!(page(&registry), ["load{agent=\"a\"} 7"]);
    replace(&registry, &agent, &change(0, 1, &[], &["sda", "sdc"]));
    assert_eq!(page(&registry), ["load{agent=\"a\"} 7"], "the values of new rows are absent");
    assert_eq!(store(&agent, &[8.0, 1.0, 2.0, 3.0, 4.0]), Ok(true));
    replace(&registry, &agent, &change(0, 1, &[0], &["sdb", "sdd"]));
    let kept = ["load{agent=\"a\"} 8", "size{agent=\"a\",device=\"sdc\"} 4"];
    assert_eq!(page(&registry), [kept[0], kept[1], "used{agent=\"a\",device=\"sdc\"} 3"]);
    assert_eq!(store(&agent, &[9.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), Ok(true));
    let all = [
        "load{agent=\"a\"} 9",
        "size{agent=\"a\",device=\"sdb\"} 2",
        "size{agent=\"a\",device=\"sdc\"} 4",
        "size{agent=\"a\",device=\"sdd\"} 6",
        "used{agent=\"a\",device=\"sdb\"} 1",
        "used{agent=\"a\",device=\"sdc\"} 3",
        "used{agent=\"a\",device=\"sdd\"} 5",
    ];
    assert_eq!(page(&registry), all);
    replace(&registry, &agent, &change(0, 1, &[0, 1, 2], &[]));
    assert_eq!(page(&registry), ["load{agent=\"a\"} 9"]);
}

#[test]
fn change_is_invisible_before_replace() {
    let registry = registry();
    let agent = enter(&registry, "a", 1, &disks(&registry, 1), &[7.0]);
    replace(&registry, &agent, &change(0, 1, &[], &["sda"]));
    assert_eq!(store(&agent, &[7.0, 1.0, 2.0]), Ok(true));
    let before = page(&registry);
    let mut pending = registry.pending_values_of(&agent).unwrap().unwrap();
    let limits = Limits::default();
    registry.change_rows(&mut pending, &[change(0, 1, &[0], &["sdb"])], &limits).unwrap();
    apply(&mut pending, &[8.0, 8.0, 8.0]);
    assert_eq!(page(&registry), before);
    drop(pending);
    assert_eq!(page(&registry), before);
}

#[test]
fn new_catalog_of_a_slot_has_no_rows() {
    let registry = registry();
    let catalog = disks(&registry, 1);
    let agent = enter(&registry, "a", 1, &catalog, &[7.0]);
    replace(&registry, &agent, &change(0, 1, &[], &["sda"]));
    assert_eq!(store(&agent, &[7.0, 1.0, 2.0]), Ok(true));
    let mut pending = registry.pending_values_of(&agent).unwrap().unwrap();
    registry.set_catalog(&mut pending, 0, catalog).unwrap();
    assert_eq!(registry.replace(&agent, pending), Ok(Some(vec![])));
    assert!(page(&registry).is_empty(), "all values are absent");
    assert_eq!(store(&agent, &[7.5]), Ok(true));
    assert_eq!(page(&registry), ["load{agent=\"a\"} 7.5"]);
}

#[test]
fn replacement_of_an_agent_that_was_taken_over_is_dropped() {
    let registry = registry();
    let catalog = disks(&registry, 1);
    let old = enter(&registry, "a", 1, &catalog, &[7.0]);
    let pending = registry.pending_values_of(&old).unwrap().unwrap();
    let _new = enter(&registry, "a", 2, &catalog, &[8.0]);
    let taken = registry.budget.taken();
    assert_eq!(registry.replace(&old, pending), Ok(None));
    assert!(registry.pending_values_of(&old).unwrap().is_none());
    assert_eq!(page(&registry), ["load{agent=\"a\"} 8"]);
    assert!(registry.budget.taken() <= taken);
    assert!(registry.leave(old.id(), 2));
    assert!(registry.families.lock().page(&[catalog.entry()], 0).len() == 3, "departed");
    assert_eq!(registry.families.lock().agents(catalog.entry()), 0);
}

#[test]
fn invalid_change_leaves_rows_as_they_are() {
    let registry = registry();
    let agent = enter(&registry, "a", 1, &disks(&registry, 1), &[7.0]);
    replace(&registry, &agent, &change(0, 1, &[], &["sda"]));
    assert_eq!(store(&agent, &[7.0, 1.0, 2.0]), Ok(true));
    let mut pending = registry.pending_values_of(&agent).unwrap().unwrap();
    let small = Limits { max_series: 6, max_values: 100, max_label_bytes: 13, ..Limits::default() };
    for (invalid, code) in [
        (change(0, 0, &[], &["x"]), Code::UnknownTable),
        (change(0, 2, &[], &["x"]), Code::UnknownTable),
        (change(1, 1, &[], &["x"]), Code::UnknownTable),
        (change(255, u32::MAX, &[], &["x"]), Code::UnknownTable),
        (change(0, 1, &[1], &[]), Code::BadRow),
        (change(0, 1, &[0, 0], &[]), Code::BadRow),
        (change(0, 1, &[], &["sda"]), Code::BadRow),
        (change(0, 1, &[], &["sdc", "sdb"]), Code::BadRow),
        (change(0, 1, &[], &["sdb", "sdc"]), Code::TooManySeries),
        (change(0, 1, &[], &["a long name"]), Code::LabelTooLong),
    ] {
        let refused =
            registry.change_rows(&mut pending, std::slice::from_ref(&invalid), &small).unwrap_err();
        let ChangeError::Violation(violation) = refused else { panic!("{refused}") };
        assert_eq!(violation.code(), code, "{invalid:?}");
    }
    let few = Limits { max_values: 4, ..Limits::default() };
    let refused = registry.change_rows(&mut pending, &[change(0, 1, &[], &["sdb"])], &few);
    assert!(refused.unwrap_err().to_string().contains("values"));
    assert_eq!(registry.replace(&agent, pending), Ok(Some(vec![])));
    assert_eq!(page(&registry).len(), 3);
}

#[test]
fn equal_rows_are_stored_once() {
    let registry = registry();
    let (one, two) = (disks(&registry, 1), disks(&registry, 2));
    let agents: Vec<_> = (1..=20)
        .map(|n| {
            let catalog = if n % 2 == 0 { &one } else { &two };
            enter(&registry, &format!("a{n}"), n, catalog, &[1.0])
        })
        .collect();
    assert_eq!(registry.rows.len(), 0, "no rows");
    for agent in &agents {
        replace(&registry, agent, &change(0, 1, &[], &["sda", "sdb"]));
    }
    assert_eq!(registry.rows.len(), 1, "the same two rows");
    let taken = registry.budget.taken();
    replace(&registry, &agents[0], &change(0, 1, &[0], &[]));
    assert_eq!(registry.rows.len(), 2);
    replace(&registry, &agents[0], &change(0, 1, &[], &["sda"]));
    assert_eq!((registry.rows.len(), registry.budget.taken()), (1, taken));
    for (n, agent) in (1..).zip(&agents) {
        assert_eq!(registry.rows.len(), 1);
        assert!(registry.leave(agent.id(), n));
    }
    assert_eq!(registry.rows.len(), 0);
}

#[test]
fn rows_can_be_shared_and_freed_concurrently() {
    let registry = registry();
    let catalog = disks(&registry, 1);
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (registry, catalog) = (&registry, &catalog);
            scope.spawn(move || {
                let agent = enter(registry, &format!("a{thread}"), thread, catalog, &[1.0]);
                for _ in 0..2_000 {
                    replace(registry, &agent, &change(0, 1, &[], &["sda"]));
                    replace(registry, &agent, &change(0, 1, &[0], &[]));
                }
                assert!(registry.leave(agent.id(), thread));
            });
        }
    });
    assert_eq!(registry.rows.len(), 0);
    drop(catalog);
    registry.catalogs.evict_unused();
    assert_eq!(registry.budget.taken(), 0);
}

#[test]
fn invalid_report_makes_all_values_absent() {
    let registry = registry();
    let agent = enter(&registry, "a", 1, &disks(&registry, 1), &[7.0]);
    let other = enter(&registry, "b", 2, &disks(&registry, 1), &[7.0]);
    let valid = encode(&[1.0], &layout(&agent));
    let invalid = fleetgauge_proto::report::Values::All(&[0xff, 0xff, 0xff]);
    let violation = agent.store(&invalid).unwrap_err();
    assert_eq!(violation.code(), Code::BadValue);
    assert_eq!(page(&registry), ["load{agent=\"b\"} 7"]);
    registry.each_agent(|labels, _, values| {
        assert_eq!(is_absent(values[0]), labels == "agent=\"a\"");
    });
    assert_eq!(agent.store(&valid.values()), Ok(Some(1)));
    assert!(registry.leave(agent.id(), 1));
    assert!(registry.leave(other.id(), 2));
}

#[test]
fn catalogs_of_an_agent_have_different_families() {
    let registry = registry();
    let limits = Limits::default();
    let (one, two) = (disks(&registry, 1), disks(&registry, 2));
    let total = pin_fixed(&registry, 3, &[("used_total", GAUGE)]);
    let counter = pin_fixed(&registry, 4, &[("used", COUNTER)]);
    for (first, second, same) in
        [(&one, &two, true), (&one, &one, true), (&one, &total, false), (&total, &counter, true)]
    {
        let mut pending = PendingValues::empty();
        registry.set_catalog(&mut pending, 0, first.clone()).unwrap();
        assert_eq!(pending.check_catalogs(&limits), Ok(()));
        registry.set_catalog(&mut pending, 5, second.clone()).unwrap();
        let checked = pending.check_catalogs(&limits).map_err(|violation| violation.code());
        assert_eq!(checked, if same { Err(Code::DuplicateFamily) } else { Ok(()) });
    }
}

/// An agent could otherwise hide a gauge of the whole fleet.
#[test]
fn column_with_row_labels_hides_no_gauge_of_other_agents() {
    let registry = registry();
    let host = pin_fixed(&registry, 1, &[("load", GAUGE)]);
    let disk = Table { row_labels: vec!["device"], columns: vec![column(0), column(1)] };
    let other = pin(&registry, 2, catalog_of(&[("load", GAUGE), ("used", GAUGE)], vec![disk]));
    let _ = enter(&registry, "other", 1, &other, &[]);
    let _ = enter(&registry, "host", 2, &host, &[1.0]);
    let gauges = |only| {
        let gauges = registry.gauges(only).into_iter();
        let catalogs = |gauge: &GaugeFamily| {
            gauge.members.iter().map(|member| member.catalog).collect::<Vec<_>>()
        };
        gauges.map(|gauge| (gauge.name.to_string(), catalogs(&gauge))).collect::<Vec<_>>()
    };
    let [host, other] = [host, other].map(|catalog| catalog.entry().key());
    assert_eq!(gauges(None), [("load".to_owned(), vec![host])]);
    assert_eq!(gauges(Some("load")), [("load".to_owned(), vec![other, host])]);
    assert_eq!(gauges(Some("used")), [("used".to_owned(), vec![other])]);
}

/// A catalog of many columns that other agents have declared costs an agent without rows neither
/// bytes nor memory.
#[test]
fn columns_of_agents_without_rows_take_no_time() {
    const COLUMNS: u32 = 1_000;
    let registry = registry();
    let disk = Table { row_labels: vec!["device"], columns: (0..COLUMNS).map(column).collect() };
    let names: Vec<_> = (0..COLUMNS).map(|n| format!("m{n}")).collect();
    let families: Vec<_> = names.iter().map(|name| (name.as_str(), GAUGE)).collect();
    let wide = pin(&registry, 1, catalog_of(&families, vec![disk]));
    let visits = |registry: &Registry| {
        let before = visited::columns();
        let lines = page(registry).len();
        (visited::columns() - before, lines)
    };
    let mut last = None;
    for n in 0..20 {
        last = Some(enter(&registry, &format!("a{n}"), n, &wide, &[]));
    }
    assert_eq!(visits(&registry), (0, 0));
    let with_rows = last.unwrap();
    let mut values = registry.pending_values_of(&with_rows).unwrap().unwrap();
    let row = change(0, 0, &[], &["sda"]);
    registry.change_rows(&mut values, &[row], &Limits::default()).unwrap();
    apply(&mut values, &[1.0; COLUMNS as usize]);
    assert_eq!(registry.replace(&with_rows, values), Ok(Some(vec![])));
    assert_eq!(visits(&registry), (COLUMNS as usize, COLUMNS as usize));
}
