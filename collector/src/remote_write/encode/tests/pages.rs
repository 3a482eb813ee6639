//! Requests have the series of the page.

use std::collections::{BTreeMap, BTreeSet};

use fleetgauge_proto::message::{self, Table};
use fleetgauge_proto::report::ABSENT;
use fleetgauge_proto::{Catalog, Limits};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::fixture::{
    Agent, Rows, TIME, catalog, column, decoded, decoded_samples, family, labels_of, rules,
};
use super::*;
use crate::remote_write::{RuleSet, Rules};

const LABELS: [&str; 10] =
    ["A", "Z", "_x", "a", "agent_agent_dc", "agent_dc", "agent_zz", "dc", "mode", "zz"];
const VALUES: [&str; 5] = ["1", "b\"\\\n", "ü", "x,y=\"1\"", "zz"];
const FAMILIES: [&str; 6] = ["m0", "m1", "m2", "m3", "m4", "m5"];
const KINDS: usize = 8;
const NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0000);
const CELLS: [f64; 10] =
    [0.0, -0.0, 1.0, -2.5, 1e300, NAN, f64::INFINITY, f64::NEG_INFINITY, ABSENT, 3.0];

type Labels = Vec<(&'static str, &'static str)>;

/// Some labels with values.
fn labels(names: Vec<&'static str>) -> impl Strategy<Value = Labels> {
    let count = names.len();
    let values = prop::collection::vec(select(&VALUES[..]), count);
    (subsequence(names, 0..=count.min(4)), values)
        .prop_map(|(names, values)| names.into_iter().zip(values).collect())
}

/// A table with a column for each of these families, and rows.
fn table(families: Vec<(u32, u8)>) -> impl Strategy<Value = (Table<'static>, Vec<&'static str>)> {
    let row_labels = prop_oneof![Just(vec![]), subsequence(LABELS.to_vec(), 0..=4)];
    row_labels.prop_flat_map(move |row_labels| {
        let others: Vec<_> = LABELS.into_iter().filter(|name| !row_labels.contains(name)).collect();
        let columns: Vec<_> = families
            .iter()
            .map(|&(own, kind)| {
                labels(others.clone()).prop_map(move |own_labels| column(own, kind, &own_labels))
            })
            .collect();
        let value = prop_oneof![Just(""), select(&VALUES[..])];
        let row = prop::collection::vec(value, row_labels.len());
        let rows = prop::collection::btree_set(row, 0..4);
        let labelled = !row_labels.is_empty();
        (columns, rows, Just(row_labels)).prop_map(move |(columns, rows, row_labels)| {
            let rows: BTreeSet<_> = if labelled { rows } else { BTreeSet::new() };
            (Table { row_labels, columns }, rows.into_iter().flatten().collect())
        })
    })
}

/// A legal catalog of families of all kinds, also of a later one, in two tables, and its rows.
fn declared() -> impl Strategy<Value = (message::Catalog<'static>, Vec<Rows>)> {
    let kinds = prop::collection::vec(1..=KINDS as u8, FAMILIES.len());
    let tables = kinds.prop_flat_map(|kinds| {
        let families =
            |range: Range<usize>| range.map(|own| (own as u32, kinds[own])).collect::<Vec<_>>();
        let tables = (table(families(0..4)), table(families(3..6)));
        (tables, Just(kinds.clone()))
    });
    tables.prop_filter_map(
        "no series of two tables are equal",
        |(((a, a_rows), (b, b_rows)), kinds)| {
            let families: Vec<_> =
                FAMILIES.iter().zip(&kinds).map(|(name, kind)| family(name, *kind)).collect();
            let catalog = catalog(0, &families, vec![a, b]);
            Catalog::try_new(&catalog, &Limits::default()).ok()?;
            let rows = [(0, 0, a_rows), (0, 1, b_rows)];
            let rows = rows.into_iter().filter(|(.., rows)| !rows.is_empty()).collect();
            Some((catalog, rows))
        },
    )
}

pub(super) fn agent() -> impl Strategy<Value = Agent> {
    let statics = labels(LABELS.to_vec());
    let cells = prop::collection::vec(select(&CELLS[..]), 1..40);
    (declared(), statics, cells).prop_map(|((catalog, rows), statics, cells)| {
        Agent::new(&statics, &[catalog], &rows, &cells)
    })
}

/// Two agents of a registry.
pub(super) fn two_agents() -> impl Strategy<Value = [Agent; 2]> {
    let cells = prop::collection::vec(select(&CELLS[..]), 1..40);
    (agent(), declared(), labels(LABELS.to_vec()), cells).prop_map(
        |(one, (catalog, rows), statics, cells)| {
            let labels = labels_of("web-2", &statics);
            let other = Agent::in_registry(&one.registry, labels, &[catalog], &rows, &cells);
            [one, other]
        },
    )
}

