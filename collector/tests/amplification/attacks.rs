//! Attacks that once overloaded a collector, and upper bounds of what they may cost.

use std::time::Duration;

use fleetgauge_collector::Config;
use fleetgauge_proto::message::{Column, Label};
use fleetgauge_proto::{Code, Fingerprint};

use crate::measure::{Rig, at_most, encode, hello, report};
use crate::worst::{catalog, catalog_of_labels, column, family, names};

const GAUGE: u8 = 1;
const HISTOGRAM: u8 = 3;

/// Labels whose values double in length when they are escaped.
fn quoted<'a>(names: &'a [String], quotes: &'a str) -> Vec<Label<'a>> {
    names.iter().map(|name| Label { name, value: quotes }).collect()
}

/// Catalogs of 544 kB each, 4.9 MB in total: histograms. An earlier plan stored the labels for
/// every bound.
fn histograms_of_long_labels(agent: usize) -> Vec<Vec<u8>> {
    let quotes = "\"".repeat(1_024);
    let names = names(31);
    let bounds: Vec<_> = (0..256).map(f64::from).collect();
    let frames = (0..9).map(|n| {
        let families: Vec<_> = (0..15).map(|family| format!("f{agent}_{n}_{family}")).collect();
        let labels = quoted(&names, &quotes);
        let columns = (0..15).map(|family| column(family, &bounds, &labels)).collect();
        let families: Vec<_> = families.iter().map(|name| family(name, HISTOGRAM)).collect();
        encode(&catalog(&families, columns)).0
    });
    frames.collect()
}

#[test]
fn histograms_with_long_labels_from_three_agents_are_cheap() {
    let mut cpu = Duration::ZERO;
    let mut sent = 0;
    // The page limit is raised, so that all of the catalogs are kept.
    let rig = Rig::new(|config| config.bounds.page_bytes_per_agent = usize::MAX);
    for agent in 0..3 {
        let mut attacker = rig.connect();
        attacker.receives(&hello(&format!("a{agent}"), vec![], Fingerprint([0; 16])));
        let cost = rig.cost(&mut attacker, &histograms_of_long_labels(agent));
        assert_eq!(attacker.refused(), None);
        assert!(cost.peak < 8 * cost.sent, "{cost:?}");
        assert!(cost.kept < 8 * cost.sent, "{cost:?}");
        cpu += cost.cpu;
        sent += cost.sent;
    }
    let taken = rig.collector.registry.budget().taken();
    println!("{sent} bytes sent, {cpu:?} of CPU, {taken} bytes taken of the budget");
    assert!(cpu < at_most(Duration::from_secs(1)), "{cpu:?}");
}

#[test]
fn catalog_over_the_memory_limit_gets_no_plan() {
    let rig = Rig::new(|config| {
        config.bounds.memory = 1 << 20;
        config.bounds.page_bytes_per_agent = usize::MAX;
    });
    let mut attacker = rig.connect();
    attacker.receives(&hello("a", vec![], Fingerprint([0; 16])));
    let cost = rig.cost(&mut attacker, &histograms_of_long_labels(0)[..1]);
    assert_eq!(attacker.refused(), Some(Code::CollectorFull));
    assert_eq!(rig.collector.registry.budget().refusals(), 1);
    // The decoded frame is allocated; its rendered labels and bounds are not.
    assert!(cost.peak < 4 * cost.sent, "{cost:?}");
}

/// Columns of a later kind are as wide as they claim, without parameters. Their table once took 258
/// bytes for each before the number of values was checked.
#[test]
fn catalog_of_wide_columns_of_a_later_kind_is_refused_before_memory_for_them_is_allocated() {
    const LATER: u8 = 200;
    let values = names(40_000);
    let own: Vec<_> = values.iter().map(|value| [Label { name: "n", value }]).collect();
    let wide = own.iter().map(|own| Column { width: 258, ..column(0, &[], own) }).collect();
    let (declared, fingerprint) = encode(&catalog(&[family("a", LATER)], wide));
    let rig = Rig::new(|_| {});
    let mut attacker = rig.connect();
    attacker.receives(&hello("a", vec![], fingerprint));
    let cost = rig.cost(&mut attacker, &[declared]);
    assert_eq!(attacker.refused(), Some(Code::TooManyValues));
    println!("{} bytes allocated at once for {} bytes", cost.peak, cost.sent);
    assert!(cost.peak < 40 * cost.sent, "{cost:?}");
}

/// Creates a collector with three unpinned catalogs.
fn with_unused_catalogs(change: impl FnOnce(&mut Config)) -> Rig {
    let rig = Rig::new(change);
    for name in ["a", "b", "c"] {
        let (declared, fingerprint) =
            encode(&catalog(&[family(name, GAUGE)], vec![column(0, &[], &[])]));
        let mut agent = rig.connect();
        agent.receives(&hello(name, vec![], fingerprint));
        agent.receives(&declared);
        assert_eq!(agent.refused(), None);
    }
    rig
}

/// The catalog's own lines exceed the limit, however short the agent's labels are.
#[test]
fn catalog_over_the_page_limit_gets_no_plan_and_evicts_none() {
    let rig = with_unused_catalogs(|config| config.bounds.catalogs.catalogs = 3);
    let mut attacker = rig.connect();
    attacker.receives(&hello("x", vec![], Fingerprint([0; 16])));
    let taken = rig.collector.registry.budget().taken();
    let cost = rig.cost(&mut attacker, &histograms_of_long_labels(0)[..1]);
    assert_eq!(attacker.refused(), Some(Code::PageTooLarge));
    assert!(cost.peak < 4 * cost.sent, "{cost:?}");
    assert_eq!(rig.collector.registry.catalogs().len(), 3);
    assert_eq!(rig.collector.registry.budget().taken(), taken);
}

