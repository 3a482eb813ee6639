//! Presence: series are removed when a session ends, silent sessions end, and ids are unique.

mod other_host;
mod same_host;

use std::time::{Duration, Instant};

use fleetgauge_proto::Code;
use fleetgauge_proto::report::ABSENT;
use rustix::process::Signal;

use crate::support::agent::{Agent, Identity, Received, identity};
use crate::support::collector::{Collector, Page, unpaced};
use crate::support::command::Process;
use crate::support::frames::{bye, changed_from, gauges, ping};
use crate::support::{StopAtEnd, eventually, http};

fn gone(end: impl FnOnce(Agent), reason: &str) {
    let collector = Collector::start();
    let stays = Agent::join(collector.agents, &identity("stays"), &gauges(&["up"]), &[1.0]);
    let leaves = Agent::join(collector.agents, &identity("leaves"), &gauges(&["up"]), &[2.0]);
    assert_eq!(collector.page().values_of("leaves"), [2.0]);
    end(leaves);
    eventually("the session has ended", || !collector.page().shows("leaves"));
    assert_eq!(collector.page().values_of("stays"), [1.0]);
    assert_eq!(collector.get("/metrics/agents/leaves", &[]).status, 404);
    eventually("its end is counted", || collector.closed(reason) == 1.0);
    assert_eq!(collector.metric("fleetgauge_agents_connected"), 1.0);
    drop(stays);
}

#[test]
fn series_are_removed_at_the_end_of_the_stream() {
    gone(drop, "closed");
}

#[test]
fn series_are_removed_when_the_agent_closes_its_sending_side() {
    let mut kept = None;
    gone(
        |mut agent| {
            agent.finish();
            kept = Some(agent);
        },
        "closed",
    );
}

#[test]
fn series_are_removed_after_a_reset() {
    gone(Agent::reset, "reset");
}

#[test]
fn series_are_removed_after_bye_on_an_open_connection() {
    let mut kept = None;
    gone(
        |mut agent| {
            agent.send(&bye());
            kept = Some(agent);
        },
        "bye",
    );
}

#[test]
fn series_are_removed_after_a_violation_on_an_open_connection() {
    let mut kept = None;
    gone(
        |mut agent| {
            agent.send(b"nonsense");
            kept = Some(agent);
        },
        "bad_magic",
    );
}

#[test]
fn series_of_a_thousand_agents_are_removed_at_once() {
    let collector = Collector::start();
    let stays = Agent::join(collector.agents, &identity("stays"), &gauges(&["up"]), &[1.0]);
    let fleet: Vec<_> = (0..1_000)
        .map(|n| {
            Agent::join(collector.agents, &identity(&format!("a{n}")), &gauges(&["up"]), &[2.0])
        })
        .collect();
    assert_eq!(collector.page().samples().count(), 1_001);
    drop(fleet);
    eventually("all sessions have ended", || collector.page().samples().count() == 1);
    assert!(collector.page().shows("stays"));
    drop(stays);
}

#[test]
fn agent_that_only_pings_times_out() {
    let collector = Collector::start();
    let hasty = Identity { interval_ms: 1_000, ..identity("hasty") };
    let reported = Instant::now();
    let mut agent = Agent::join(collector.agents, &hasty, &gauges(&["up"]), &[1.0]);
    let mut pings = agent.stream.try_clone().unwrap();
    let pinging = std::thread::spawn(move || {
        while std::io::Write::write_all(&mut pings, &ping(1)).is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let (_, retry_after_ms) = agent.expect_code(Code::ReportTimeout);
    // The exact time is tested without a socket, because this machine can be busy.
    let silent = reported.elapsed();
    assert!(silent >= Duration::from_secs(3), "{silent:?}");
    assert!(retry_after_ms.is_some());
    assert!(!collector.page().shows("hasty"));
    assert_eq!(collector.closed("report_timeout"), 1.0);
    drop(agent);
    pinging.join().unwrap();
}

/// The connections begin at different times between two ticks of the collector's ticker.
#[test]
fn connections_without_hello_time_out_and_never_early() {
    let collector = Collector::start();
    std::thread::scope(|scope| {
        for phase_ms in [0, 60, 120, 180, 240] {
            let agents = collector.agents;
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(phase_ms));
                let connected = Instant::now();
                Agent::connect(agents).expect_reject(Code::HelloTimeout);
                let waited = connected.elapsed();
                assert!(waited >= Duration::from_secs(5), "{waited:?}");
            });
        }
    });
}

#[test]
fn absent_value_is_hidden_until_it_returns() {
    let collector = Collector::start();
    let mut agent =
        Agent::join(collector.agents, &identity("a"), &gauges(&["one", "two"]), &[1.0, ABSENT]);
    assert_eq!(collector.page().value("one{agent=\"a\"}"), Some(1.0));
    assert_eq!(collector.page().value("two{agent=\"a\"}"), None);
    agent.send(&changed_from(2, &[1.0, ABSENT], &[ABSENT, 2.0]));
    agent.settle();
    assert_eq!(collector.page().value("one{agent=\"a\"}"), None);
    assert_eq!(collector.page().value("two{agent=\"a\"}"), Some(2.0));
    agent.sequence = 2;
    agent.report(&[ABSENT, ABSENT]);
    assert!(!collector.page().shows("a"));
    assert_eq!(
        collector.metric("fleetgauge_agents_connected"),
        1.0,
        "the agent is still connected"
    );
    agent.report(&[f64::from_bits(0x7ff8_0000_0000_0001), 4.0]);
    assert!(collector.page().value("one{agent=\"a\"}").is_some_and(f64::is_nan));
}

