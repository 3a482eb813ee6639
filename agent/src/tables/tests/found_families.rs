//! Families that sources find, as catalogs, rows and values.

use std::collections::{BTreeMap, HashSet};

use fleetgauge_proto::limits::{MAX_LABEL_VALUE_BYTES, MAX_NAME_BYTES};
use fleetgauge_proto::{Accept, Catalog, FrameBuffer, VERSION};

use super::super::found_catalogs::FoundCatalogs;
use super::*;

type Series = (&'static str, &'static [(&'static str, &'static str)], f64);

fn gauge(name: &str) -> FoundFamily<'_> {
    FoundFamily { name, kind: FamilyKind::Gauge, help: "" }
}

fn find(series: &'static [Series]) -> impl Fn(&mut Output) {
    |output| series.iter().for_each(|(name, labels, v)| output.sample(gauge(name), labels, *v))
}

/// Returns the tables of the last sample: `slot: family family {labels} [values]`.
fn tables(state: &mut TableState) -> Vec<String> {
    let sample = sample(state);
    let mut values = sample.values.iter();
    let layouts = state.catalogs().tables().iter().zip(&sample.rows);
    let shown = layouts.map(|(layout, rows)| {
        let rows_of = rows.iter(layout.row_labels().max(1));
        let labels: Vec<_> = rows_of.map(|row| row.collect::<Vec<_>>().join("/")).collect();
        let count = layout.row_count(rows) * layout.width();
        let values: Vec<_> = values.by_ref().take(count).collect();
        format!("{}: {labels:?} {values:?}", layout.slot())
    });
    let shown = shown.collect();
    assert!(values.next().is_none());
    shown
}

#[test]
fn families_with_the_same_single_row_share_a_table() {
    let mut state = state(&[&[fixed(&[LOAD])], &[]]);
    let output = reading(
        &[],
        find(&[
            ("b", &[("queue", "x")], 2.0),
            ("several", &[("code", "2"), ("queue", "x")], 4.0),
            ("several", &[("code", "1")], 3.0),
            ("a", &[("queue", "x")], 1.0),
            ("plain", &[], 5.0),
            ("plain2", &[("none", "")], 6.0),
        ]),
    );
    state.set(1, &output);
    let host = format!("0: [] [{ABSENT}]");
    assert_eq!(
        tables(&mut state),
        [&*host, "1: [] [5.0, 6.0]", "1: [\"x\"] [1.0, 2.0]", "1: [\"1/\", \"2/x\"] [3.0, 4.0]",]
    );
}

#[test]
fn samples_that_a_source_no_longer_finds_are_gone_and_those_of_a_failed_one_are_absent() {
    let mut state = state(&[&[], &[]]);
    let mut first = reading(&[], find(&[("a", &[("d", "1")], 1.0), ("a", &[("d", "2")], 2.0)]));
    state.set(0, &first);
    state.set(1, &reading(&[], find(&[("a", &[("d", "3")], 3.0)])));
    assert_eq!(tables(&mut state), ["1: [\"1\", \"2\", \"3\"] [1.0, 2.0, 3.0]"]);

    state.clear_values(usize::MAX);
    read_again(&mut first, find(&[("a", &[("d", "2")], 2.5)]));
    state.set(0, &first);
    let absent = ABSENT;
    assert_eq!(tables(&mut state), [format!("1: [\"2\", \"3\"] [2.5, {absent}]")]);
}

#[test]
fn catalogs_change_only_with_families_and_label_names() {
    let mut state = state(&[&[]]);
    let mut output = reading(&[], find(&[("a", &[("d", "1")], 1.0), ("b", &[("d", "1")], 1.0)]));
    let mut catalogs_after = |series: &'static [Series]| {
        read_again(&mut output, find(series));
        state.set(0, &output);
        sample(&mut state);
        state.catalogs().clone()
    };
    let shared = catalogs_after(&[("a", &[("d", "1")], 1.0), ("b", &[("d", "1")], 1.0)]);
    assert_eq!(shared.tables().len(), 1);
    let apart = catalogs_after(&[("a", &[("d", "1")], 1.0), ("b", &[("d", "2")], 1.0)]);
    assert_eq!(apart.tables().len(), 2);
    let back = catalogs_after(&[("a", &[("d", "1")], 1.0), ("b", &[("d", "1")], 1.0)]);
    assert_eq!(back, apart, "a row more or less does not change the catalog again");
    let more = catalogs_after(&[("b", &[("d", "1"), ("e", "1")], 1.0)]);
    assert_ne!(more, apart);
    let none = catalogs_after(&[]);
    assert_eq!((none.tables().len(), none.by_slot().len()), (0, 2), "no fewer than before");
}

