//! What arrives at the engine.

use std::time::{Duration, Instant};

use fleetgauge_proto::message::Label;
use fleetgauge_proto::report::ABSENT;

use super::{Engine, report, series, start_ms};
use crate::support::TEST_TIMEOUT;
use crate::support::agent::{Agent, Identity, identity};
use crate::support::collector::Collector;
use crate::support::command::Process;
use crate::support::frames::{add_disks, disks, gauges};

#[test]
fn every_report_arrives_with_its_time_labels_and_values() {
    let engine = Engine::start();
    let collector = engine.collector("");
    let labels = vec![Label { name: "dc", value: "fra" }, Label { name: "Zone", value: "a\"b" }];
    let identity = Identity { labels, ..identity("a") };
    let mut agent = Agent::open(collector.agents, &identity, &disks());
    agent.send(&add_disks(&["sda", "sdb"]));
    let start = start_ms();
    for round in 0_i32..3 {
        let value = f64::from(round);
        report(&mut agent, start + i64::from(round), &[value, 1.5, 2.5, value * 10.0, 4.5]);
    }
    let own = [("Zone", "a\"b"), ("__name__", "load"), ("agent", "a"), ("dc", "fra")];
    engine.until(|ledger| ledger.find(&own).is_some_and(|series| series.samples().len() == 3));
    assert_eq!(engine.values(&own), [(start, 0.0), (start + 1, 1.0), (start + 2, 2.0)]);
    let of_disk =
        [("Zone", "a\"b"), ("__name__", "used"), ("agent", "a"), ("dc", "fra"), ("device", "sdb")];
    assert_eq!(engine.values(&of_disk), [(start, 0.0), (start + 1, 10.0), (start + 2, 20.0)]);
    let up = [("Zone", "a\"b"), ("__name__", "fleetgauge_agent_up"), ("agent", "a"), ("dc", "fra")];
    assert_eq!(engine.values(&up), [(start, 1.0), (start + 1, 1.0), (start + 2, 1.0)]);
    // Five series and one that says that the agent is connected.
    assert_eq!(engine.receiver.ledger().samples_total(), 3 * 6);
    engine.expect_no_violations();
}

#[test]
fn absent_values_are_not_sent() {
    let engine = Engine::start();
    let collector = engine.collector("agent_up = false");
    let mut agent = Agent::open(collector.agents, &identity("a"), &gauges(&["x", "y"]));
    report(&mut agent, start_ms(), &[ABSENT, 1.0]);
    engine.until(|ledger| ledger.samples_total() > 0);
    assert!(engine.values(&series("x", "a")).is_empty());
    assert_eq!(engine.values(&series("y", "a")).len(), 1);
}

#[test]
fn rules_choose_and_rename_what_is_forwarded() {
    let engine = Engine::start();
    let collector = engine.collector(
        "agent_up = false\n\
         drop_metrics = [\"noise_*\"]\n\
         rename_metrics = { load = \"node_load\" }\n\
         external_labels = { cluster = \"eu\" }",
    );
    let catalog = gauges(&["load", "noise_a", "other"]);
    let mut agent = Agent::open(collector.agents, &identity("a"), &catalog);
    report(&mut agent, start_ms(), &[1.0, 2.0, 3.0]);
    let named = |name| [("__name__", name), ("agent", "a"), ("cluster", "eu")];
    engine.until(|ledger| ledger.samples_total() == 2);
    assert_eq!(engine.values(&named("node_load"))[0].1, 1.0);
    assert_eq!(engine.values(&named("other"))[0].1, 3.0);
}

#[test]
fn metadata_of_families_is_sent() {
    let engine = Engine::start();
    let collector = engine.collector("metadata_interval = \"10s\"");
    let _agent = Agent::join(collector.agents, &identity("a"), &gauges(&["x"]), &[1.0]);
    engine.until(|ledger| ledger.metadata().contains_key("x"));
}

#[test]
fn two_engines_get_the_same_samples_and_one_that_is_away_delays_only_itself() {
    let (one, other) = (Engine::start(), Engine::start());
    other.receiver.faults().refuse();
    let mut config = one.config("");
    config.remote_write.extend(other.config("name = \"other\"").remote_write);
    let collector = Collector::with(config);
    let mut agent = Agent::open(collector.agents, &identity("a"), &gauges(&["x"]));
    report(&mut agent, start_ms(), &[1.0]);
    let has_sample = |ledger: &fleetgauge_receiver::Ledger| ledger.samples_total() == 2;
    one.until(has_sample);
    assert_eq!(other.receiver.ledger().samples_total(), 0);
    other.receiver.faults().clear();
    other.until(has_sample);
}

/// The clock of an agent that breaks the protocol.
#[test]
fn report_from_the_future_is_not_forwarded() {
    let engine = Engine::start();
    let collector = engine.collector("");
    let mut agent = Agent::open(collector.agents, &identity("a"), &gauges(&["x"]));
    let start = start_ms();
    report(&mut agent, start + Duration::from_secs(3_600).as_millis() as i64, &[1.0]);
    report(&mut agent, start, &[2.0]);
    engine.until(|ledger| ledger.samples_total() == 2);
    assert_eq!(engine.values(&series("x", "a")), [(start, 2.0)]);
    assert_eq!(dropped(&collector, "bad_time"), 2.0);
}

#[test]
fn report_from_the_future_is_logged_and_many_do_not_fill_the_log() {
    let engine = Engine::start();
    let settings = engine.settings("");
    let process = Process::start(&["--config", settings.path().to_str().unwrap()]);
    let mut agent = Agent::open(process.agents, &identity("a"), &gauges(&["x"]));
    let (begun, start) = (Instant::now(), start_ms() + 300_000);
    for round in 0..30 {
        report(&mut agent, start + 3_600_500 + round, &[1.0]);
    }
    let log = process.stopped();
    let is_line = |line: &&str| line.contains("report from the future not forwarded");
    let lines: Vec<_> = log.lines().filter(is_line).collect();
    let most = begun.elapsed().as_secs() as usize + 1;
    assert!((1..=most).contains(&lines.len()), "{lines:?}");
    let first = lines[0];
    assert!(first.contains("WARN") && first.contains(" agent=a"), "{first}");
    assert!(first.contains(" count=1"), "{first}");
    let offset = first.split(" offset=").nth(1).and_then(|rest| rest.split(' ').next());
    let offset: u64 = offset.unwrap().parse().unwrap();
    // Less by the time until the first report was handled.
    assert!((3600 - TEST_TIMEOUT.as_secs()..=3600).contains(&offset), "{first}");
}

pub(super) fn dropped(collector: &Collector, reason: &str) -> f64 {
    collector.metric(&format!(
        "fleetgauge_remote_write_samples_dropped_total{{remote_name=\"engine\",\
         reason=\"{reason}\"}}"
    ))
}
