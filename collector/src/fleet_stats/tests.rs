use std::collections::BTreeMap;

use fleetgauge_proto::catalog::encode;
use fleetgauge_proto::message::{
    Catalog as CatalogMessage, Column, Family, Label, RowChange, Table,
};
use fleetgauge_proto::report::{ABSENT, EncodedValues};
use fleetgauge_proto::{AgentId, Catalog, Limits, StaticLabels};

use super::columns::{key, value};
use super::*;
use crate::exposition::{Format, write_labels};
use crate::peers::handle::ConnectionHandle;
use crate::registry::{CatalogLimits, PendingAgent, PendingValues, Registry};

const GAUGE: u8 = 1;
const COUNTER: u8 = 2;

fn registry() -> Registry {
    Registry::new(
        CatalogLimits { catalogs: 100, bytes: 1 << 20 },
        Default::default(),
        std::sync::Arc::new(crate::limits::memory_budget::MemoryBudget::new(usize::MAX)),
    )
}

/// Registers an agent with one series in each of the families (name, unit, metric type).
fn enter(
    registry: &Registry,
    id: &str,
    role: Option<&str>,
    families: &[(&str, &str, u8)],
    values: &[f64],
) {
    let columns = (0..u32::try_from(families.len()).unwrap()).map(column).collect();
    let tables = vec![Table { row_labels: vec![], columns }];
    enter_with_rows(registry, id, role, (families, tables), &[], values);
}

fn column(family: u32) -> Column<'static> {
    Column { family, width: 1, decimals: 0, parameters: vec![], labels: vec![] }
}

