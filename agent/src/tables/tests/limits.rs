//! Samples fit the limits of the collector whatever the sources write.

use fastrand::Rng;

use super::*;
use crate::client::ClientError;

/// Returns a table with this many columns.
fn table(names: &[&'static str], labels: &'static [&'static str]) -> TableSpec {
    let columns = names.iter().map(|name| ColumnSpec::new(family(name, FamilyKind::Gauge)));
    TableSpec { row_labels: labels, columns: columns.collect() }
}

/// Returns this many names of columns.
fn columns(prefix: &str, count: usize) -> Vec<&'static str> {
    (0..count).map(|at| &*format!("{prefix}_{at}").leak()).collect()
}

fn fill(output: &mut Output, rows: usize) {
    (0..rows).for_each(|row| output.row(0, &[&format!("veth{row}")]).fill(1.0));
}

/// Returns a state whose sources have tables with this many columns and rows.
fn state_of(sources: &[(usize, usize)]) -> TableState {
    let table = |(at, (width, _)): (usize, &(usize, usize))| {
        vec![table(&columns(&format!("s{at}"), *width), &["device"])]
    };
    let tables: Vec<_> = sources.iter().enumerate().map(table).collect();
    let mut state = TableState::new(TableSet::try_new([], tables.iter().map(|t| &**t)).unwrap());
    for (at, (_, rows)) in sources.iter().enumerate() {
        state.set(at, &reading(&tables[at], |output| fill(output, *rows)));
    }
    state
}

#[test]
fn five_thousand_interfaces_cost_only_the_collectors_about_them() {
    // The number of columns of netdev, netclass, cpu and others.
    let mut state = state_of(&[(10, 400), (20, 5000), (23, 5000), (8, 500)]);
    let sample = sample(&mut state);
    assert_eq!(state.left_out(), [2, 1], "the largest first");
    assert_eq!(sample.values.len(), 10 * 400 + 8 * 500);
    assert_eq!(sample.check_limits(state.catalogs(), &Limits::default()), Ok(()));
    let excess = state.excess().unwrap();
    assert_eq!((excess.what, excess.needed), ("number of series", 4000 + 100_000 + 115_000 + 4000));
    assert_eq!(state.series(2), 115_000);
}

#[test]
fn smallest_of_several_large_sources_is_left_out_if_that_suffices() {
    // Without netclass, netdev fits.
    let mut state = state_of(&[(10, 400), (20, 1500), (23, 1500), (8, 500)]);
    sample(&mut state);
    assert_eq!(state.left_out(), [1]);
    // A small source never goes instead of the one that is too large.
    let mut state = state_of(&[(1, 10), (1, 49_999)]);
    sample(&mut state);
    assert_eq!(state.left_out(), [1]);
}

#[test]
fn source_with_long_labels_is_left_out() {
    let specs = [vec![table(&["few"], &["path"])], vec![table(&columns("many", 100), &["cpu"])]];
    let set = TableSet::try_new([], specs.iter().map(|tables| &**tables)).unwrap();
    let mut state = TableState::new(set);
    state.set(
        0,
        &reading(&specs[0], |output| {
            (0..600).for_each(|row| output.row(0, &[&format!("{row:01000}")])[0] = 1.0);
        }),
    );
    state.set(1, &reading(&specs[1], |output| fill(output, 400)));
    sample(&mut state);
    assert_eq!((state.left_out(), state.series(0), state.series(1)), (&[0][..], 600, 40_000));
    assert_eq!(state.excess().unwrap().what, "bytes of the rows' labels");
}

#[test]
fn found_families_fit_the_catalogs_of_the_collector() {
    let few = Limits { max_families: 3, max_payload_bytes: 16 * 1024, ..Limits::default() };
    let mut state = state(&[&[fixed(&[LOAD])]]);
    let (help, name) = ("h".repeat(400), "n".repeat(150));
    let find = |output: &mut Output| {
        for at in 0..10 {
            let name = format!("{name}{at}");
            let family = FoundFamily { name: &name, kind: FamilyKind::Gauge, help: &help };
            output.sample(family, &[], 1.0);
        }
    };
    state.set(0, &reading(&[fixed(&[LOAD])], find));
    for (limits, catalogs, left_out) in [
        (few, 5, 0),
        (Limits { max_families: 1, ..few }, 11, 0),
        (Limits { max_payload_bytes: 1500, ..few }, 6, 0),
        (Limits { max_payload_bytes: 500, ..few }, 11, 10),
    ] {
        let sample = state.sample(&limits);
        assert_eq!(sample.check_limits(state.catalogs(), &limits), Ok(()), "{limits:?}");
        assert_eq!(sample.values.len(), 11 - left_out);
        assert_eq!(
            (state.catalogs().by_slot().len() >= catalogs, state.families_left_out().len()),
            (true, left_out),
            "{limits:?}"
        );
    }
    assert_eq!(state.sample(&Limits::default()).values.len(), 11);
}

#[test]
fn families_that_sources_share_count_with_all_labels_of_their_rows() {
    let mut state = state(&[&[], &[]]);
    let rows = |labels: [&'static str; 3]| {
        move |output: &mut Output| {
            for at in 0..10 {
                let family = FoundFamily { name: "shared", kind: FamilyKind::Gauge, help: "" };
                let value = at.to_string();
                output.sample(family, &labels.map(|name| (name, &*value)), 1.0);
            }
        }
    };
    state.set(0, &reading(&[], rows(["a", "b", "c"])));
    state.set(1, &reading(&[], rows(["d", "e", "f"])));
    // Each source alone has 30 label values; the merged table has 120.
    let limits = Limits { max_payload_bytes: 300, ..Limits::default() };
    let sample = state.sample(&limits);
    assert_eq!(sample.check_limits(state.catalogs(), &limits), Ok(()));
    assert_eq!((state.left_out().len(), sample.values.len()), (1, 10));
    assert_eq!(state.sample(&limits), sample, "the choice is stable");
    assert_eq!(state.left_out().len(), 1);
}

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Writes random rows and samples.
fn write_random(random: &mut Rng, tables: &[TableSpec], output: &mut Output) {
    for (at, table) in tables.iter().enumerate() {
        let text = |random: &mut Rng| "x".repeat(random.usize(..20)) + &random.u8(..).to_string();
        for _ in 0..random.usize(..12) {
            let labels: Vec<_> = table.row_labels.iter().map(|_| text(random)).collect();
            let labels: Vec<_> = labels.iter().map(String::as_str).collect();
            output.row(at, &labels).fill(1.0);
        }
    }
    for _ in 0..random.usize(..20) {
        let name =
            "found_".to_owned() + &"n".repeat(random.usize(..100)) + NAMES[random.usize(..6)];
        let help = "h".repeat(random.usize(..500));
        let value = "v".repeat(random.usize(..40));
        let labels: Vec<_> =
            (0..random.usize(..3)).map(|_| (NAMES[random.usize(..6)], &*value)).collect();
        let kind = if random.u8(..20) == 0 { FamilyKind::Unknown } else { FamilyKind::Gauge };
        output.sample(FoundFamily { name: &name, kind, help: &help }, &labels, 1.0);
    }
}

#[test]
fn random_samples_never_exceed_random_limits() {
    const SOURCES: usize = 5;
    let (mut fits, mut cut) = (0, 0);
    for seed in 0..400 {
        let mut random = Rng::with_seed(seed);
        let tables: Vec<Vec<TableSpec>> = (0..SOURCES)
            .map(|source| {
                let width = random.usize(1..6);
                let name = |kind: &str| columns(&format!("s{source}_{kind}"), width);
                let mut tables =
                    vec![table(&name("one"), &["device"]), table(&name("two"), &["x", "y"])];
                tables.push(fixed(&[LOAD]));
                tables.truncate(random.usize(..=if source == 0 { 3 } else { 2 }));
                tables
            })
            .collect();
        let set = TableSet::try_new([], tables.iter().map(|tables| &**tables)).unwrap();
        let limits = Limits {
            max_payload_bytes: random.u32(500..6000),
            max_families: random.u32(1..60),
            max_series: random.u32(1..300),
            max_values: random.u32(1..300),
            max_label_bytes: random.u32(1..3000),
        };
        let bare = TableState::new(set.clone()).sample(&limits);
        let declared_fits = bare.check_limits(set.catalogs(), &limits) == Ok(());
        let mut state = TableState::new(set);
        let mut outputs: Vec<_> = tables.iter().map(|tables| Output::new(tables)).collect();
        for _round in 0..4 {
            let source = random.usize(..SOURCES);
            for at in [source, (source + 1) % SOURCES, (source + 2) % SOURCES] {
                let random = &mut random;
                read_again(&mut outputs[at], |output| write_random(random, &tables[at], output));
                state.set(at, &outputs[at]);
            }
            let sample = state.sample(&limits);
            let checked = sample.check_limits(state.catalogs(), &limits);
            let is_over = matches!(checked, Err(ClientError::OverLimit { .. }));
            assert_eq!(is_over, !declared_fits, "seed {seed}: {checked:?}");
            let expected = state.catalogs().tables().iter().zip(&sample.rows);
            let expected = expected.map(|(table, rows)| table.row_count(rows) * table.width());
            assert_eq!(expected.sum::<usize>(), sample.values.len(), "seed {seed}");
            *(if state.left_out().is_empty() { &mut fits } else { &mut cut }) += 1;
        }
    }
    assert!(fits > 100 && cut > 100, "{fits} {cut}");
}
