//! Families of one name and two kinds. The second is suppressed on the shared pages, shown on its
//! agent's own page, and counted. It is shown everywhere after the first has left.

use fleetgauge_proto::catalog::FamilyKind;

use crate::support::agent::{Agent, identity};
use crate::support::collector::{Collector, config};
use crate::support::eventually;
use crate::support::frames::{
    COUNTER, COUNTER_AS_NAMED, CatalogFrame, GAUGE, HISTOGRAM, INFO, LATER, SUMMARY, catalog_of,
    family, gauges, single, wide,
};

fn of_kind(name: &str, kind: u8) -> CatalogFrame {
    let series = if [HISTOGRAM, SUMMARY].contains(&kind) { wide(0, &[]) } else { single(0) };
    catalog_of(&[family(name, kind)], &[series])
}

fn values(kind: u8) -> &'static [f64] {
    if [HISTOGRAM, SUMMARY].contains(&kind) { &[1.0, 1.0] } else { &[1.0] }
}

/// Checks that the family `second` is suppressed while an agent with the family `first` is
/// connected.
fn clash(first: (&str, u8), second: (&str, u8)) {
    let collector = Collector::start();
    let join = |id, (name, kind)| {
        Agent::join(collector.agents, &identity(id), &of_kind(name, kind), values(kind))
    };
    let holder = join("first", first);
    let late = join("second", second);
    let page = collector.page();
    assert!(page.shows("first"), "{}", page.0);
    assert!(!page.shows("second"), "{}", page.0);
    assert!(collector.page_at("/metrics/agents/second").shows("second"));
    assert_eq!(collector.metric("fleetgauge_families_suppressed"), 1.0);
    assert_eq!(collector.metric("fleetgauge_family_conflicts_total"), 1.0);
    // Counted once for each catalog, not for each agent.
    let third = join("third", second);
    assert_eq!(collector.metric("fleetgauge_family_conflicts_total"), 1.0);
    drop(holder);
    eventually("the first session has ended", || !collector.page().shows("first"));
    let page = collector.page();
    assert!(page.shows("second") && page.shows("third"), "{}", page.0);
    assert_eq!(collector.metric("fleetgauge_families_suppressed"), 0.0);
    // The second family owns the name now.
    let back = join("first", first);
    assert!(!collector.page().shows("first"));
    drop((late, third, back));
}

#[test]
fn family_of_another_kind_is_suppressed() {
    clash(("load", GAUGE), ("load", COUNTER));
    clash(("load", COUNTER), ("load", HISTOGRAM));
    clash(("load", COUNTER), ("load", COUNTER_AS_NAMED));
    clash(("load:sum", COUNTER_AS_NAMED), ("load:sum", GAUGE));
}

#[test]
fn family_with_the_sample_name_of_another_is_suppressed() {
    clash(("foo", HISTOGRAM), ("foo_count", GAUGE));
    clash(("foo_count", GAUGE), ("foo", HISTOGRAM));
    clash(("foo", COUNTER), ("foo_total", GAUGE));
    clash(("foo_total", GAUGE), ("foo", COUNTER));
    clash(("foo_sum", GAUGE), ("foo", SUMMARY));
    clash(("foo_total", COUNTER_AS_NAMED), ("foo", COUNTER));
    clash(("foo", COUNTER), ("foo_total", COUNTER_AS_NAMED));
}

#[test]
fn family_is_shown_while_any_agent_declares_it() {
    let collector = Collector::start();
    let gauge = of_kind("load", GAUGE);
    let first = Agent::join(collector.agents, &identity("first"), &gauge, &[1.0]);
    let counter =
        Agent::join(collector.agents, &identity("counter"), &of_kind("load", COUNTER), &[1.0]);
    // The same family in another catalog.
    let also = gauges(&["load", "other"]);
    let second = Agent::join(collector.agents, &identity("second"), &also, &[2.0, 2.0]);
    drop(first);
    eventually("the first session has ended", || !collector.page().shows("first"));
    let page = collector.page();
    assert!(page.shows("second") && !page.shows("counter"), "{}", page.0);
    drop(second);
    eventually("the counter is exposed", || collector.page().shows("counter"));
    drop(counter);
}

#[test]
fn other_families_of_the_catalog_are_shown() {
    let collector = Collector::start();
    let first =
        Agent::join(collector.agents, &identity("first"), &of_kind("load", COUNTER), &[1.0]);
    let second =
        Agent::join(collector.agents, &identity("second"), &gauges(&["load", "other"]), &[2.0; 2]);
    let page = collector.page();
    assert_eq!(page.value("other{agent=\"second\"}"), Some(2.0));
    assert_eq!(page.values_of("second").len(), 1);
    drop((first, second));
}

