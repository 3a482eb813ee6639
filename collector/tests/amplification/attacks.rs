//! Attacks that once stopped a collector, and what they may cost.

use std::time::Duration;

use fleetgauge_proto::message::Label;
use fleetgauge_proto::{Code, Fingerprint};

use crate::measure::{Rig, at_most, encode, hello, report};
use crate::worst::{family, names, schema, series};

const GAUGE: u8 = 1;
const HISTOGRAM: u8 = 3;

/// Labels whose values double when they are written.
fn quoted<'a>(names: &'a [String], quotes: &'a str) -> Vec<Label<'a>> {
    names.iter().map(|name| Label { name, value: quotes }).collect()
}

/// Schemas of 544 kB until there are 4.9 MB of them: histograms whose labels once stood in the plan for each of their bounds.
fn histograms_of_long_labels(agent: usize) -> Vec<Vec<u8>> {
    let quotes = "\"".repeat(1_024);
    let names = names(31);
    let bounds: Vec<_> = (0..256).map(f64::from).collect();
    let frames = (0..9).map(|n| {
        let families: Vec<_> = (0..15).map(|family| format!("f{agent}_{n}_{family}")).collect();
        let labels = quoted(&names, &quotes);
        let series = (0..15).map(|family| series(family, &bounds, &labels)).collect();
        let families: Vec<_> = families.iter().map(|name| family(name, HISTOGRAM)).collect();
        encode(&schema(&families, series)).0
    });
    frames.collect()
}

#[test]
fn histograms_of_long_labels_from_three_agents() {
    let mut cpu = Duration::ZERO;
    let mut sent = 0;
    // Where such pages are allowed, so that all of it is kept.
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
    let taken = rig.shared.registry.budget().taken();
    println!("{sent} bytes sent, {cpu:?} of CPU, {taken} bytes taken of the budget");
    assert!(cpu < at_most(Duration::from_secs(1)), "{cpu:?}");
}

#[test]
fn a_schema_for_which_there_is_no_memory_is_not_unfolded() {
    let rig = Rig::new(|config| {
        config.bounds.memory = 1 << 20;
        config.bounds.page_bytes_per_agent = usize::MAX;
    });
    let mut attacker = rig.connect();
    attacker.receives(&hello("a", vec![], Fingerprint([0; 16])));
    let cost = rig.cost(&mut attacker, &histograms_of_long_labels(0)[..1]);
    assert_eq!(attacker.refused(), Some(Code::CollectorFull));
    assert_eq!(rig.shared.registry.budget().refusals(), 1);
    // The frame, decoded; neither its labels as they are written nor its numbers.
    assert!(cost.peak < 4 * cost.sent, "{cost:?}");
}

#[test]
fn long_labels_on_many_lines_of_a_page() {
    let quotes = "\"".repeat(1_000);
    let (names, values) = (names(15), names(10_000));
    let own: Vec<_> = values.iter().map(|value| [Label { name: "n", value }]).collect();
    let declared = |count: usize| {
        let all = own.iter().take(count).map(|labels| series(0, &[], labels)).collect();
        encode(&schema(&[family("a", GAUGE)], all))
    };
    // 15 kB of labels, written as 30 kB, on each of 10,000 lines: at Schema, and at the next Hello.
    let rig = Rig::new(|_| {});
    let (many, fingerprint) = declared(10_000);
    let greeting = hello("a", quoted(&names, &quotes), fingerprint);
    let mut attacker = rig.connect();
    attacker.receives(&greeting);
    assert_eq!(attacker.refused(), None);
    attacker.receives(&many);
    assert_eq!(attacker.refused(), Some(Code::PageTooLarge));
    let mut attacker = rig.connect();
    attacker.receives(&greeting);
    assert_eq!(attacker.refused(), Some(Code::PageTooLarge));
    // What is allowed is on the page, and no more than that.
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
fn a_page_of_every_line_is_as_long_as_was_counted() {
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
        [vec![], own[0].to_vec()].map(|labels| series(at, parameters, &labels))
    });
    let (declared, fingerprint) = encode(&schema(&families, all.collect()));
    let width = 2 * (4 + 5 + 4);
    let rig = Rig::new(|_| {});
    let mut agent = rig.connect();
    agent.receives(&hello("a", vec![], fingerprint));
    agent.receives(&declared);
    agent.receives(&report(1, &vec![-2.225_073_858_507_201_4e-308; width]));
    assert_eq!(agent.refused(), None);
    let holder = rig.shared.registry.schemas().find(&fingerprint).unwrap();
    // An info's value is 1, whatever was reported.
    let counted =
        holder.entry().page_bytes("agent=\"a\"".len()) - 2 * ("-2.2250738585072014e-308".len() - 1);
    assert_eq!(rig.page_bytes(), counted);
}
