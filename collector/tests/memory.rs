//! Checks that the memory charged to the budget is about the memory that is allocated.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use fleetgauge_collector::limits::memory_budget::MemoryBudget;
use fleetgauge_collector::peers::handle::ConnectionHandle;
use fleetgauge_collector::registry::{PendingAgent, Pinned, Pins, Registry, SchemaLimits};
use fleetgauge_proto::message::{Family, Label, Schema as Declared, Series};
use fleetgauge_proto::report::{Values, write_all};
use fleetgauge_proto::schema::FamilyKind;
use fleetgauge_proto::{AgentId, Fingerprint, Limits, Schema};

/// Accepted ratios of allocated to charged bytes.
const HONEST: std::ops::Range<f64> = 0.75..1.25;

/// Adds a schema of `families` families. The series of histograms have a label and bounds, others
/// neither.
fn schema(registry: &Registry, number: u64, families: u32, kind: FamilyKind) -> Pinned {
    let names: Vec<_> = (0..families).map(|n| format!("family_{number}_{n}")).collect();
    let family = |name| Family { name, kind: kind as u8, unit: "", help: "What it is." };
    let histograms = kind == FamilyKind::Histogram;
    let bounds: Vec<_> = if histograms { (0..20).map(f64::from).collect() } else { Vec::new() };
    let labels = histograms.then_some(Label { name: "path", value: "/var/lib" });
    let series = |family| Series {
        family,
        width: if histograms { 22 } else { 1 },
        parameters: bounds.clone(),
        labels: labels.into_iter().collect(),
    };
    let declared = Declared {
        stream: 0,
        families: names.iter().map(|name| family(name)).collect(),
        series: (0..families).map(series).collect(),
    };
    let legal = Schema::try_new(&declared, &Limits::default()).unwrap();
    let mut fingerprint = [0; 16];
    fingerprint[..8].copy_from_slice(&number.to_le_bytes());
    registry.schemas().intern(Fingerprint(fingerprint), legal, 1_000).unwrap()
}

fn enter(registry: &Registry, number: u64, schema: &Pinned, labels: &str) {
    let id = AgentId::try_new(&format!("web-{number:06}.example")).unwrap();
    let newcomer = PendingAgent {
        labels: format!("agent=\"{id}\"{labels}").into(),
        id,
        host_nonce: [1; 16],
        handle: ConnectionHandle::new(number, "127.0.0.1:9".parse().unwrap(), 0),
    };
    let mut bytes = Vec::new();
    write_all(&vec![0.5; schema.entry().schema().width], &mut bytes);
    registry.enter(&newcomer, schema.entry(), &Values::All(&bytes), 0).unwrap();
}

/// Fills a registry with agents, and compares charged with allocated memory.
fn check(agents: usize, fill: impl Fn(&Registry)) {
    let room = SchemaLimits { schemas: 10_000, bytes: 1 << 30 };
    let registry = Registry::new(room, Pins::new(), Arc::new(MemoryBudget::new(usize::MAX)));
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
fn memory_of_many_agents_with_one_schema_is_charged() {
    check(5_000, |registry| {
        let six = schema(registry, 1, 6, FamilyKind::Gauge);
        (1..=5_000).for_each(|n| enter(registry, n, &six, ",role=\"db\""));
    });
}

#[test]
fn memory_of_wide_agents_with_long_labels_is_charged() {
    let labels = format!(",role=\"{}\"", "x".repeat(3_000));
    check(200, |registry| {
        let wide = schema(registry, 1, 100, FamilyKind::Histogram);
        (1..=200).for_each(|n| enter(registry, n, &wide, &labels));
    });
}

#[test]
fn memory_of_a_schema_for_each_agent_is_charged() {
    for kind in [FamilyKind::Gauge, FamilyKind::Histogram] {
        check(200, |registry| {
            for n in 1..=200 {
                enter(registry, n, &schema(registry, n, 10, kind), "");
            }
        });
    }
}
