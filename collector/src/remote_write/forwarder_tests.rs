use std::io::Write;

use tempfile::NamedTempFile;

use super::super::agent_state::Shown;
use super::*;
use crate::Config;
use crate::config::Flags;

const INTERVAL: Duration = Duration::from_secs(15);

fn forwarder() -> Forwarder {
    let mut file = NamedTempFile::new().unwrap();
    let table = "[[remote_write]]\nname = \"engine\"\nurl = \"http://127.0.0.1:1/\"\n";
    file.write_all(table.as_bytes()).unwrap();
    let flags = Flags::default().with("config", file.path().to_str().unwrap());
    let settings = Config::try_new(flags).unwrap().remote_write;
    Forwarder::new(&settings, &mut MetricsRegistry::default()).unwrap()
}

/// Begins a session that has forwarded a report.
fn report(forwarder: &Forwarder, id: &AgentId) {
    drop(forwarder.enter(id, 15_000, None, 1));
    let agent = forwarder.agents.get(id).unwrap();
    let shown = Shown {
        labels: "agent=\"a\"".into(),
        layout: Arc::default(),
        present: Arc::default(),
        unix_ms: 1_000,
    };
    agent.sent.lock()[0].last = Some(shown);
}

/// Times of the stale markers that wait to be sent.
fn markers(forwarder: &Forwarder) -> Vec<i64> {
    let lanes = forwarder.destinations.iter().flat_map(|one| one.lanes());
    lanes.filter_map(|lane| lane.oldest()).collect()
}

#[test]
fn series_of_an_agent_that_leaves_without_being_asked_end_at_once() {
    let (forwarder, id) = (forwarder(), AgentId::try_new("a").unwrap());
    report(&forwarder, &id);
    forwarder.left(&id, INTERVAL, Leave::Ended);
    assert_eq!((markers(&forwarder), forwarder.agents.len()), (vec![1_001], 0));
}

#[test]
fn agent_that_moves_when_asked_gets_no_marker_between_its_samples() {
    let (forwarder, id) = (forwarder(), AgentId::try_new("a").unwrap());
    report(&forwarder, &id);
    forwarder.left(&id, INTERVAL, Leave::Agreed);
    forwarder.expire(Instant::now() + INTERVAL);
    assert_eq!(forwarder.agents.len(), 1, "it may return");
    forwarder.expire(Instant::now() + 3 * INTERVAL);
    assert_eq!((markers(&forwarder), forwarder.agents.len()), (vec![], 0));
}

#[test]
fn agent_that_does_not_answer_when_asked_is_marked_after_two_intervals() {
    let (forwarder, id) = (forwarder(), AgentId::try_new("a").unwrap());
    report(&forwarder, &id);
    forwarder.left(&id, INTERVAL, Leave::Asked);
    forwarder.expire(Instant::now() + INTERVAL);
    assert!(markers(&forwarder).is_empty());
    forwarder.expire(Instant::now() + 3 * INTERVAL);
    assert_eq!((markers(&forwarder), forwarder.agents.len()), (vec![1_001], 0));
}

#[test]
fn agent_that_returns_when_asked_to_leave_is_marked_when_it_ends() {
    let (forwarder, id) = (forwarder(), AgentId::try_new("a").unwrap());
    report(&forwarder, &id);
    forwarder.left(&id, INTERVAL, Leave::Agreed);
    drop(forwarder.enter(&id, 15_000, None, 2));
    forwarder.expire(Instant::now() + 3 * INTERVAL);
    assert_eq!(forwarder.agents.len(), 1);
    forwarder.left(&id, INTERVAL, Leave::Ended);
    assert_eq!((markers(&forwarder), forwarder.agents.len()), (vec![1_001], 0));
}
