//! Checks that the memory charged to the budget is close to the memory that is allocated.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use fleetgauge_collector::limits::memory_budget::MemoryBudget;
use fleetgauge_collector::peers::handle::ConnectionHandle;
use fleetgauge_collector::registry::{
    CatalogLimits, CatalogPin, ConfiguredKinds, PendingAgent, PendingValues, Registry,
};
use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::message::{Catalog as Declared, Column, Family, Label, RowChange, Table};
use fleetgauge_proto::report::EncodedValues;
use fleetgauge_proto::{AgentId, Catalog, Fingerprint, Limits};

/// Accepted ratios of allocated to charged bytes.
const HONEST: std::ops::Range<f64> = 0.75..1.25;

/// Adds a catalog of `families` families. Columns of histograms have a label and 20 bounds, the
/// others neither.
fn catalog(registry: &Registry, number: u64, families: u32, kind: FamilyKind) -> CatalogPin {
    intern(registry, number, families, kind, &[])
}

/// Adds a catalog of one table with these row labels.
fn intern(
    registry: &Registry,
    number: u64,
    families: u32,
    kind: FamilyKind,
    row_labels: &[&str],
) -> CatalogPin {
    let names: Vec<_> = (0..families).map(|n| format!("family_{number}_{n}")).collect();
    let family = |name| Family { name, kind: kind as u8, unit: "", help: "What it is." };
    let histograms = kind == FamilyKind::Histogram;
    let bounds: Vec<_> = if histograms { (0..20).map(f64::from).collect() } else { Vec::new() };
    let labels = histograms.then_some(Label { name: "path", value: "/var/lib" });
    let column = |family| Column {
        family,
        width: if histograms { 22 } else { 1 },
        decimals: 0,
        parameters: bounds.clone(),
        labels: labels.into_iter().collect(),
    };
    let columns = (0..families).map(column).collect();
    let declared = Declared {
        stream: 0,
        slot: 0,
        families: names.iter().map(|name| family(name)).collect(),
        tables: vec![Table { row_labels: row_labels.to_vec(), columns }],
    };
    add(registry, number, &declared)
}

/// Adds a catalog of 2,000 tables with a row label.
fn many_tables(registry: &Registry, number: u64) -> CatalogPin {
    let numbers: Vec<_> = (0..2_000).map(|n| n.to_string()).collect();
    let table = |value| Table {
        row_labels: vec!["device"],
        columns: vec![Column {
            family: 0,
            width: 1,
            decimals: 0,
            parameters: vec![],
            labels: vec![Label { name: "n", value }],
        }],
    };
    let declared = Declared {
        stream: 0,
        slot: 0,
        families: vec![Family { name: "a", kind: FamilyKind::Gauge as u8, unit: "", help: "" }],
        tables: numbers.iter().map(|n| table(n)).collect(),
    };
    add(registry, number, &declared)
}

fn add(registry: &Registry, number: u64, declared: &Declared<'_>) -> CatalogPin {
    let legal = Catalog::try_new(declared, &Limits::default()).unwrap();
    let mut fingerprint = [0; 16];
    fingerprint[..8].copy_from_slice(&number.to_le_bytes());
    registry.catalogs().intern(Fingerprint(fingerprint), legal, 1_000).unwrap()
}

fn enter(registry: &Registry, number: u64, catalog: &CatalogPin, labels: &str) {
    enter_with_rows(registry, number, catalog, labels, &[]);
}

/// Registers an agent with these rows of its first table.
fn enter_with_rows(
    registry: &Registry,
    number: u64,
    catalog: &CatalogPin,
    labels: &str,
    rows: &[&str],
) {
    let mut values = PendingValues::empty();
    registry.set_catalog(&mut values, 0, catalog.clone()).unwrap();
    if !rows.is_empty() {
        let change = RowChange { slot: 0, table: 0, removed: vec![], added: rows.to_vec() };
        registry.change_rows(&mut values, &[change], &Limits::default()).unwrap();
    }
    enter_values(registry, number, labels, values);
}

/// Registers an agent with the catalogs and rows of these values.
fn enter_values(registry: &Registry, number: u64, labels: &str, mut values: PendingValues) {
    let id = AgentId::try_new(&format!("web-{number:06}.example")).unwrap();
    let newcomer = PendingAgent {
        labels: format!("agent=\"{id}\"{labels}").into(),
        id,
        host_nonce: [1; 16],
        handle: ConnectionHandle::new(number, "127.0.0.1:9".parse().unwrap(), 0),
    };
    let mut encoded = EncodedValues::default();
    encoded.encode_all(&vec![0.5; values.layout().cells()], values.layout().shape());
    values.apply(&encoded.values()).unwrap();
    registry.enter(&newcomer, values, 0).unwrap();
}

