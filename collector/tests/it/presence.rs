//! Gone means gone, alive means reporting, and the same id twice.

mod other_host;
mod same_host;

use std::time::{Duration, Instant};

use fleetgauge_proto::Code;
use fleetgauge_proto::report::ABSENT;
use rustix::process::Signal;

use crate::support::agent::{Agent, Heard, Who, who};
use crate::support::collector::{Collector, Page, unpaced};
use crate::support::command::Process;
use crate::support::frames::{bye, changed, gauges, ping};
use crate::support::{StopAtEnd, eventually, http};

fn gone(end: impl FnOnce(Agent), reason: &str) {
    let collector = Collector::start();
    let stays = Agent::join(collector.agents, &who("stays"), &gauges(&["up"]), &[1.0]);
    let leaves = Agent::join(collector.agents, &who("leaves"), &gauges(&["up"]), &[2.0]);
    assert_eq!(collector.page().values_of("leaves"), [2.0]);
    end(leaves);
    eventually("it is gone", || !collector.page().shows("leaves"));
    assert_eq!(collector.page().values_of("stays"), [1.0]);
    assert_eq!(collector.get("/metrics/agents/leaves", &[]).status, 404);
    eventually("its end is counted", || collector.closed(reason) == 1.0);
    assert_eq!(collector.figure("fleetgauge_agents_connected"), 1.0);
    drop(stays);
}

#[test]
fn gone_after_the_end_of_the_stream() {
    gone(drop, "closed");
}