#[test]
fn old_values_are_kept_until_the_first_report_of_a_new_catalog() {
    let collector = Collector::start();
    let mut agent =
        Agent::join(collector.agents, &identity("a"), &gauges(&["old", "both"]), &[1.0, 2.0]);
    agent.send(&gauges(&["both", "new"]).bytes);
    agent.settle();
    let page = collector.page();
    assert_eq!(page.value("old{agent=\"a\"}"), Some(1.0));
    assert_eq!(page.value("both{agent=\"a\"}"), Some(2.0));
    agent.report(&[3.0, 4.0]);
    let page = collector.page();
    assert_eq!(page.value("both{agent=\"a\"}"), Some(3.0));
    assert_eq!(page.value("new{agent=\"a\"}"), Some(4.0));
    assert_eq!(page.samples().count(), 2);
}

#[test]
fn values_of_a_page_come_from_one_report() {
    let collector = Collector::with(unpaced());
    let names: Vec<_> = (0..40).map(|n| format!("v{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut agent = Agent::join(collector.agents, &identity("fast"), &gauges(&names), &[1.0; 40]);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                for _ in 0..50 {
                    agent.sequence += 1;
                    let value = agent.sequence as f64;
                    agent.send(&crate::support::frames::report(agent.sequence, &[value; 40]));
                }
            }
        });
        let _stop = StopAtEnd(&stop);
        let mut newest = 0.0;
        for _ in 0..200 {
            let values = collector.page().values_of("fast");
            assert_eq!(values.len(), 40);
            assert!(values.iter().all(|value| *value == values[0]), "torn: {values:?}");
            assert!(values[0] >= newest, "{} after {newest}", values[0]);
            newest = values[0];
        }
        assert!(newest > 1.0);
    });
    drop(agent);
}

#[test]
fn agents_reconnect_to_a_restarted_collector() {
    let catalog = gauges(&["up"]);
    // No other test binds a port of this address while the collector is down.
    let mut collector = Process::start(&["--listen", "127.0.0.94:0"]);
    let address = collector.listeners[1];
    let mut agent = Agent::join(address, &identity("a"), &catalog, &[1.0]);
    assert_eq!(values_of("a", &collector), [1.0]);
    collector.signal(Signal::KILL);
    collector.ends();
    assert!(matches!(agent.receive(), Received::Closed | Received::Reset));
    let restarted = Process::start(&["--listen", &address.to_string()]);
    assert!(values_of("a", &restarted).is_empty(), "values do not survive a restart");
    let mut agent = Agent::greet(address, &identity("a"), &catalog);
    assert_eq!(agent.receive(), Received::Welcome { interval_ms: 15_000, catalogs_known: false });
    agent.send(&catalog.bytes);
    agent.report(&[2.0]);
    assert_eq!(values_of("a", &restarted), [2.0]);
}

fn values_of(agent: &str, collector: &Process) -> Vec<f64> {
    let answer = http::request(collector.http, "GET", "/metrics/agents", &[]);
    assert_eq!((answer.status, answer.whole), (200, true));
    Page(answer.text()).values_of(agent)
}

/// Drain time of a stopping collector.
const DRAIN: Duration = Duration::from_secs(10);

#[test]
fn stopping_collector_drains_agents_and_closes_the_rest() {
    let mut config = crate::support::collector::config();
    // Long enough for all that follows, on a busy machine as well.
    config.drain = DRAIN;
    let mut collector = Collector::with(config);
    let mut obeys = Agent::join(collector.agents, &identity("obeys"), &gauges(&["up"]), &[1.0]);
    let mut stays = Agent::join(collector.agents, &identity("stays"), &gauges(&["up"]), &[1.0]);
    assert_eq!(collector.get("/readyz", &[]).status, 200);
    collector.stop();
    for agent in [&mut obeys, &mut stays] {
        let Received::Drain { delay_ms, .. } = agent.receive() else {
            panic!("not asked to leave")
        };
        assert!(u128::from(delay_ms) <= DRAIN.as_millis() / 2);
    }
    assert_eq!(collector.get("/readyz", &[]).status, 503);
    assert_eq!(collector.get("/healthz", &[]).status, 200);
    // The agent reports until it leaves.
    stays.report(&[2.0]);
    assert_eq!(collector.page().values_of("stays"), [2.0]);
    obeys.send(&bye());
    assert_eq!(obeys.receive(), Received::Closed);
    assert!(!collector.page().shows("obeys"));
    stays.expect_reject(Code::Draining);
    assert!(std::net::TcpStream::connect(collector.agents).is_err(), "new connections are refused");
}
