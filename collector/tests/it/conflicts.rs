//! Families of one name and two kinds. The second is suppressed on the shared pages, shown on its
//! agent's own page, and counted. It is shown everywhere after the first has left.

use fleetgauge_proto::catalog::FamilyKind;

use crate::pages::{OPENMETRICS, grammar};
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
    clash(("foo_total", GAUGE), ("foo_total", COUNTER_AS_NAMED));
    clash(("foo_created", GAUGE), ("foo", COUNTER));
}

/// Checks that the families of two agents are shown as one counter.
fn unite(first: (&str, u8), second: (&str, u8)) {
    let collector = Collector::start();
    let join = |id, (name, kind)| {
        Agent::join(collector.agents, &identity(id), &of_kind(name, kind), values(kind))
    };
    let agents = [join("first", first), join("second", second)];
    for (path, headers, name) in [
        ("/metrics/agents", &[][..], "foo_total"),
        ("/metrics/agents", &[OPENMETRICS][..], "foo"),
        ("/metrics/agents/first", &[OPENMETRICS][..], "foo"),
        ("/metrics/agents/second", &[OPENMETRICS][..], "foo"),
    ] {
        let page = collector.get(path, headers).text();
        let types: Vec<_> = page.lines().filter(|line| line.starts_with("# TYPE")).collect();
        assert_eq!(types, [format!("# TYPE {name} counter")], "{path}");
    }
    let page = collector.page();
    for id in ["first", "second"] {
        assert_eq!(page.value(&format!("foo_total{{agent=\"{id}\"}}")), Some(1.0), "{}", page.0);
    }
    assert_eq!(collector.metric("fleetgauge_families_suppressed"), 0.0);
    assert_eq!(collector.metric("fleetgauge_family_conflicts_total"), 0.0);
    let [holder, late] = agents;
    drop(holder);
    eventually("the first session has ended", || !collector.page().shows("first"));
    assert!(collector.page().shows("second"));
    // Only a counter takes its name without the suffix.
    let other = join("other", ("foo", GAUGE));
    assert_eq!(collector.page().shows("other"), second.1 != COUNTER);
    drop((late, other));
}

#[test]
fn counter_and_counter_as_named_with_the_same_samples_are_one_family() {
    unite(("foo_total", COUNTER_AS_NAMED), ("foo", COUNTER));
    unite(("foo", COUNTER), ("foo_total", COUNTER_AS_NAMED));
    unite(("foo_total", COUNTER_AS_NAMED), ("foo_total", COUNTER_AS_NAMED));
}

/// An exporter in Go has the gauge `x` and the counter `x_total`, which OpenMetrics cannot show.
#[test]
fn counter_as_named_has_no_type_in_openmetrics_while_its_name_is_taken() {
    let collector = Collector::start();
    let as_named = of_kind("foo_total", COUNTER_AS_NAMED);
    let counter = Agent::join(collector.agents, &identity("counter"), &as_named, &[1.0]);
    let shown = || collector.get("/metrics/agents", &[OPENMETRICS]).text();
    assert!(shown().contains("# TYPE foo counter\n"), "{}", shown());
    for taken in ["foo", "foo_created", "foo_created_total"] {
        let catalog = of_kind(taken, COUNTER_AS_NAMED);
        let other = Agent::join(collector.agents, &identity("other"), &catalog, &[2.0]);
        assert!(shown().contains("# TYPE foo_total unknown\n"), "{}", shown());
        assert!(shown().contains(&format!("{taken}{{agent=\"other\"}} 2")), "{}", shown());
        drop(other);
        eventually("the other session has ended", || !collector.page().shows("other"));
    }
    assert!(shown().contains("# TYPE foo counter\n"), "{}", shown());
    drop(counter);
}