/// Rules that rename labels and metrics, also to names in use.
pub(super) fn renaming_rules() -> impl Strategy<Value = Rules> {
    let labels = (subsequence(LABELS.to_vec(), 0..=5), Just(LABELS.to_vec()).prop_shuffle());
    let samples = vec!["m0", "m0_total", "m1", "m1_sum", "m2_count", "m3_bucket", "m4", "m5"];
    let metrics = (subsequence(samples.clone(), 0..=5), Just(samples).prop_shuffle());
    (labels, metrics).prop_map(|(labels, metrics)| {
        let pairs = |(old, new): (Vec<&str>, Vec<&str>)| {
            old.into_iter().zip(new).map(|(old, new)| (old.into(), new.into())).collect()
        };
        rules(|rules: &mut RuleSet| {
            rules.rename_labels = pairs(labels);
            rules.rename_metrics = pairs(metrics);
        })
    })
}

fn canonical(mut series: Vec<fixture::Series>) -> Vec<fixture::Series> {
    // A parser can give any NaN.
    for (_, value) in &mut series {
        if f64::from_bits(*value).is_nan() {
            *value = NAN.to_bits();
        }
    }
    series.sort();
    series
}

proptest! {
    #[test]
    fn requests_have_the_series_of_the_page(agent in agent()) {
        let series = agent.series(&rules(|_| ()));
        prop_assert_eq!(canonical(series), canonical(agent.page()));
    }

    #[test]
    fn markers_name_the_series_of_the_samples(agent in agent()) {
        let mut encoder = Encoder::new(Arc::default());
        let (request, samples) = agent.request_by(&mut encoder);
        let (present, mut out) = (agent.present(), Vec::new());
        let cells = 0..agent.layout().cells() + 1;
        let markers = Points::markers(&present, TIME);
        let written =
            encoder.series(&agent.labels, agent.layout(), &[markers], cells, &mut out);
        prop_assert_eq!(written, Written { samples: 0, markers: samples });
        let labels = |request| decoded(request).into_iter().map(|(labels, _)| labels);
        prop_assert!(labels(&request).eq(labels(&out)));
    }

    #[test]
    fn parts_of_an_entry_have_each_series_once(
        agent in agent(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut encoder = Encoder::new(Arc::default());
        let (request, samples) = agent.request_by(&mut encoder);
        let end = agent.layout().cells() + 1;
        let cut = cut.index(end + 1);
        let (mut out, mut written) = (Vec::new(), 0);
        for cells in [0..cut, cut..end] {
            let (labels, layout) = (&agent.labels, agent.layout());
            let own = encoder.series(labels, layout, &[agent.samples()], cells, &mut out);
            written += own.total();
        }
        prop_assert_eq!(written, samples);
        prop_assert_eq!(out, request);
    }

    #[test]
    fn points_of_a_series_share_its_labels(
        agent in agent(),
        absent in prop::collection::vec(any::<bool>(), 64),
    ) {
        let mut later = agent.values.clone();
        for (value, absent) in later.iter_mut().zip(absent.iter().cycle()) {
            *value = if *absent { ABSENT } else { *value + 1.0 };
        }
        let gone = agent.present().minus(&CellSet::of(agent.layout(), &later));
        let gone = gone.unwrap_or_else(|| CellSet::empty(agent.layout()));
        let points = [
            agent.samples(),
            Points::markers(&gone, TIME + 1),
            Points::samples(&later, TIME + 2),
        ];
        let mut encoder = Encoder::new(Arc::default());
        let mut series = |points: &[Points<'_>]| {
            let (mut out, cells) = (Vec::new(), 0..agent.layout().cells() + 1);
            let written = encoder.series(&agent.labels, agent.layout(), points, cells, &mut out);
            (written, decoded_samples(&out).into_iter().collect::<BTreeMap<_, _>>())
        };
        let (written, together) = series(&points);
        let mut expected = (Written::default(), BTreeMap::<_, Vec<_>>::default());
        for points in points {
            let (written, own) = series(&[points]);
            expected.0 = expected.0.plus(written);
            for (labels, points) in own {
                expected.1.entry(labels).or_default().extend(points);
            }
        }
        prop_assert_eq!((written, together), expected);
    }

    #[test]
    fn renames_keep_all_series_apart(agent in agent(), rules in renaming_rules()) {
        let series = agent.names(&rules);
        let distinct: BTreeSet<_> = series.iter().collect();
        prop_assert_eq!(distinct.len(), series.len());
        prop_assert_eq!(series.len(), agent.page().len());
    }
}