/// Fills a registry with agents, and compares charged with allocated memory.
fn check(agents: usize, fill: impl Fn(&Registry)) {
    let room = CatalogLimits { catalogs: 10_000, bytes: 1 << 30 };
    let registry =
        Registry::new(room, ConfiguredKinds::new(), Arc::new(MemoryBudget::new(usize::MAX)));
    let info = allocation_counter::measure(|| fill(&registry));
    // Connections are charged in admission, not in the registry.
    let peers = agents * (size_of::<ConnectionHandle>() + 2 * size_of::<usize>());
    let allocated = usize::try_from(info.bytes_current).unwrap() - peers;
    let counted = registry.budget().taken();
    let ratio = allocated as f64 / counted as f64;
    assert!(HONEST.contains(&ratio), "{allocated} allocated, {counted} counted: {ratio:.3}");
    println!("{allocated} allocated, {counted} counted: {ratio:.3}");
}

#[test]
fn memory_of_many_agents_with_one_catalog_is_charged() {
    check(5_000, |registry| {
        let six = catalog(registry, 1, 6, FamilyKind::Gauge);
        (1..=5_000).for_each(|n| enter(registry, n, &six, ",role=\"db\""));
    });
}

#[test]
fn memory_of_wide_agents_with_long_labels_is_charged() {
    let labels = format!(",role=\"{}\"", "x".repeat(3_000));
    check(200, |registry| {
        let wide = catalog(registry, 1, 100, FamilyKind::Histogram);
        (1..=200).for_each(|n| enter(registry, n, &wide, &labels));
    });
}

#[test]
fn memory_of_a_catalog_for_each_agent_is_charged() {
    for kind in [FamilyKind::Gauge, FamilyKind::Histogram] {
        check(200, |registry| {
            for n in 1..=200 {
                enter(registry, n, &catalog(registry, n, 10, kind), "");
            }
        });
    }
}

#[test]
fn memory_of_many_rows_is_charged() {
    check(500, |registry| {
        let disks = intern(registry, 1, 4, FamilyKind::Gauge, &["device", "model"]);
        for n in 1..=500 {
            let names: Vec<_> = (0..20).map(|device| format!("disk{n:04}-{device:02}")).collect();
            let rows: Vec<_> = names.iter().flat_map(|name| [name.as_str(), "x"]).collect();
            enter_with_rows(registry, n, &disks, "", &rows);
        }
    });
}

#[test]
fn memory_of_equal_rows_is_charged_once() {
    check(500, |registry| {
        let cpus = intern(registry, 1, 8, FamilyKind::Gauge, &["cpu"]);
        let names: Vec<_> = (0..64).map(|cpu| format!("{cpu:02}")).collect();
        let rows: Vec<_> = names.iter().map(String::as_str).collect();
        for n in 1..=500 {
            enter_with_rows(registry, n, &cpus, "", &rows);
        }
    });
}

#[test]
fn memory_of_catalogs_of_many_tables_is_charged() {
    check(0, |registry| {
        for n in 1..=5 {
            many_tables(registry, n);
        }
    });
}

#[test]
fn memory_of_one_row_of_many_tables_is_charged() {
    check(200, |registry| {
        let tables = many_tables(registry, 1);
        (1..=200).for_each(|n| enter_with_rows(registry, n, &tables, "", &["sda"]));
    });
}

#[test]
fn memory_of_a_layout_for_each_agent_is_charged() {
    check(200, |registry| {
        let catalogs: Vec<_> =
            (0..16).map(|n| catalog(registry, n, 1, FamilyKind::Gauge)).collect();
        for n in 1..=200_u64 {
            let mut values = PendingValues::empty();
            // A different set of catalogs for each agent.
            let chosen =
                catalogs.iter().enumerate().filter(|(slot, _)| (n | 0xff00) >> slot & 1 == 1);
            for (slot, catalog) in chosen {
                registry.set_catalog(&mut values, slot, catalog.clone()).unwrap();
            }
            enter_values(registry, n, "", values);
        }
    });
}