/// Registers an agent with these families, tables, and rows of the last table.
fn enter_with_rows(
    registry: &Registry,
    id: &str,
    role: Option<&str>,
    (families, tables): (&[(&str, &str, u8)], Vec<Table<'_>>),
    rows: &[&str],
    values: &[f64],
) {
    let family = |&(name, unit, kind): &(_, _, u8)| Family { name, unit, kind, help: "" };
    let families = families.iter().map(family).collect();
    let message = CatalogMessage { stream: 0, slot: 0, families, tables };
    let (frame, fingerprint) = encode(&message).unwrap();
    let catalog = Catalog::try_new(&message, &Limits::default()).unwrap();
    let pinned = registry.catalogs().intern(fingerprint, catalog, frame.len()).unwrap();
    let labels: Vec<_> = role.map(|value| Label { name: "role", value }).into_iter().collect();
    let labels = StaticLabels::try_new(&labels).unwrap();
    let id = AgentId::try_new(id).unwrap();
    let handle = ConnectionHandle::new(id.fnv1a(), ([127, 0, 0, 1], 1).into(), u64::MAX);
    let labels = write_labels(&id, &labels, None);
    let agent = PendingAgent { id, host_nonce: [1; 16], labels, handle };
    let mut pending = PendingValues::empty();
    registry.set_catalog(&mut pending, 0, pinned).unwrap();
    if !rows.is_empty() {
        let table = u32::try_from(message.tables.len()).unwrap() - 1;
        let change = RowChange { slot: 0, table, removed: vec![], added: rows.to_vec() };
        registry.change_rows(&mut pending, &[change], &Limits::default()).unwrap();
    }
    let mut encoded = EncodedValues::default();
    encoded.encode_all(values, pending.layout().shape());
    pending.apply(&encoded.values()).unwrap();
    registry.enter(&agent, pending, 0).unwrap();
}

fn page(registry: &Registry, query: &FleetQuery, format: Format) -> String {
    let mut page = Vec::new();
    write(&Columns::copy(registry, query).unwrap(), format, &mut page).unwrap();
    String::from_utf8(page).unwrap()
}

/// Computes the expected distribution by sorting all values.
fn expected(values: &[f64], bounds: &[f64]) -> Distribution {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = |quantile: f64| {
        let least = (quantile * sorted.len() as f64).ceil().max(1.0);
        sorted[least as usize - 1]
    };
    let at_or_below = |bound: &f64| values.iter().filter(|value| *value <= bound).count();
    Distribution {
        count: values.len(),
        mean: values.iter().sum::<f64>() / values.len() as f64,
        at_or_below: bounds.iter().map(at_or_below).collect(),
        quantiles: QUANTILES.map(at),
    }
}

#[test]
fn keys_preserve_the_order_of_values() {
    let ordered = [
        f64::NEG_INFINITY,
        f64::MIN,
        -1.5,
        -f64::MIN_POSITIVE,
        -5e-324,
        -0.0,
        0.0,
        5e-324,
        1e-300,
        1.0,
        1.0 + f64::EPSILON,
        f64::MAX,
        f64::INFINITY,
    ];
    assert!(ordered.map(key).is_sorted_by(|one, next| one < next));
    for one in ordered {
        assert_eq!(value(key(one)).to_bits(), one.to_bits());
    }
}

#[test]
fn distributions_are_exact() {
    let bounds = [-100.0, -1.0, 0.0, 0.05, 0.5, 1.0, 1e6];
    let mut random = 1_u64;
    let mut next = || {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as f64 / f64::from(1_u32 << 31)
    };
    let columns: Vec<Vec<f64>> = vec![
        vec![0.5],
        vec![2.0, 1.0],
        vec![1.0; 1000],
        (0..100).map(f64::from).collect(),
        (0..10_000).map(|_| next()).collect(),
        (0..10_000).map(|_| 0.5 + next() / 1e6).collect(),
        (0..10_000).map(|_| (next() - 0.5) * 10_f64.powf(next() * 20.0)).collect(),
        vec![f64::NEG_INFINITY, 1.0],
        vec![-0.0, 0.0, 5e-324, f64::INFINITY, f64::MAX],
    ];
    for values in columns {
        let keys: Vec<_> = values.iter().map(|value| key(*value)).collect();
        let distribution = Distribution::of(&keys, &bounds);
        let expected = expected(&values, &bounds);
        assert_eq!(distribution.quantiles, expected.quantiles);
        assert_eq!(distribution, expected);
    }
}

const LOAD: (&str, &str, u8) = ("load", "", GAUGE);
const USED: (&str, &str, u8) = ("disk_used_ratio", "ratio", GAUGE);

#[test]
fn page_has_all_gauges_of_all_catalogs_and_no_counters() {
    let registry = registry();
    enter(&registry, "a", None, &[USED, LOAD], &[0.05, 1.0]);
    enter(&registry, "b", None, &[USED, LOAD], &[0.9, ABSENT]);
    enter(&registry, "c", None, &[LOAD, ("sent", "", COUNTER)], &[-3.0, 7.0]);
    enter(&registry, "d", None, &[LOAD], &[f64::NAN]);
    let page = page(&registry, &FleetQuery::default(), Format::Text);
    let lines: Vec<_> = page.lines().collect();
    for line in [
        "# TYPE fleetgauge_fleet_disk_used_ratio histogram",
        "fleetgauge_fleet_disk_used_ratio_bucket{le=\"0.05\"} 1",
        "fleetgauge_fleet_disk_used_ratio_bucket{le=\"0.85\"} 1",
        "fleetgauge_fleet_disk_used_ratio_bucket{le=\"0.9\"} 2",
        "fleetgauge_fleet_disk_used_ratio_bucket{le=\"+Inf\"} 2",
        "fleetgauge_fleet_disk_used_ratio_mean 0.47500000000000003",
        "# TYPE fleetgauge_fleet_disk_used_ratio_quantile summary",
        "fleetgauge_fleet_disk_used_ratio_quantile{quantile=\"0\"} 0.05",
        "fleetgauge_fleet_disk_used_ratio_quantile{quantile=\"0.5\"} 0.05",
        "fleetgauge_fleet_disk_used_ratio_quantile{quantile=\"1\"} 0.9",
        "fleetgauge_fleet_load_bucket{le=\"-1\"} 1",
        "fleetgauge_fleet_load_bucket{le=\"1\"} 2",
        "fleetgauge_fleet_load_bucket{le=\"+Inf\"} 2",
        "fleetgauge_fleet_load_mean -1",
        "# TYPE fleetgauge_fleet_load_quantile summary",
        "fleetgauge_fleet_load_quantile{quantile=\"0\"} -3",
    ] {
        assert!(lines.contains(&line), "{line} is not in\n{page}");
    }
    assert!(!page.contains("sent"), "{page}");
    let page = super::tests::page(&registry, &FleetQuery::default(), Format::OpenMetrics);
    assert!(page.contains("# TYPE fleetgauge_fleet_load_quantile gauge\n"), "{page}");
}

#[test]
fn gauge_has_the_values_of_all_rows_and_columns() {
    let registry = registry();
    let families = [LOAD, USED, ("sent", "", COUNTER)];
    let modes = ["r", "w"].map(|value| vec![Label { name: "mode", value }]);
    let [read, write] = modes.map(|labels| Column { labels, ..column(1) });
    let tables = || {
        let host = Table { row_labels: vec![], columns: vec![column(0)] };
        let columns = vec![column(2), read.clone(), write.clone()];
        vec![host, Table { row_labels: vec!["device"], columns }]
    };
    let values = [8.0, 100.0, 0.1, 0.2, 200.0, 0.3, 0.4];
    enter_with_rows(&registry, "a", None, (&families, tables()), &["sda", "sdb"], &values);
    enter_with_rows(
        &registry,
        "b",
        None,
        (&families, tables()),
        &["sda"],
        &[7.0, 1.0, 0.5, ABSENT],
    );
    enter_with_rows(&registry, "c", None, (&families, tables()), &[], &[6.0]);
    let ask = |family: &str| FleetQuery { by: None, family: Some(family.to_owned()) };
    for (family, line) in [
        ("load", "load_bucket{le=\"+Inf\"} 3"),
        ("load", "load_mean 7"),
        ("disk_used_ratio", "disk_used_ratio_bucket{le=\"+Inf\"} 5"),
        ("disk_used_ratio", "disk_used_ratio_mean 0.3"),
        ("disk_used_ratio", "disk_used_ratio_quantile{quantile=\"0\"} 0.1"),
        ("disk_used_ratio", "disk_used_ratio_quantile{quantile=\"1\"} 0.5"),
    ] {
        let page = super::tests::page(&registry, &ask(family), Format::Text);
        let line = format!("fleetgauge_fleet_{line}");
        assert!(page.lines().any(|own| own == line), "{line} is not in\n{page}");
    }
    // A page without a query has no gauges with row labels: there can be hundreds.
    let page = page(&registry, &FleetQuery::default(), Format::Text);
    assert!(page.contains("fleetgauge_fleet_load_mean") && !page.contains("disk"), "{page}");
}

#[test]
fn by_groups_agents_by_a_label() {
    let registry = registry();
    enter(&registry, "a", Some("db"), &[USED], &[0.1]);
    enter(&registry, "b", Some("a \"web\"\\"), &[USED], &[0.2]);
    enter(&registry, "c", None, &[USED], &[0.3]);
    enter(&registry, "d", Some("db"), &[USED, LOAD], &[0.4, 2.0]);
    let by = GroupLabel::try_new("role");
    let page = page(&registry, &FleetQuery { by, family: None }, Format::OpenMetrics);
    let counts: BTreeMap<_, _> = page
        .lines()
        .filter(|line| line.contains("le=\"+Inf\""))
        .map(|line| line.rsplit_once(' ').unwrap())
        .collect();
    let expected = [
        ("fleetgauge_fleet_disk_used_ratio_bucket{role=\"\",le=\"+Inf\"}", "1"),
        ("fleetgauge_fleet_disk_used_ratio_bucket{role=\"a \\\"web\\\"\\\\\",le=\"+Inf\"}", "1"),
        ("fleetgauge_fleet_disk_used_ratio_bucket{role=\"db\",le=\"+Inf\"}", "2"),
        ("fleetgauge_fleet_load_bucket{role=\"db\",le=\"+Inf\"}", "1"),
    ];
    assert_eq!(counts, expected.into());
    assert!(page.contains("_quantile{role=\"db\",quantile=\"1.0\"} 0.4\n"), "{page}");
    assert!(page.ends_with("# EOF\n"));
}

#[test]
fn label_with_too_many_values_is_rejected() {
    let registry = registry();
    let by = GroupLabel::try_new("role");
    let query = FleetQuery { by, family: None };
    for n in 0..MAX_GROUPS {
        enter(&registry, &format!("a{n}"), Some(&n.to_string()), &[LOAD], &[1.0]);
    }
    assert!(Columns::copy(&registry, &query).is_ok());
    for n in MAX_GROUPS..4 * MAX_GROUPS {
        enter(&registry, &format!("a{n}"), Some(&n.to_string()), &[LOAD], &[1.0]);
        let refused = Columns::copy(&registry, &query).unwrap_err();
        assert_eq!(refused, NoAnswer::TooManyGroups("role".into()));
    }
    assert!(Columns::copy(&registry, &FleetQuery::default()).is_ok());
}

#[test]
fn family_selects_one_gauge() {
    let registry = registry();
    enter(&registry, "a", None, &[USED, LOAD, ("sent", "", COUNTER)], &[0.1, 1.0, 1.0]);
    let ask = |family: &str| FleetQuery { by: None, family: Some(family.to_owned()) };
    let one = page(&registry, &ask("load"), Format::Text);
    assert!(one.contains("fleet_load_mean 1\n") && !one.contains("disk"), "{one}");
    for family in ["", "loa", "sent", "nothing"] {
        let refused = Columns::copy(&registry, &ask(family)).unwrap_err();
        assert_eq!(refused, NoAnswer::UnknownFamily);
    }
}

#[test]
fn gauges_whose_page_names_are_taken_are_skipped() {
    let registry = registry();
    let families = ["load_mean", "load", "load_quantile", "loads"].map(|name| (name, "", GAUGE));
    enter(&registry, "a", None, &families, &[1.0; 4]);
    let page = page(&registry, &FleetQuery::default(), Format::Text);
    let types: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let shown = [
        "fleetgauge_fleet_load histogram",
        "fleetgauge_fleet_load_mean gauge",
        "fleetgauge_fleet_load_quantile summary",
        "fleetgauge_fleet_loads histogram",
        "fleetgauge_fleet_loads_mean gauge",
        "fleetgauge_fleet_loads_quantile summary",
    ];
    assert_eq!(types, shown);
}

#[test]
fn group_label_rejects_names_that_agents_cannot_set() {
    for name in ["role", "dc", "_x"] {
        assert!(GroupLabel::try_new(name).is_some(), "{name}");
    }
    for name in ["", "agent", "instance", "le", "quantile", "__x", "a-b", "1a", "\u{e9}"] {
        assert_eq!(GroupLabel::try_new(name), None, "{name}");
    }
}
