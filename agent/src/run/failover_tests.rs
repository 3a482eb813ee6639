//! Several collectors: the agent tries them in its own order, and moves when one asks it to.

use std::pin::pin;
use std::time::Duration;

use fleetgauge_proto::message::{Drain, Message};
use fleetgauge_proto::{AgentId, Code};
use tokio::time::timeout;

use super::tests::{ordered, reporter_of};
use super::*;
use crate::config::{Collectors, Config};
use crate::identity::IdSource;
use crate::run::candidates::Resolved;
use crate::run::fake_address::{Address, TEST_TIMEOUT, send};

fn endpoint(address: &Address) -> Endpoint {
    Endpoint::parse(&address.at().to_string()).unwrap()
}

/// Binds three addresses. Returns them in the order in which the agent tries these collectors.
async fn collectors() -> [Address; 3] {
    let mut all = [Address::bind().await, Address::bind().await, Address::bind().await];
    let resolved = all.iter().map(|address| {
        let endpoint = endpoint(address);
        let resolved = Resolved::new(endpoint.clone(), vec![address.at()]);
        (Collector::Endpoint(endpoint), Ok(resolved))
    });
    let order = Candidates::new(&AgentId::try_new("web-1").unwrap(), None, resolved.collect()).all;
    all.sort_by_key(|address| order.iter().position(|one| one.address == address.at()));
    all
}

/// Runs an agent with these collectors while `test` runs.
async fn with_collectors(collectors: &[Address], test: impl Future<Output = ()>) {
    let id = IdSource::Given(AgentId::try_new("web-1").unwrap());
    let collector =
        Collectors::try_new(collectors.iter().map(endpoint).map(Collector::Endpoint)).unwrap();
    let reporter = reporter_of(Config { id, collector, ..Config::default() });
    let shutdown = pin!(std::future::pending());
    tokio::select! {
        () = reporter.run(Control::new(shutdown, None)) => panic!("the reporter stopped"),
        ended = timeout(TEST_TIMEOUT, test) => ended.expect("the test hangs"),
    }
}

async fn drain(stream: &mut (impl tokio::io::AsyncWrite + Unpin), target: Option<&str>) {
    send(stream, &Message::Drain(Drain { delay_ms: 0, target })).await;
}

#[tokio::test]
async fn collectors_are_tried_in_the_order_of_the_agent() {
    let all = collectors().await;
    with_collectors(&all, async {
        drop(all[0].accept().await);
        all[1].reject(Code::CollectorFull, Some(60_000)).await;
        let _held = all[2].welcome().await;
        for address in &all {
            assert!(!address.has_connection().await, "another collector was tried");
        }
    })
    .await;
}

#[tokio::test]
async fn agent_stays_with_a_less_preferred_collector_until_it_is_drained() {
    let all = collectors().await;
    with_collectors(&all, async {
        drop(all[0].accept().await);
        let mut second = all[1].welcome().await;
        assert!(!all[0].has_connection().await, "the agent returned by itself");
        drain(&mut second, None).await;
        let _held = all[0].welcome().await;
    })
    .await;
}

#[tokio::test]
async fn other_collectors_are_tried_at_once_if_the_target_of_a_drain_fails() {
    let all = collectors().await;
    let target = Address::bind().await;
    with_collectors(&all, async {
        let mut first = all[0].welcome().await;
        drain(&mut first, Some(&target.at().to_string())).await;
        drop(target.accept().await);
        assert!(!target.has_connection().await, "the target is tried once");
        let _held = all[0].welcome().await;
    })
    .await;
}

#[tokio::test]
async fn agent_returns_to_its_collectors_after_a_session_at_the_target() {
    let all = collectors().await;
    let target = Address::bind().await;
    with_collectors(&all, async {
        let mut first = all[0].welcome().await;
        drain(&mut first, Some(&target.at().to_string())).await;
        drop(target.welcome().await);
        let _held = all[0].welcome().await;
        assert!(!target.has_connection().await);
    })
    .await;
}

#[tokio::test]
async fn name_without_an_address_does_not_end_the_round() {
    let (good, _) = ordered().await;
    let id = IdSource::Given(AgentId::try_new("web-1").unwrap());
    // RFC 6761: no resolver finds this name.
    let unknown = Collector::parse("collector.invalid:45678").unwrap();
    let collector = Collectors::try_new([unknown, Collector::Endpoint(endpoint(&good))]).unwrap();
    let reporter = reporter_of(Config { id, collector, ..Config::default() });
    let shutdown = pin!(std::future::pending());
    tokio::select! {
        () = reporter.run(Control::new(shutdown, None)) => panic!("the reporter stopped"),
        _held = good.welcome() => {}
    }
}

#[test]
fn failed_round_names_all_collectors() {
    let collectors = ["a.example:1", "b.example:2"].map(|text| Collector::parse(text).unwrap());
    let collector = Collectors::try_new(collectors).unwrap();
    let id = IdSource::Given(AgentId::try_new("web-1").unwrap());
    let mut reporter = reporter_of(Config { id, collector, ..Config::default() });
    let log = crate::test_log::Log::default();
    let _logging = log.install();
    assert!(reporter.round_failed(&Failure::new("no")).duration <= Duration::from_secs(5));
    let line = log.lines().pop().unwrap();
    assert!(line.contains("collector=a.example:1,b.example:2 attempt=1"), "{line}");
}