#[test]
fn rows_that_did_not_change_are_shared_with_the_sample_before() {
    let mut state = state(&[&[]]);
    let mut output = Output::default();
    let mut rows_after = |series: &'static [Series]| {
        read_again(&mut output, find(series));
        state.set(0, &output);
        sample(&mut state).rows
    };
    let before = rows_after(&[
        ("b", &[("d", "1")], 1.0),
        ("c", &[("d", "1")], 1.0),
        ("x", &[("e", "1")], 1.0),
        ("x", &[("e", "2")], 1.0),
    ]);
    // The first family of the first table is new.
    let after = rows_after(&[
        ("a", &[("d", "1")], 1.0),
        ("b", &[("d", "1")], 1.0),
        ("w", &[("f", "1")], 1.0),
        ("x", &[("e", "1")], 1.0),
        ("x", &[("e", "2")], 1.0),
    ]);
    assert_eq!((before.len(), after.len()), (2, 3));
    assert!(Arc::ptr_eq(&before[0], &after[0]) && Arc::ptr_eq(&before[1], &after[2]));
    let changed = rows_after(&[("a", &[("d", "1")], 1.0), ("x", &[("e", "1")], 1.0)]);
    assert!(Arc::ptr_eq(&before[0], &changed[0]));
    assert_eq!(devices(&changed[1]), ["1"]);
}

#[test]
fn families_beyond_fifteen_catalogs_are_left_out() {
    let mut state = state(&[&[]]);
    let output = reading(&[], |output| {
        (0..14_000).for_each(|at| output.sample(gauge(&format!("family_{at:06}")), &[], 1.0));
    });
    state.set(0, &output);
    let values = sample(&mut state).values.len();
    assert_eq!((state.catalogs().by_slot().len(), values), (16, 15 * 900));
    assert_eq!(state.families_left_out().len(), 500);
}

#[test]
fn all_families_can_be_left_out_at_once() {
    let output = reading(&[], find(&[("a", &[("d", "1")], 1.0), ("b", &[], 2.0)]));
    let mut catalogs = FoundCatalogs::default();
    catalogs.update(&[output.found_groups()], &HashSet::new(), &Limits::default());
    assert_eq!((catalogs.tables.len(), catalogs.values), (2, 2));
    catalogs.leave_out_all("a bug");
    assert_eq!((catalogs.tables.len(), catalogs.values, catalogs.size), (0, 0, Size::default()));
    assert_eq!(catalogs.places, [vec![None, None]]);
    assert_eq!(catalogs.left_out, ["a", "b"].map(|name| (name.into(), "a bug".to_owned())));
    let messages = catalogs.messages(3);
    assert!(messages.len() == 3 && messages.iter().all(|message| message.families.is_empty()));
}

#[test]
fn illegal_contradicting_and_repeated_samples_are_left_out() {
    let mut state = state(&[&[fixed(&[LOAD])], &[], &[]]);
    let long = "x".repeat(MAX_LABEL_VALUE_BYTES + 1);
    let mut output = reading(&[], |output| {
        output.sample(gauge("good"), &[], 1.0);
        output.sample(gauge("good"), &[], 2.0);
        output.sample(gauge("good"), &[("d", &long)], 2.0);
        let counter = FoundFamily { kind: FamilyKind::CounterAsNamed, ..gauge("good") };
        output.sample(counter, &[("d", "1")], 2.0);
        output.sample(gauge("twice"), &[("d", "1")], 1.0);
        output.sample(gauge("twice"), &[("d", "1"), ("d", "1")], 1.0);
        output.sample(gauge("bad name"), &[], 3.0);
        output.sample(gauge("bad_label"), &[("a-b", "1")], 4.0);
        output.sample(gauge("load1"), &[], 5.0);
        output.sample(gauge("other"), &[], 6.0);
    });
    assert_eq!(output.samples_left_out(), 4);
    state.set(1, &output);
    read_again(&mut output, |output| {
        let unknown = FoundFamily { kind: FamilyKind::Unknown, ..gauge("other") };
        output.sample(unknown, &[("d", "1")], 7.0);
    });
    state.set(2, &output);
    assert_eq!(sample(&mut state).values[1..], [1.0, 6.0, 1.0]);
    let left_out: BTreeMap<_, _> =
        state.families_left_out().iter().map(|(name, why)| (&**name, &**why)).collect();
    let names: Vec<_> = left_out.keys().copied().collect();
    assert_eq!(names, ["bad name", "bad_label", "load1", "other"]);
    assert!(left_out["load1"].contains("the agent itself"), "{left_out:?}");
    assert!(left_out["other"].contains("different types"), "{left_out:?}");
}

