//! The roster: departed agents are distinguished from unknown ones, also after a restart.

mod operators;
mod restart;
mod stopped;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fleetgauge_collector::peers::close_reason::CloseReason;
use fleetgauge_collector::peers::handle::Signal;
use fleetgauge_collector::registry::FleetShard;
use fleetgauge_collector::roster::PresenceSnapshot;
use fleetgauge_proto::message::{Bye, ByeReason};
use fleetgauge_proto::{Code, Message};

use crate::support::agent::{Agent, Identity, identity};
use crate::support::collector::{Collector, config};
use crate::support::driven::{Driven, Rig, Sent};
use crate::support::frames::{bye, frame, gauges, report};
use crate::support::{StopAtEnd, eventually};

/// An agent that has reported once.
fn reporting(rig: &Rig, identity: &Identity<'_>) -> Driven {
    let catalog = gauges(&["load"]);
    let mut agent = rig.connect();
    agent.receives(rig, &identity.hello(&catalog));
    if let [Sent::Welcome { catalogs_known: false }] = agent.take_sent()[..] {
        agent.receives(rig, &catalog.bytes);
    }
    agent.receives(rig, &report(1, &[1.0]));
    assert!(agent.take_sent().is_empty());
    agent
}

/// Ids of the agents that are up, and ids and reasons of the agents that are down.
type Seen = (Vec<String>, Vec<(String, &'static str)>);

fn presence(rig: &Rig) -> Seen {
    let roster = &rig.collector.roster;
    let presence = PresenceSnapshot::take(&rig.collector.registry, roster, FleetShard::ALL);
    let mut up: Vec<_> = presence.present.iter().map(|(id, _)| id.to_string()).collect();
    up.sort();
    let expected = roster.expected();
    let down = presence.departed.iter().filter(|departure| departure.is_down(&expected));
    (up, down.map(|one| (one.id.to_string(), one.reason.name())).collect())
}

fn expect(up: &[&str], down: &[(&str, &'static str)]) -> Seen {
    let up = up.iter().map(|id| (*id).to_owned()).collect();
    (up, down.iter().map(|(id, reason)| ((*id).to_owned(), *reason)).collect())
}

#[test]
fn agent_that_leaves_without_bye_is_down_until_it_reports_again() {
    let rig = Rig::new(config());
    let mut a = reporting(&rig, &identity("a"));
    let b = reporting(&rig, &identity("b"));
    assert_eq!(presence(&rig), expect(&["a", "b"], &[]));
    a.finishes();
    assert_eq!(presence(&rig), expect(&["b"], &[("a", "closed")]));
    let mut again = rig.connect();
    again.receives(&rig, &identity("a").hello(&gauges(&["load"])));
    assert_eq!(
        presence(&rig),
        expect(&["b"], &[("a", "closed")]),
        "welcomed, but not reported yet"
    );
    again.receives(&rig, &report(1, &[1.0]));
    assert_eq!(presence(&rig), expect(&["a", "b"], &[]));
    assert_eq!(rig.collector.roster.departures(), []);
    drop(b);
}

#[test]
fn agent_that_sends_bye_is_not_down() {
    let rig = Rig::new(config());
    let mut a = reporting(&rig, &identity("a"));
    a.receives(&rig, &bye());
    assert_eq!(a.close_reason(), Some(CloseReason::Bye));
    assert_eq!(presence(&rig), expect(&[], &[]));
}

#[test]
fn superseded_session_is_no_departure() {
    let rig = Rig::new(config());
    let mut older = reporting(&rig, &identity("a"));
    let newer = reporting(&rig, &identity("a"));
    older.ticks(&rig);
    assert_eq!(older.close_reason(), Some(CloseReason::Rejected(Code::Superseded)));
    assert_eq!(presence(&rig), expect(&["a"], &[]));
    drop(newer);
}

#[test]
fn agent_without_a_report_does_not_depart() {
    let rig = Rig::new(config());
    let mut a = rig.connect();
    a.receives(&rig, &identity("a").hello(&gauges(&["load"])));
    a.finishes();
    assert_eq!(presence(&rig), expect(&[], &[]));
}

#[test]
fn agent_is_down_while_its_rebooted_host_takes_over() {
    let mut rig = Rig::new(config());
    let mut before = reporting(&rig, &identity("a"));
    let mut after = rig.connect();
    after.receives(&rig, &identity("a").on_host(2).hello(&gauges(&["load"])));
    rig.now += 5_000;
    after.ticks(&rig);
    assert_eq!(presence(&rig), expect(&[], &[("a", "superseded")]));
    after.receives(&rig, &report(1, &[1.0]));
    before.ticks(&rig);
    assert_eq!(presence(&rig), expect(&["a"], &[]));
}

#[test]
fn drained_agent_is_not_down() {
    let rig = Rig::new(config());
    let (mut left, mut stays) =
        (reporting(&rig, &identity("left")), reporting(&rig, &identity("stays")));
    rig.collector.start_draining();
    left.receives(&rig, &drained());
    stays.session.handle().raise(Signal::Close);
    stays.ticks(&rig);
    assert_eq!(stays.close_reason(), Some(CloseReason::Rejected(Code::Draining)));
    assert_eq!(presence(&rig), expect(&[], &[]));
    let known = PresenceSnapshot::to_save(&rig.collector.registry, &rig.collector.roster);
    let mut awaited: Vec<_> = known.connected.iter().map(|(id, _)| id.as_str()).collect();
    awaited.sort_unstable();
    assert_eq!(awaited, ["left", "stays"]);
    assert_eq!(known.connected[0].1, 15_000);
}

/// A Bye that claims to answer Drain must not keep the id: a peer with many ids could fill memory
/// and state file.
#[test]
fn drained_bye_without_drain_counts_as_bye() {
    let rig = Rig::new(config());
    for n in 0..100 {
        let mut agent = reporting(&rig, &identity(&format!("a{n}")));
        agent.receives(&rig, &drained());
        assert_eq!(agent.close_reason(), Some(CloseReason::Bye));
    }
    let known = PresenceSnapshot::to_save(&rig.collector.registry, &rig.collector.roster);
    assert_eq!((known.connected.len(), known.departed.len()), (0, 100));
}

fn drained() -> Vec<u8> {
    frame(&Message::Bye(Bye { stream: 0, reason: ByeReason::Drained as u8 }))
}

/// Agents that reconnect continuously are in every snapshot exactly once, up or down.
#[test]
fn presence_snapshot_has_every_agent_once() {
    let rig = Rig::new(config());
    let ids: Vec<String> = (0..16).map(|n| format!("a{n}")).collect();
    for id in &ids {
        reporting(&rig, &identity(id)).finishes();
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(&stop);
        for half in ids.chunks(8) {
            let (rig, stop) = (&rig, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let mut fleet: Vec<_> =
                        half.iter().map(|id| reporting(rig, &identity(id))).collect();
                    fleet.iter_mut().for_each(Driven::finishes);
                    // No real host reconnects faster.
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
        }
        for _ in 0..2_000 {
            let presence = PresenceSnapshot::take(
                &rig.collector.registry,
                &rig.collector.roster,
                FleetShard::ALL,
            );
            let present = presence.present.iter().map(|(id, _)| id.to_string());
            let departed = presence.departed.iter().map(|one| one.id.to_string());
            let mut all: Vec<_> = present.chain(departed).collect();
            all.sort_by_key(|id| id[1..].parse::<u32>().unwrap());
            assert_eq!(all, ids);
        }
    });
}

#[test]
fn roster_pages_are_served_over_http() {
    let collector = Collector::start();
    let catalog = gauges(&["up"]);
    let stays = Agent::join(collector.agents, &identity("stays"), &catalog, &[1.0]);
    let reset = Agent::join(collector.agents, &identity("reset"), &catalog, &[1.0]);
    let mut left = Agent::join(collector.agents, &identity("left"), &catalog, &[1.0]);
    assert_eq!(collector.page_at("/metrics/roster").samples().count(), 3);
    reset.reset();
    eventually("the first end", || collector.closed("reset") == 1.0);
    left.send(&bye());
    eventually("the other end", || collector.closed("bye") == 1.0);
    let page = collector.page_at("/metrics/roster");
    let value = |id| page.value(&format!("fleetgauge_agent_up{{agent=\"{id}\"}}"));
    assert_eq!((value("stays"), value("reset"), value("left")), (Some(1.0), Some(0.0), None));
    let why = "fleetgauge_agent_departed_info{agent=\"reset\",reason=\"reset\"}";
    assert_eq!(page.value(why), Some(1.0));
    assert_eq!(page.samples().count(), 3, "{}", page.0);
    let shards =
        (0..4).map(|shard| collector.page_at(&format!("/metrics/roster?shard={shard}&shards=4")));
    assert_eq!(shards.map(|page| page.samples().count()).sum::<usize>(), 3);

    let metrics = collector.page_at("/metrics").0;
    assert!(!metrics.contains("\"reset\"") || !metrics.contains("agent=\"reset\""), "{metrics}");
    let list = collector.get("/api/departed", &[]);
    assert_eq!((list.status, list.header("content-type")), (200, Some("application/json")));
    let list: serde_json::Value = serde_json::from_slice(&list.body).unwrap();
    let list = list["departed"].as_array().unwrap();
    let reasons: Vec<_> = list.iter().map(|one| (&one["id"], &one["reason"])).collect();
    assert_eq!(reasons, [(&"left".into(), &"bye".into()), (&"reset".into(), &"reset".into())]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let at = list[0]["at"].as_u64().unwrap();
    assert!((now - 60..=now).contains(&at), "{at}, and it is {now}");

    let back = Agent::join(collector.agents, &identity("reset"), &catalog, &[1.0]);
    assert_eq!(collector.get("/api/departed", &[]).text().matches("\"id\"").count(), 1);
    for wrong in ["/metrics/roster?shard=1", "/metrics/roster?by=role", "/api/departed?shards=2"] {
        assert_eq!(collector.get(wrong, &[]).status, 400, "{wrong}");
    }
    drop((stays, back));
}