#[test]
fn different_help_is_no_conflict() {
    let collector = Collector::start();
    let helped = |help| {
        let family = fleetgauge_proto::message::Family { help, ..family("load", GAUGE) };
        catalog_of(&[family], &[single(0)])
    };
    let one = Agent::join(collector.agents, &identity("one"), &helped("One."), &[1.0]);
    let two = Agent::join(collector.agents, &identity("two"), &helped("Two."), &[2.0]);
    let page = collector.page();
    assert_eq!(page.samples().count(), 2);
    assert_eq!(page.0.matches("# HELP").count(), 1, "{}", page.0);
    assert_eq!(collector.metric("fleetgauge_family_conflicts_total"), 0.0);
    drop((one, two));
}

#[test]
fn kinds_set_by_the_operator_take_precedence() {
    let mut config = config();
    config.configured_kinds.insert("load".to_owned(), FamilyKind::Counter);
    let collector = Collector::with(config);
    let gauge = Agent::join(collector.agents, &identity("gauge"), &of_kind("load", GAUGE), &[1.0]);
    assert!(!collector.page().shows("gauge"));
    assert!(collector.page_at("/metrics/agents/gauge").shows("gauge"));
    let counter =
        Agent::join(collector.agents, &identity("counter"), &of_kind("load", COUNTER), &[1.0]);
    assert!(collector.page().shows("counter"));
    drop((gauge, counter));
}

#[test]
fn names_of_built_in_families_are_reserved() {
    let collector = Collector::start();
    let join = |id, (name, kind)| {
        Agent::join(collector.agents, &identity(id), &of_kind(name, kind), values(kind))
    };
    // The built-in family is a gauge.
    let reserved = ("host_memory_total_bytes", COUNTER);
    let others = [
        join("counter", reserved),
        join("summary", ("host_memory_total_bytes", SUMMARY)),
        join("info", ("host_memory_total_bytes", INFO)),
    ];
    for id in ["counter", "summary", "info"] {
        assert!(!collector.page().shows(id));
        assert!(collector.page_at(&format!("/metrics/agents/{id}")).shows(id));
    }
    assert_eq!(collector.metric("fleetgauge_families_suppressed"), 3.0);
    let built_in = join("built-in", ("host_memory_total_bytes", GAUGE));
    assert!(collector.page().shows("built-in"));
    drop((others, built_in));
    eventually("the sessions have ended", || {
        collector.metric("fleetgauge_agents_connected") == 0.0
    });
    // The operator's setting takes precedence.
    let mut config = config();
    config.configured_kinds.insert("host_memory_total_bytes".to_owned(), FamilyKind::Counter);
    let collector = Collector::with(config);
    let frame = of_kind("host_memory_total_bytes", COUNTER);
    let counter = Agent::join(collector.agents, &identity("counter"), &frame, &[1.0]);
    assert!(collector.page().shows("counter"));
    drop(counter);
}

#[test]
fn agent_that_changes_a_kind_does_not_conflict_with_itself() {
    let collector = Collector::start();
    let mut agent = Agent::join(collector.agents, &identity("a"), &of_kind("load", GAUGE), &[1.0]);
    agent.send(&of_kind("load", COUNTER).bytes);
    agent.report(&[2.0]);
    let page = collector.page();
    assert_eq!(page.value("load_total{agent=\"a\"}"), Some(2.0), "{}", page.0);
    assert_eq!(page.samples().count(), 1);
    assert_eq!(collector.metric("fleetgauge_families_suppressed"), 0.0);
    assert_eq!(collector.metric("fleetgauge_family_conflicts_total"), 0.0);
}

#[test]
fn family_of_an_unknown_kind_owns_no_name() {
    let collector = Collector::start();
    // A family of the same name and a known kind is in the same catalog.
    let families = [family("load", LATER), family("load", COUNTER)];
    let odd = catalog_of(&families, &[single(0), single(1)]);
    let agent = Agent::join(collector.agents, &identity("odd"), &odd, &[1.0, 2.0]);
    assert_eq!(collector.page().value("load_total{agent=\"odd\"}"), Some(2.0));
    drop(agent);
    eventually("the session has ended", || collector.metric("fleetgauge_agents_connected") == 0.0);
    let gauge = Agent::join(collector.agents, &identity("a"), &gauges(&["load_total"]), &[3.0]);
    assert_eq!(collector.page().value("load_total{agent=\"a\"}"), Some(3.0));
    drop(gauge);
}