#[test]
fn gone_after_half_of_the_connection_is_closed() {
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
fn gone_after_a_reset() {
    gone(Agent::reset, "reset");
}

#[test]
fn gone_after_bye_though_the_connection_stays() {
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
fn gone_after_a_violation_though_the_connection_stays() {
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
fn a_thousand_leave_together() {
    let collector = Collector::start();
    let stays = Agent::join(collector.agents, &who("stays"), &gauges(&["up"]), &[1.0]);
    let fleet: Vec<_> = (0..1_000)
        .map(|n| Agent::join(collector.agents, &who(&format!("a{n}")), &gauges(&["up"]), &[2.0]))
        .collect();
    assert_eq!(collector.page().samples().count(), 1_001);
    drop(fleet);
    eventually("all have gone", || collector.page().samples().count() == 1);
    assert!(collector.page().shows("stays"));
    drop(stays);
}

#[test]
fn an_agent_that_only_pings_is_silent() {
    let collector = Collector::start();
    let hasty = Who { interval_ms: 1_000, ..who("hasty") };
    let reported = Instant::now();
    let mut agent = Agent::join(collector.agents, &hasty, &gauges(&["up"]), &[1.0]);
    let mut pings = agent.stream.try_clone().unwrap();
    let pinging = std::thread::spawn(move || {
        while std::io::Write::write_all(&mut pings, &ping(1)).is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let (_, retry_after_ms) = agent.expect_code(Code::ReportTimeout);
    // That it is not later is tested without a socket: here the machine may be busy.
    let silent = reported.elapsed();
    assert!(silent >= Duration::from_secs(3), "{silent:?}");
    assert!(retry_after_ms.is_some());
    assert!(!collector.page().shows("hasty"));
    assert_eq!(collector.closed("report_timeout"), 1.0);
    drop(agent);
    pinging.join().unwrap();
}

/// Wherever between two looks at the clock they come.
#[test]
fn silent_strangers_are_sent_away_and_never_early() {
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
fn an_absent_value_is_not_shown_and_returns() {
    let collector = Collector::start();
    let mut agent =
        Agent::join(collector.agents, &who("a"), &gauges(&["one", "two"]), &[1.0, ABSENT]);
    assert_eq!(collector.page().value("one{agent=\"a\"}"), Some(1.0));
    assert_eq!(collector.page().value("two{agent=\"a\"}"), None);
    agent.send(&changed(2, &[0b11], &[ABSENT, 2.0]));
    agent.settle();
    assert_eq!(collector.page().value("one{agent=\"a\"}"), None);
    assert_eq!(collector.page().value("two{agent=\"a\"}"), Some(2.0));
    agent.sequence = 2;
    agent.report(&[ABSENT, ABSENT]);
    assert!(!collector.page().shows("a"));
    assert_eq!(
        collector.figure("fleetgauge_agents_connected"),
        1.0,
        "it is connected all the same"
    );
    agent.report(&[f64::from_bits(0x7ff8_0000_0000_0001), 4.0]);
    assert!(collector.page().value("one{agent=\"a\"}").is_some_and(f64::is_nan));
}

#[test]
fn old_values_stand_until_the_first_report_of_a_new_schema() {
    let collector = Collector::start();
    let mut agent =
        Agent::join(collector.agents, &who("a"), &gauges(&["old", "both"]), &[1.0, 2.0]);
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
fn values_are_never_torn() {
    let collector = Collector::with(unpaced());
    let names: Vec<_> = (0..40).map(|n| format!("v{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut agent = Agent::join(collector.agents, &who("fast"), &gauges(&names), &[1.0; 40]);
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
fn a_restarted_collector_is_refilled() {
    let schema = gauges(&["up"]);
    // Nobody else binds a port of this address while the collector is down.
    let mut collector = Process::start(&["--listen", "127.0.0.94:0"]);
    let address = collector.listeners[1];
    let mut agent = Agent::join(address, &who("a"), &schema, &[1.0]);
    assert_eq!(values_of("a", &collector), [1.0]);
    collector.signal(Signal::KILL);
    collector.ends();
    assert!(matches!(agent.hear(), Heard::Closed | Heard::Reset));
    let restarted = Process::start(&["--listen", &address.to_string()]);
    assert!(values_of("a", &restarted).is_empty(), "a collector keeps no value");
    let mut agent = Agent::greet(address, &who("a"), &schema);
    assert_eq!(agent.hear(), Heard::Welcome { interval_ms: 15_000, schema_known: false });
    agent.send(&schema.bytes);
    agent.report(&[2.0]);
    assert_eq!(values_of("a", &restarted), [2.0]);
}

fn values_of(agent: &str, collector: &Process) -> Vec<f64> {
    let answer = http::request(collector.http, "GET", "/metrics/agents", &[]);
    assert_eq!((answer.status, answer.whole), (200, true));
    Page(answer.text()).values_of(agent)
}

/// For how long a collector that stops waits for its agents to leave.
const DRAIN: Duration = Duration::from_secs(10);

#[test]
fn agents_are_asked_to_leave_and_then_made_to() {
    let mut config = crate::support::collector::config();
    // All that follows happens while it waits for them, also on a busy machine.
    config.drain = DRAIN;
    let mut collector = Collector::with(config);
    let mut obeys = Agent::join(collector.agents, &who("obeys"), &gauges(&["up"]), &[1.0]);
    let mut stays = Agent::join(collector.agents, &who("stays"), &gauges(&["up"]), &[1.0]);
    assert_eq!(collector.get("/readyz", &[]).status, 200);
    collector.stop();
    for agent in [&mut obeys, &mut stays] {
        let Heard::Drain { delay_ms } = agent.hear() else { panic!("not asked to leave") };
        assert!(u128::from(delay_ms) <= DRAIN.as_millis() / 2);
    }
    assert_eq!(collector.get("/readyz", &[]).status, 503);
    assert_eq!(collector.get("/healthz", &[]).status, 200);
    // It reports until it goes.
    stays.report(&[2.0]);
    assert_eq!(collector.page().values_of("stays"), [2.0]);
    obeys.send(&bye());
    assert_eq!(obeys.hear(), Heard::Closed);
    assert!(!collector.page().shows("obeys"));
    stays.expect_reject(Code::Draining);
    assert!(std::net::TcpStream::connect(collector.agents).is_err(), "nobody is let in any more");
}