#[test]
fn families_of_one_agent_do_not_take_the_name_of_its_counter_as_named() {
    let collector = Collector::start();
    let families = [
        family("alloc_bytes", GAUGE),
        family("alloc_bytes_total", COUNTER_AS_NAMED),
        family("calls_total", COUNTER_AS_NAMED),
    ];
    let catalog = catalog_of(&families, &[single(0), single(1), single(2)]);
    let agent = Agent::join(collector.agents, &identity("a"), &catalog, &[1.0, 2.0, 3.0]);
    for path in ["/metrics/agents", "/metrics/agents/a"] {
        let page = collector.get(path, &[OPENMETRICS]).text();
        let expected = "# TYPE alloc_bytes gauge\nalloc_bytes{agent=\"a\"} 1\n\
                        # TYPE alloc_bytes_total unknown\nalloc_bytes_total{agent=\"a\"} 2\n\
                        # TYPE calls counter\ncalls_total{agent=\"a\"} 3\n# EOF\n";
        assert_eq!(page, expected, "{path}");
    }
    drop(agent);
}

#[test]
fn process_metrics_of_agents_are_with_those_of_the_collector() {
    let collector = Collector::start();
    let kinds: Vec<_> = collector
        .page_at("/metrics/self")
        .0
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE process_")?.split_once(' '))
        .map(|(name, kind)| (format!("process_{name}"), kind == "counter"))
        .collect();
    assert_eq!(kinds.is_empty(), cfg!(not(target_os = "linux")));
    for (name, is_counter) in &kinds {
        let (same, other) =
            if *is_counter { (COUNTER_AS_NAMED, GAUGE) } else { (GAUGE, COUNTER_AS_NAMED) };
        let join = |id, kind| {
            Agent::join(collector.agents, &identity(id), &of_kind(name, kind), values(kind))
        };
        // The own family has its name first.
        let late = join("other", other);
        let agents = [join("same", same), late];
        for (path, headers) in [("/metrics", &[][..]), ("/metrics", &[OPENMETRICS][..])] {
            let page = collector.get(path, headers).text();
            grammar::check(&page, !headers.is_empty());
            let of_agent = format!("\n{name}{{agent=\"same\"}} 1\n");
            let own = page.lines().filter(|line| line.starts_with(&format!("{name} "))).count();
            assert!(own == 1 && page.contains(&of_agent), "{name} in {page}");
            assert!(!page.contains("agent=\"other\""), "{name} in {page}");
        }
        assert!(collector.page_at("/metrics/agents/other").shows("other"));
        assert_eq!(collector.metric("fleetgauge_families_suppressed"), 1.0, "{name}");
        drop(agents);
        eventually("the sessions have ended", || {
            collector.metric("fleetgauge_agents_connected") == 0.0
        });
    }
}

/// The operator's setting would suppress the collector's own family, which is always on the page.
#[test]
fn operator_cannot_change_the_kinds_of_the_collectors_own_metrics() {
    let mut config = config();
    config.configured_kinds.insert("process_open_fds".to_owned(), FamilyKind::CounterAsNamed);
    let collector = Collector::with(config);
    let named = of_kind("process_open_fds", COUNTER_AS_NAMED);
    let agent = Agent::join(collector.agents, &identity("a"), &named, &[1.0]);
    assert!(!collector.page_at("/metrics").shows("a"));
    grammar::check(&collector.page_at("/metrics").0, false);
    drop(agent);
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

/// Another agent's gauge once made OpenMetrics show `node_network_receive_bytes_total` as unknown.
#[test]
fn names_that_openmetrics_gives_built_in_counters_are_reserved() {
    let collector = Collector::start();
    let join = |id, (name, kind)| {
        Agent::join(collector.agents, &identity(id), &of_kind(name, kind), values(kind))
    };
    let counter = "node_network_receive_bytes";
    let gauges = [
        join("gauge", (counter, GAUGE)),
        join("created", ("node_network_receive_bytes_created", GAUGE)),
    ];
    let same = [
        join("counter", (counter, COUNTER)),
        join("named", ("node_network_receive_bytes_total", COUNTER_AS_NAMED)),
    ];
    for (id, is_shown) in [("gauge", false), ("created", false), ("counter", true), ("named", true)]
    {
        assert_eq!(collector.page().shows(id), is_shown, "{id}");
    }
    drop((gauges, same));
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
