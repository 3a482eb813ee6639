use std::pin::pin;

use fleetgauge_proto::Limits;
use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::message::{
    Catalog, Column, Extension, Family, Message, PINNED_LABELS, Table, Welcome,
};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::tests::{reporter, retry_in};
use super::*;
use crate::catalogs::Catalogs;
use crate::client::Terms;
use crate::client::fake_collector::FakeCollector;
use crate::run::fake_address::{Address, TEST_TIMEOUT, send, welcome};
use crate::tables::Sample;
use crate::test_log::Log;

/// Returns a sample without rows of tables with these row labels.
fn sample(agent: &Agent, terms: &Terms, row_labels: &[&'static str]) -> TimedSample {
    let names: Vec<_> = (0..row_labels.len()).map(|table| format!("family{table}")).collect();
    let kind = FamilyKind::Gauge as u8;
    let families = names.iter().map(|name| Family { name, kind, unit: "", help: "" });
    let table = |(family, label)| {
        let column = Column { family, width: 1, decimals: 0, parameters: vec![], labels: vec![] };
        Table { row_labels: vec![label], columns: vec![column] }
    };
    let tables = (0..).zip(row_labels.iter().copied()).map(table).collect();
    let catalog = Catalog { stream: 0, slot: 0, families: families.collect(), tables };
    let catalogs = Catalogs::try_new(vec![catalog]).unwrap();
    TimedSample {
        taken: Instant::now(),
        metrics: agent.metrics.clone(),
        terms: terms.clone(),
        sample: Sample { rows: catalogs.no_rows(), values: Vec::new() },
        catalogs,
    }
}

/// Runs an agent whose first sample, of tables with these row labels, was not taken for the terms
/// of Welcome, nor is its last one; the sample between is. Returns the lines of the log.
///
/// Once such a session ended, and so did the next ones: the agent never reported again.
async fn lines_of_samples(
    terms: Terms,
    first: &[&'static str],
    good: &[&'static str],
) -> Vec<String> {
    let (address, mut reporter) = (Address::bind().await, reporter());
    let (newest, samples) = watch::channel(Some(sample(&reporter.agent, &Terms::default(), first)));
    let [good, last] = [good, first].map(|labels| sample(&reporter.agent, &terms, labels));
    let mut plan = reporter.plan.subscribe();
    reporter.resolver = vec![address.at()].into();
    reporter.samples = samples;
    let test = async {
        let (mut stream, first) = address.accept().await;
        let Message::Welcome(welcome) = welcome() else { unreachable!() };
        let names = terms.pinned_labels.join(",");
        let extensions = vec![Extension { id: PINNED_LABELS, data: names.as_bytes() }];
        let welcome = Welcome { limits: terms.limits, extensions, ..welcome };
        send(&mut stream, &Message::Welcome(welcome)).await;
        let used = timeout(TEST_TIMEOUT, plan.wait_for(|plan| plan.terms == terms)).await;
        drop(used.expect("the terms were not used").unwrap());
        newest.send_replace(Some(good));
        let mut collector = FakeCollector::default();
        collector.receive(&[first]);
        let mut buffer = [0; 1024];
        while collector.frames[2] == 0 {
            let read = timeout(TEST_TIMEOUT, stream.read(&mut buffer)).await;
            let read = read.expect("no report").unwrap();
            assert_ne!(read, 0, "the agent closed the connection");
            collector.receive(&buffer[..read]);
        }
        assert_eq!(collector.frames, [1, 0, 1], "only the catalog that meets the terms is sent");
        newest.send_replace(Some(last));
        let closed = timeout(TEST_TIMEOUT, stream.read_to_end(&mut Vec::new())).await;
        closed.expect("the session goes on").unwrap();
    };
    let log = Log::default();
    let _logging = log.install();
    let shutdown = pin!(std::future::pending());
    tokio::select! {
        () = reporter.run(Control::new(shutdown, None)) => panic!("the reporter stopped"),
        () = test => {}
    }
    log.lines()
}

#[tokio::test]
async fn agent_reports_after_the_collector_lowers_its_limits() {
    let limits = Limits { max_series: 1, ..Limits::default() };
    let terms = Terms { limits, ..Terms::default() };
    let lines = lines_of_samples(terms, &["disk", "mount"], &["disk"]).await;
    // Only an operator can mend samples that exceed limits which they were taken for.
    let [connected, lost] = &*lines else { panic!("{lines:?}") };
    assert!(connected.contains("INFO connected"), "{connected}");
    assert!(lost.contains("(its setting max_series)") && retry_in(lost) > 500.0, "{lost}");
}

#[tokio::test]
async fn agent_reports_after_the_collector_pins_a_label() {
    let pinned_labels = ["site", "tenant"].map(Box::from).into();
    let terms = Terms { pinned_labels, ..Terms::default() };
    let lines = lines_of_samples(terms, &["tenant"], &["exported_tenant"]).await;
    let [connected, lost] = &*lines else { panic!("{lines:?}") };
    assert!(connected.contains("INFO connected"), "{connected}");
    assert!(lost.contains("\"tenant\", which the collector sets"), "{lost}");
    assert!(retry_in(lost) > 500.0, "{lost}");
}
