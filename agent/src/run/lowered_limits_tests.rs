use std::pin::pin;

use fleetgauge_proto::Limits;
use fleetgauge_proto::message::{Message, Welcome};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::tests::{reporter, retry_in};
use super::*;
use crate::catalogs::Catalogs;
use crate::client::Terms;
use crate::client::fake_collector::FakeCollector;
use crate::metrics::{MetricSet, Selection};
use crate::run::fake_address::{Address, TEST_TIMEOUT, send, welcome};
use crate::tables::Sample;
use crate::test_log::Log;

/// Once Hello named the catalogs for the old limits again and again, and the agent never reported.
#[tokio::test]
async fn agent_reports_again_after_the_collector_lowers_its_limits() {
    let (address, mut reporter) = (Address::bind().await, reporter());
    let (newest, samples) = watch::channel(None);
    let (mut plan, metrics) = (reporter.plan.subscribe(), reporter.agent.metrics.clone());
    reporter.resolver = vec![address.at()].into();
    reporter.samples = samples;
    // Both sets have six columns.
    let sample = |limits, sets: &[MetricSet]| {
        let catalogs = sets.iter().map(|set| Selection::of(*set).catalog().clone()).collect();
        let catalogs = Catalogs::try_new(catalogs).unwrap();
        let sample = Sample { rows: catalogs.no_rows(), values: vec![1.0; 6 * sets.len()] };
        newest.send_replace(Some(TimedSample {
            taken: Instant::now(),
            metrics: metrics.clone(),
            terms: Terms { limits, ..Terms::default() },
            catalogs,
            sample,
        }));
    };
    let lowered = Limits { max_series: 6, ..Limits::default() };
    let accept = async || {
        let (mut stream, first) = address.accept().await;
        let Message::Welcome(welcome) = welcome() else { unreachable!() };
        send(&mut stream, &Message::Welcome(Welcome { limits: lowered, ..welcome })).await;
        (stream, first)
    };
    let test = async {
        sample(Limits::default(), &[MetricSet::Basic, MetricSet::Classic]);
        let _closed = accept().await;
        let limits = plan.wait_for(|plan| plan.terms.limits == lowered);
        timeout(TEST_TIMEOUT, limits).await.expect("the limits were not used").unwrap();
        sample(lowered, &[MetricSet::Basic]);
        let ((mut stream, first), mut collector) = (accept().await, FakeCollector::default());
        collector.receive(&[first]);
        let mut buffer = [0; 1024];
        while collector.frames[2] == 0 {
            let read = timeout(TEST_TIMEOUT, stream.read(&mut buffer)).await;
            let read = read.expect("no report").unwrap();
            assert_ne!(read, 0, "the agent closed the connection");
            collector.receive(&buffer[..read]);
        }
        // Now only a change of settings helps.
        sample(lowered, &[MetricSet::Basic, MetricSet::Classic]);
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
    let lines = log.lines();
    let [first, _, last] = &*lines else { panic!("{lines:?}") };
    assert!(first.contains("connection failed") && retry_in(first) < 60.0, "{first}");
    assert!(last.contains("connection rejected") && retry_in(last) > 500.0, "{last}");
}
