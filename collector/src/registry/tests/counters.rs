//! Counters, and counters named as is that have the same samples.

use fleetgauge_page::{Item, Reader};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const UNKNOWN: u8 = 6;
/// Families: some pairs of them can be on one page, others contradict each other.
const FAMILIES: [(&str, u8); 12] = [
    ("x", COUNTER),
    ("x_total", COUNTER_AS_NAMED),
    ("x", GAUGE),
    ("x", COUNTER_AS_NAMED),
    ("x", HISTOGRAM),
    ("x_total", GAUGE),
    ("x_total", UNKNOWN),
    ("x_created", COUNTER_AS_NAMED),
    ("x_created_total", COUNTER_AS_NAMED),
    ("x_created_created", GAUGE),
    ("x_total_total", COUNTER_AS_NAMED),
    ("x_bucket", COUNTER_AS_NAMED),
];
const AGENTS: usize = 6;

/// The values of an agent with one family of this kind.
fn row(kind: u8) -> &'static [f64] {
    if kind == HISTOGRAM { &[1.0, 1.0] } else { &[1.0] }
}

fn pin_one(registry: &Registry, choice: usize) -> CatalogPin {
    let (name, kind) = FAMILIES[choice];
    let width = row(kind).len() as u32;
    let table = Table { row_labels: vec![], columns: vec![Column { width, ..column(0) }] };
    pin(registry, choice as u8, catalog_of(&[(name, kind)], vec![table]))
}

/// Parses a page with a strict parser. Returns the number of families, and the ids of the agents
/// that it shows.
fn parsed(snapshot: &Snapshot, format: Format) -> (usize, Vec<String>) {
    let mut page = Vec::new();
    render(snapshot, format, &mut page).unwrap();
    page.extend_from_slice(crate::exposition::openmetrics::end(format).as_bytes());
    let mut agents = Vec::new();
    let mut families = 0;
    let mut on_read = |read: Result<Item<'_>, _>| match read {
        Ok(Item::Family(_)) => families += 1,
        Ok(Item::Sample(sample)) => agents.push(sample.labels.get("agent").unwrap().to_owned()),
        Err(invalid) => panic!("{invalid:?} in {}", String::from_utf8_lossy(&page)),
    };
    let of_parser = match format {
        Format::Text => fleetgauge_page::Format::Text,
        Format::OpenMetrics => fleetgauge_page::Format::OpenMetrics,
    };
    let mut reader = Reader::new(of_parser);
    reader.push(&page, &mut on_read);
    reader.finish(&mut on_read);
    agents.sort();
    agents.dedup();
    (families, agents)
}

proptest! {
    #[test]
    fn pages_of_counters_are_valid_and_show_what_is_not_suppressed(
        steps in vec((0..AGENTS, prop::option::of(0..FAMILIES.len())), 1..30),
    ) {
        let registry = registry();
        let pins: Vec<_> = (0..FAMILIES.len()).map(|choice| pin_one(&registry, choice)).collect();
        let mut agents: [Option<usize>; AGENTS] = [None; AGENTS];
        for (session, (agent, choice)) in (1..).zip(steps) {
            let id = format!("a{agent}");
            let begun = registry.families.lock().moment();
            let before: Vec<_> = agents.iter().flatten().map(|old| pins[*old].entry()).collect();
            if agents[agent].take().is_some() {
                registry.leave(&pending(&id, session).id, session_of(&registry, &id));
            }
            if let Some(choice) = choice {
                enter(&registry, &id, session, &pins[choice], row(FAMILIES[choice].1));
                agents[agent] = Some(choice);
            }
            let mut live: Vec<_> = agents.iter().flatten().collect();
            live.sort();
            live.dedup();
            for format in [Format::Text, Format::OpenMetrics] {
                let (_, shown) = parsed(&registry.snapshot(), format);
                let is_shown = |choice: &usize| {
                    let own = agents.iter().position(|own| own.as_ref() == Some(choice));
                    shown.contains(&format!("a{}", own.unwrap()))
                };
                let of_live = live.iter().filter(|choice| is_shown(choice)).count();
                prop_assert_eq!(of_live + registry.families_suppressed(), live.len());
                let of_agents = agents.iter().enumerate().filter(|(_, own)| {
                    own.as_ref().is_some_and(is_shown)
                });
                prop_assert_eq!(of_agents.count(), shown.len());
            }
            // A page that was copied before the step.
            let late = registry.families.lock().page(&before, begun);
            prop_assert!(late.len() <= before.len());
        }
    }
}

fn session_of(registry: &Registry, id: &str) -> u64 {
    registry.find(&AgentId::try_new(id).unwrap()).unwrap().handle().session()
}

#[test]
fn counters_with_the_same_samples_are_one_family() {
    let registry = registry();
    let counter = pin_one(&registry, 0);
    let named = pin_one(&registry, 1);
    for (first, second) in [(&counter, &named), (&named, &counter)] {
        let _ = enter(&registry, "a", 1, first, &[1.0]);
        let _ = enter(&registry, "b", 2, second, &[2.0]);
        for format in [Format::Text, Format::OpenMetrics] {
            let both = vec!["a".to_owned(), "b".to_owned()];
            assert_eq!(parsed(&registry.snapshot(), format), (1, both));
        }
        let copied = [counter.entry(), named.entry()];
        let begun = registry.families.lock().moment();
        let families = || registry.families.lock().page(&copied, begun).len();
        assert_eq!(families(), 1);
        registry.leave(&pending("a", 1).id, 1);
        assert_eq!(families(), 1, "one has left");
        registry.leave(&pending("b", 2).id, 2);
        assert_eq!(families(), 1, "both have left");
    }
}

/// The gauge keeps the counter `x` off the page, but not the counter that takes only `x_total`.
#[test]
fn counter_that_is_suppressed_does_not_suppress_its_equivalent() {
    let registry = registry();
    let [gauge, counter, named] = [2, 0, 1].map(|choice| pin_one(&registry, choice));
    let _ = enter(&registry, "g", 1, &gauge, &[1.0]);
    let _ = enter(&registry, "c", 2, &counter, &[2.0]);
    let _ = enter(&registry, "n", 3, &named, &[3.0]);
    assert_eq!(page(&registry), ["x_total{agent=\"n\"} 3", "x{agent=\"g\"} 1"]);
    registry.leave(&pending("g", 1).id, 1);
    assert_eq!(page(&registry), ["x_total{agent=\"c\"} 2", "x_total{agent=\"n\"} 3"]);
    assert_eq!(registry.families_suppressed(), 0);
}
