//! What the pages of a large fleet cost. Prints figures, and asserts none.
//!
//! `cargo test --release -p fleetgauge-collector --lib web::cost -- --ignored --nocapture`

use fleetgauge_proto::catalog::encode;
use fleetgauge_proto::message::{Catalog as CatalogMessage, Column, Family, Label, Table};
use fleetgauge_proto::report::EncodedValues;
use fleetgauge_proto::{AgentId, Catalog, Limits, StaticLabels};
use prometheus_client::registry::Registry as MetricsRegistry;

use super::listing::{Search, Sort};
use super::overview::Overview;
use super::{FleetCopy, ShownLines, html};
use crate::config::Config;
use crate::exposition::write_labels;
use crate::peers::handle::ConnectionHandle;
use crate::registry::{PendingAgent, PendingValues, Registry};
use crate::state::CollectorState;

const AGENTS: u16 = 19_000;
const ROUNDS: u32 = 50;
const NAMES: [&str; 6] = [
    "host_cpu_usage_ratio",
    "host_memory_usage_ratio",
    "host_filesystem_usage_ratio",
    "host_memory_total_bytes",
    "host_memory_available_bytes",
    "host_memory_used_bytes",
];

fn enter(registry: &Registry, number: u16) {
    let gauge = 1;
    let family = |name| Family { name, unit: "", kind: gauge, help: "" };
    let column =
        |family| Column { family, width: 1, decimals: 4, parameters: vec![], labels: vec![] };
    let tables = vec![Table { row_labels: vec![], columns: (0..6).map(column).collect() }];
    let families = NAMES.map(family).into();
    let message = CatalogMessage { stream: 0, slot: 0, families, tables };
    let (frame, fingerprint) = encode(&message).unwrap();
    let catalog = Catalog::try_new(&message, &Limits::default()).unwrap();
    let catalog = registry.catalogs().intern(fingerprint, catalog, frame.len()).unwrap();
    let label = |name, value| Label { name, value };
    let role = ["web", "db", "cache", "build", "queue"][usize::from(number % 5)];
    let labels = StaticLabels::try_new(&[label("role", role), label("site", "frankfurt")]).unwrap();
    let id = AgentId::try_new(&format!("{role}-{number}.example.org")).unwrap();
    let labels = write_labels(&id, &labels, None);
    let handle = ConnectionHandle::new(id.fnv1a(), ([127, 0, 0, 1], 1).into(), u64::MAX);
    let agent = PendingAgent { id, host_nonce: [1; 16], labels, handle };
    let mut pending = PendingValues::empty();
    registry.set_catalog(&mut pending, 0, catalog).unwrap();
    let ratio = f64::from(number.wrapping_mul(40_503)) / f64::from(u16::MAX);
    let mut values = EncodedValues::default();
    values.encode_all(&[ratio, 1.0 - ratio, ratio / 2.0, 8e9, 4e9, 4e9], pending.layout().shape());
    pending.apply(&values.values()).unwrap();
    registry.enter(&agent, pending, 0).unwrap();
}

/// Returns the CPU time of this thread in microseconds.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn cpu_time() -> f64 {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    spent.tv_sec as f64 * 1e6 + spent.tv_nsec as f64 / 1e3
}

/// Prints the mean CPU time of a step.
fn time<T>(what: &str, mut step: impl FnMut() -> T) -> T {
    let begun = cpu_time();
    for _ in 1..ROUNDS {
        step();
    }
    let last = step();
    println!("{what}: {:.0} us", (cpu_time() - begun) / f64::from(ROUNDS));
    last
}

#[test]
#[ignore = "needs a quiet machine"]
fn cost_of_pages_at_19_000_agents() {
    let collector = CollectorState::new(Config::default(), &mut MetricsRegistry::default());
    (0..AGENTS).for_each(|number| enter(&collector.registry, number));
    let fleet = time("copy of the fleet", || FleetCopy::take(&collector));
    let page = time("overview", || html::overview(&Overview::of(&fleet, &collector)));
    println!("  {} bytes", page.document().len());
    let by_cpu = Search { sort: Sort::Headline(0), ..Search::default() };
    let found = Search { text: "web-1".to_owned(), ..Search::default() };
    let label = Some(("role".to_owned(), "db".to_owned()));
    let labelled = Search { label, ..Search::default() };
    for (what, search) in [
        ("list by id", Search::default()),
        ("list by CPU", by_cpu),
        ("list of a text", found),
        ("list of a label", labelled),
    ] {
        time(&format!("{what}: search"), || search.list(&fleet).agents.len());
        let list = search.list(&fleet);
        let page = time(&format!("{what}: HTML"), || html::agents(&search, &list, fleet.at.unix));
        println!("  {} bytes", page.document().len());
        time(&format!("{what}: changes"), || ShownLines::default().update(page.content()));
    }
}