#[test]
fn catalog_that_cannot_fit_evicts_none() {
    let rig = with_unused_catalogs(|config| {
        config.bounds.memory = 1 << 20;
        config.bounds.page_bytes_per_agent = usize::MAX;
    });
    let mut attacker = rig.connect();
    attacker.receives(&hello("x", vec![], Fingerprint([0; 16])));
    let taken = rig.collector.registry.budget().taken();
    attacker.receives(&histograms_of_long_labels(0)[0]);
    assert_eq!(attacker.refused(), Some(Code::CollectorFull));
    assert_eq!(rig.collector.registry.catalogs().len(), 3);
    assert_eq!(rig.collector.registry.budget().taken(), taken);
}

/// A look-up of each label of each series among the agent's once took 16 ms for a Hello of 245
/// bytes.
#[test]
fn hello_with_many_labels_against_a_catalog_with_many_labels_is_cheap() {
    const HELLOS: u32 = 50;
    const MOST: Duration = Duration::from_micros(if cfg!(debug_assertions) { 1_500 } else { 200 });
    let rig = Rig::new(|_| {});
    let names = names(50_000);
    let (declared, fingerprint) = encode(&catalog_of_labels(&names, 7));
    let mut other = rig.connect();
    other.receives(&hello("other", vec![], fingerprint));
    other.receives(&declared);
    assert_eq!((other.refused(), rig.collector.registry.catalogs().len()), (None, 1));
    let others: Vec<_> = names.iter().take(32).map(|name| format!("z{name}")).collect();
    let labels: Vec<_> = others.iter().map(|name| Label { name, value: "x" }).collect();
    let mut cpu = Duration::ZERO;
    for _ in 0..HELLOS {
        let mut attacker = rig.connect();
        cpu += rig.cost(&mut attacker, &[hello("x", labels.clone(), fingerprint)]).cpu;
        assert_eq!(attacker.refused(), None);
    }
    println!("{:?} of CPU for each Hello", cpu / HELLOS);
    assert!(cpu / HELLOS < MOST, "{:?}", cpu / HELLOS);
}

#[test]
fn long_labels_on_many_lines_are_limited_by_page_bytes() {
    let quotes = "\"".repeat(1_000);
    let (names, values) = (names(15), names(10_000));
    let own: Vec<_> = values.iter().map(|value| [Label { name: "n", value }]).collect();
    let declared = |count: usize| {
        let all = own.iter().take(count).map(|labels| column(0, &[], labels)).collect();
        encode(&catalog(&[family("a", GAUGE)], all))
    };
    // 15 kB of labels, escaped to 30 kB, on each of 10,000 lines. They are refused at Catalog, and
    // at Hello if the catalog is known.
    let rig = Rig::new(|_| {});
    let (many, fingerprint) = declared(10_000);
    let greeting = hello("a", quoted(&names, &quotes), fingerprint);
    let mut attacker = rig.connect();
    attacker.receives(&greeting);
    assert_eq!(attacker.refused(), None);
    attacker.receives(&many);
    assert_eq!(attacker.refused(), Some(Code::PageTooLarge));
    let mut other = rig.connect();
    other.receives(&hello("other", vec![], fingerprint));
    other.receives(&many);
    assert_eq!(other.refused(), None);
    let mut attacker = rig.connect();
    attacker.receives(&greeting);
    assert_eq!(attacker.refused(), Some(Code::PageTooLarge));
    // Allowed lines are on the page, and no others.
    let rig = Rig::new(|_| {});
    let (some, fingerprint) = declared(550);
    let mut agent = rig.connect();
    let greeting = hello("a", quoted(&names, &quotes), fingerprint);
    let first = report(1, &[-2.225_073_858_507_201_4e-308; 550]);
    for frame in [&greeting, &some, &first] {
        agent.receives(frame);
    }
    assert_eq!(agent.refused(), None);
    let (page, sent) = (rig.page_bytes(), greeting.len() + some.len() + first.len());
    println!("{sent} bytes sent, {page} bytes of a page");
    assert!((15 << 20..=16 << 20).contains(&page), "{page}");
}

#[test]
fn counted_page_size_is_the_actual_size() {
    let values = names(100);
    let own: Vec<_> = values.iter().map(|value| [Label { name: "n", value }]).collect();
    let bounds = [-2.225_073_858_507_201_4e-308, 0.5, 1.0];
    let shapes: [(u8, &[f64]); 6] =
        [(1, &[]), (2, &[]), (3, &bounds), (4, &bounds[1..]), (5, &[]), (6, &[])];
    let families = shapes.iter().enumerate().map(|(n, (kind, _))| {
        fleetgauge_proto::message::Family { help: "a \"b\"\\", ..family(&values[n], *kind) }
    });
    let families = families.collect::<Vec<_>>();
    let all = shapes.iter().zip(0..).flat_map(|((_, parameters), at)| {
        [vec![], own[0].to_vec()].map(|labels| column(at, parameters, &labels))
    });
    let (declared, fingerprint) = encode(&catalog(&families, all.collect()));
    let width = 2 * (4 + 5 + 4);
    let rig = Rig::new(|_| {});
    let mut agent = rig.connect();
    agent.receives(&hello("a", vec![], fingerprint));
    agent.receives(&declared);
    agent.receives(&report(1, &vec![-2.225_073_858_507_201_4e-308; width]));
    assert_eq!(agent.refused(), None);
    let holder = rig.collector.registry.catalogs().find(&fingerprint).unwrap();
    // The value of an info is always 1.
    let counted = holder.entry().measured().page_bytes_without_rows("agent=\"a\"")
        - 2 * ("-2.2250738585072014e-308".len() - 1);
    assert_eq!(rig.page_bytes(), counted);
}
