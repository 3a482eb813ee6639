use std::sync::Arc;

use fleetgauge_proto::AgentId;

use super::super::fleet::{DepartedRow, MAX_LISTS};
use super::*;
use crate::clock::Moment;
use crate::peers::close_reason::CloseReason;
use crate::roster::{Departure, Reason};

fn agent(id: &str, role: &str, cpu: f64) -> AgentRow {
    let labels = format!("agent=\"{id}\",role=\"{role}\"");
    AgentRow::new(&labels, [cpu, f64::NAN, f64::NAN])
}

fn departed(id: &str, is_missing: bool) -> DepartedRow {
    let id = AgentId::try_new(id).unwrap();
    let now = Moment { awake: 1_000, unix: 1_763_831_000 };
    let departure = Departure::new(id, Reason::Ended(CloseReason::Bye), now);
    DepartedRow { departure, is_missing }
}

fn fleet() -> FleetCopy {
    let at = Moment { awake: 2_000, unix: 1_763_831_001 };
    let agents =
        vec![agent("web-1", "web", 0.3), agent("db-1", "db", 0.95), agent("db-2", "db", f64::NAN)];
    FleetCopy::new(at, agents, vec![departed("db-9", true), departed("old", false)])
}

fn ids(search: &Search) -> Vec<String> {
    search.list(&fleet()).agents.iter().map(|agent| agent.id.to_owned()).collect()
}

#[test]
fn search_finds_ids_and_labels_in_any_case() {
    let search = |text: &str| Search { text: text.to_lowercase(), ..Search::default() };
    assert_eq!(ids(&search("")), ["db-1", "db-2", "db-9", "web-1"]);
    assert_eq!(ids(&search("DB")), ["db-1", "db-2", "db-9"]);
    assert_eq!(ids(&search("eb")), ["web-1"]);
    assert_eq!(ids(&search("nothing")), Vec::<String>::new());
}

#[test]
fn filters_leave_those_agents() {
    let label = Some(("role".to_owned(), "db".to_owned()));
    assert_eq!(ids(&Search { label, ..Search::default() }), ["db-1", "db-2"]);
    for (state, expected) in
        [(State::Up, 3), (State::Missing, 1), (State::Departed, 1), (State::All, 4)]
    {
        assert_eq!(ids(&Search { state, ..Search::default() }).len(), expected, "{state:?}");
    }
    let ranges = [Some((0.9, 1.0)), None, None];
    assert_eq!(ids(&Search { ranges, ..Search::default() }), ["db-1"]);
}

#[test]
fn largest_values_are_first_and_missing_ones_last() {
    let sort = Sort::named("cpu").unwrap();
    assert_eq!(ids(&Search { sort, ..Search::default() }), ["db-1", "web-1", "db-2", "db-9"]);
    assert_eq!([Sort::Id.name(), sort.name()], ["id", "cpu"]);
    assert_eq!(Sort::named("color"), None);
}

#[test]
fn every_agent_is_on_one_page() {
    let mut fleet = fleet();
    fleet.agents = (0..250).map(|n| agent(&format!("a{n:03}"), "x", 0.0)).collect();
    fleet.departed.clear();
    let mut seen = Vec::new();
    for page in 1..=3 {
        let list = Search { page, ..Search::default() }.list(&fleet);
        assert_eq!((list.found, list.pages, list.page), (250, 3, page));
        seen.extend(list.agents.iter().map(|agent| agent.id.to_owned()));
    }
    assert_eq!(seen.len(), 250);
    assert!(seen.is_sorted());
    // A page beyond the last one is the last one.
    assert_eq!(Search { page: usize::MAX, ..Search::default() }.list(&fleet).page, 3);
}

/// Browsers that each search for something else.
#[test]
fn pages_of_thousands_of_searches_are_not_kept() {
    let fleet = fleet();
    let search = |text: &str| Search { text: text.to_owned(), ..Search::default() };
    let all = fleet.list_page(&search("web"));
    assert!(Arc::ptr_eq(&all, &fleet.list_page(&search("web"))), "rendered twice");
    let other: Vec<_> = (0..3_000).map(|n| fleet.list_page(&search(&n.to_string()))).collect();
    let kept = other.iter().filter(|page| Arc::strong_count(page) > 1).count();
    assert_eq!(kept, MAX_LISTS - 1);
}