#[test]
fn found_families_cannot_have_sample_names_of_declared_ones() {
    let mut state = state(&[&[fixed(&[FORKS, LATENCY])], &[]]);
    let names = ["forks", "forks_total", "forks_created", "disk_latency_sum", "forks_totals"];
    let output = reading(&[], |output| {
        names.iter().for_each(|name| output.sample(gauge(name), &[], 1.0));
    });
    state.set(1, &output);
    sample(&mut state);
    let left_out: Vec<_> = state.families_left_out().iter().map(|(name, _)| &**name).collect();
    assert_eq!(left_out, ["disk_latency_sum", "forks", "forks_created", "forks_total"]);
}

#[test]
fn failure_and_recovery_of_a_source_change_no_catalogs() {
    let mut state = state(&[&[]]);
    let output = reading(&[], find(&[("a", &[("d", "1")], 1.0)]));
    state.set(0, &output);
    assert_eq!(tables(&mut state), ["1: [\"1\"] [1.0]"]);
    let before = state.catalogs().clone();
    state.clear(0);
    assert_eq!(tables(&mut state), [format!("1: [\"1\"] [{ABSENT}]")]);
    state.set(0, &output);
    assert_eq!(tables(&mut state), ["1: [\"1\"] [1.0]"]);
    assert_eq!(*state.catalogs(), before);
}

#[test]
fn pinned_labels_get_a_prefix_until_they_are_pinned_no_more() {
    let mut state = state(&[&[]]);
    let series: &[Series] = &[
        ("a", &[("tenant", "x"), ("exported_tenant", "y")], 1.0),
        ("b", &[("tenant", "x")], 2.0),
        ("b", &[("site", "z")], 3.0),
    ];
    state.set(0, &reading(&[], find(series)));
    let mut labels_with = |pinned: &[&str]| {
        state.rename_labels(&pinned.iter().map(|name| Box::from(*name)).collect());
        let values = tables(&mut state);
        assert_eq!(values, ["1: [\"y/x\"] [1.0]", "1: [\"/x\", \"z/\"] [2.0, 3.0]"]);
        row_labels(state.catalogs().by_slot()[1].frame())
    };
    let own = ["exported_tenant tenant", "site tenant"];
    assert_eq!(labels_with(&[]), own);
    let renamed = ["exported_tenant exported_exported_tenant", "site exported_tenant"];
    assert_eq!(labels_with(&["tenant", "dc"]), renamed);
    let twice = "exported_exported_tenant exported_exported_exported_tenant";
    let both = labels_with(&["exported_tenant", "tenant"]);
    assert_eq!(both, [twice, "site exported_exported_tenant"]);
    assert_eq!(labels_with(&[]), own);
}

#[test]
fn only_the_family_whose_renamed_label_is_too_long_is_left_out() {
    let mut state = state(&[&[]]);
    let long = "l".repeat(MAX_NAME_BYTES - 1);
    let mut output = Output::new(&[]);
    output.begin();
    output.sample(gauge("a"), &[(&long, "x")], 1.0);
    output.sample(gauge("b"), &[("short", "x")], 2.0);
    output.finish();
    state.set(0, &output);
    state.rename_labels(&[Box::from(&*long)].into());
    assert_eq!(tables(&mut state), ["1: [\"x\"] [2.0]"]);
    assert_eq!(state.families_left_out().len(), 1);
}

/// Returns the row labels of each table of a catalog.
fn row_labels(mut frame: &[u8]) -> Vec<String> {
    let accept = Accept { version: VERSION, max_payload_bytes: 1 << 20 };
    let mut frames = FrameBuffer::default();
    let frame = frames.next(&mut frame, accept).unwrap().unwrap();
    let (_, catalog) = Catalog::try_from_frame(frame, &Limits::default()).unwrap();
    catalog.tables.iter().map(|table| table.row_labels.join(" ")).collect()
}
