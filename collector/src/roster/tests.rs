use super::*;
use crate::exposition::Format;

const HOUR: u64 = 3600;
const NOON: u64 = 1_763_812_800;

fn id(id: &str) -> AgentId {
    AgentId::try_new(id).unwrap()
}

fn memory() -> RosterLimits {
    RosterLimits {
        departed: 1_000,
        departed_for: Duration::from_secs(72 * HOUR),
        return_time: Duration::from_secs(30),
        expected: Expected::default(),
    }
}

fn expecting(ids: &[&str]) -> RosterLimits {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), ids.join("\n")).unwrap();
    RosterLimits { expected: Expected::read(file.path()).unwrap(), ..memory() }
}

/// The moment `seconds` after the start of the collector, which was at noon.
fn after(seconds: u64) -> Moment {
    Moment { awake: seconds * 1_000, unix: NOON + seconds }
}

fn depart(roster: &Roster, agent: &str, ending: CloseReason, now: Moment) {
    roster.departed(&id(agent), 15_000, ending, now);
}

/// Ids and reasons of the departed agents, the oldest first.
fn list(roster: &Roster) -> Vec<(String, &'static str)> {
    let one = |departure: Departure| (departure.id.to_string(), departure.reason.name());
    roster.departures().into_iter().map(one).collect()
}

/// Ids of the departed agents that are down.
fn down(roster: &Roster) -> Vec<String> {
    let expected = roster.expected();
    let down = roster.departures().into_iter().filter(|departure| departure.is_down(&expected));
    down.map(|departure| departure.id.to_string()).collect()
}

fn listed(of: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
    of.iter().map(|(id, reason)| ((*id).to_owned(), *reason)).collect()
}

fn known(connected: &[(&str, u32)]) -> SavedRoster {
    let connected = connected.iter().map(|(agent, ms)| (id(agent), *ms)).collect();
    SavedRoster { connected, departed: Vec::new() }
}

#[test]
fn departed_agent_is_down_until_it_returns() {
    let roster = Roster::new(memory());
    depart(&roster, "a", CloseReason::Reset, after(1));
    depart(&roster, "b", CloseReason::Closed, after(2));
    assert_eq!(list(&roster), listed(&[("a", "reset"), ("b", "closed")]));
    assert_eq!(down(&roster), ["a", "b"]);
    roster.arrived(&id("a"));
    assert_eq!(down(&roster), ["b"]);
    depart(&roster, "a", CloseReason::Rejected(Code::ReportTimeout), after(3));
    assert_eq!(list(&roster), listed(&[("b", "closed"), ("a", "report_timeout")]));
}

#[test]
fn agent_that_sent_bye_is_listed_and_not_down() {
    let roster = Roster::new(memory());
    depart(&roster, "a", CloseReason::Bye, after(1));
    assert_eq!(list(&roster), listed(&[("a", "bye")]));
    assert!(down(&roster).is_empty());
}

#[test]
fn oldest_departures_over_the_limit_are_forgotten() {
    let roster = Roster::new(memory());
    for n in 0..3_000 {
        depart(&roster, &format!("a{n}"), CloseReason::Closed, after(n));
    }
    let list = list(&roster);
    assert_eq!(list.len(), 1_000);
    assert_eq!((&*list[0].0, &*list[999].0), ("a2000", "a2999"));
    let forgotten = roster.samples().into_iter().find_map(|sample| match sample {
        MetricSample::Counter("fleetgauge_departed_forgotten", _, count) => Some(count),
        _ => None,
    });
    assert_eq!(forgotten, Some(2_000.0));
}

#[test]
fn old_departures_are_forgotten() {
    let roster = Roster::new(memory());
    depart(&roster, "a", CloseReason::Closed, after(0));
    depart(&roster, "b", CloseReason::Closed, after(HOUR));
    roster.expire(after(72 * HOUR - 1));
    assert_eq!(down(&roster), ["a", "b"]);
    roster.expire(after(72 * HOUR));
    assert_eq!(down(&roster), ["b"]);
    roster.expire(after(73 * HOUR));
    assert!(down(&roster).is_empty());
}

#[test]
fn age_is_independent_of_jumps_of_the_time_of_day() {
    let roster = Roster::new(memory());
    depart(&roster, "a", CloseReason::Closed, after(0));
    let back = |seconds| Moment { unix: after(seconds).unix - 24 * HOUR, ..after(seconds) };
    depart(&roster, "b", CloseReason::Closed, back(HOUR));
    roster.expire(back(72 * HOUR - 1));
    assert_eq!(down(&roster), ["a", "b"]);
    roster.expire(back(72 * HOUR));
    assert_eq!(down(&roster), ["b"]);
    // After a restart there is only the time of day. A departure in the future counts as new.
    let departed =
        vec![Departure::before_start(id("f"), Reason::Ended(CloseReason::Reset), NOON + 24 * HOUR)];
    roster.restore(SavedRoster { departed, ..SavedRoster::default() }, after(0));
    roster.expire(after(72 * HOUR - 1));
    assert_eq!(down(&roster), ["f"]);
    roster.expire(after(72 * HOUR));
    assert!(down(&roster).is_empty());
}

#[test]
fn age_survives_a_restart() {
    let roster = Roster::new(memory());
    let departed =
        vec![Departure::before_start(id("a"), Reason::Ended(CloseReason::Reset), NOON - 71 * HOUR)];
    roster.restore(SavedRoster { departed, ..SavedRoster::default() }, after(0));
    roster.expire(after(HOUR - 1));
    assert_eq!(down(&roster), ["a"]);
    roster.expire(after(HOUR));
    assert!(down(&roster).is_empty());
}

#[test]
fn previously_connected_agent_is_awaited_for_two_intervals() {
    let roster = Roster::new(memory());
    let fleet = [("quick", 1_000), ("usual", 15_000), ("slow", 60_000), ("back", 15_000)];
    roster.restore(known(&fleet), after(0));
    assert!(roster.progress().warming_up());
    roster.arrived(&id("back"));
    roster.expire(after(29));
    assert_eq!(roster.progress(), WarmupProgress { awaited: 4, returned: 1, missing: 3 });
    assert!(down(&roster).is_empty());
    roster.expire(after(30));
    assert_eq!(down(&roster).len(), 2);
    roster.expire(after(119));
    assert!(roster.progress().warming_up());
    roster.expire(after(120));
    assert_eq!(roster.progress(), WarmupProgress { awaited: 4, returned: 1, missing: 0 });
    assert_eq!(list(&roster).last(), Some(&("slow".to_owned(), "not_returned")));
    roster.arrived(&id("slow"));
    assert_eq!(down(&roster).len(), 2);
    // The agent came too late to count as returned.
    assert_eq!(roster.progress(), WarmupProgress { awaited: 4, returned: 1, missing: 0 });
}

#[test]
fn frozen_time_does_not_expire_awaited_agents() {
    let roster = Roster::new(memory());
    roster.restore(known(&[("a", 15_000)]), after(0));
    // An hour passes in real time, a second on the collector's clock.
    roster.expire(Moment { awake: 1_000, unix: NOON + HOUR });
    assert!(down(&roster).is_empty());
}

#[test]
fn expected_agent_that_never_connects_is_down() {
    let roster = Roster::new(expecting(&["a", "b", "c"]));
    roster.arrived(&id("a"));
    roster.expire(after(29));
    assert!(down(&roster).is_empty());
    roster.expire(after(30));
    let mut missing = list(&roster);
    missing.sort();
    assert_eq!(missing, listed(&[("b", "never_seen"), ("c", "never_seen")]));
}

#[test]
fn expected_agent_is_never_forgotten_and_down_even_after_bye() {
    let roster = Roster::new(RosterLimits { departed: 2, ..expecting(&["a"]) });
    depart(&roster, "a", CloseReason::Bye, after(0));
    for n in 0..10 {
        depart(&roster, &format!("b{n}"), CloseReason::Closed, after(n));
    }
    assert_eq!(down(&roster), ["a", "b8", "b9"]);
    roster.expire(after(1_000 * HOUR));
    assert_eq!(down(&roster), ["a"]);
}

#[test]
fn drained_agent_is_awaited_after_a_restart() {
    let roster = Roster::new(memory());
    let registry = registry();
    depart(&roster, "left", CloseReason::Drained, after(1));
    depart(&roster, "drained", CloseReason::Rejected(Code::Draining), after(1));
    depart(&roster, "died", CloseReason::Reset, after(1));
    assert_eq!(list(&roster), listed(&[("died", "reset")]));
    let known = PresenceSnapshot::to_save(&registry, &roster);
    roster.restore(known, after(0));
    roster.expire(after(30));
    let mut all = list(&roster);
    all.sort();
    let expected = [("died", "reset"), ("drained", "not_returned"), ("left", "not_returned")];
    assert_eq!(all, listed(&expected));
}

#[test]
fn second_restart_during_a_warm_up_keeps_awaited_agents() {
    let roster = Roster::new(memory());
    roster.restore(known(&[("a", 15_000), ("b", 15_000)]), after(0));
    roster.restore(PresenceSnapshot::to_save(&registry(), &roster), after(0));
    assert_eq!(roster.progress(), WarmupProgress { awaited: 2, returned: 0, missing: 2 });
}

fn registry() -> crate::registry::Registry {
    let limits = crate::registry::CatalogLimits { catalogs: 1, bytes: 1 << 20 };
    crate::registry::Registry::new(
        limits,
        crate::registry::ConfiguredKinds::new(),
        std::sync::Arc::new(crate::limits::memory_budget::MemoryBudget::new(usize::MAX)),
    )
}

#[test]
fn page_is_rendered_in_both_formats() {
    let roster = Roster::new(memory());
    for (agent, ending) in
        [("a", CloseReason::Reset), ("b", CloseReason::Bye), ("c", CloseReason::Closed)]
    {
        depart(&roster, agent, ending, after(7));
    }
    let presence =
        PresenceSnapshot { present: vec![(id("x"), 1_000)], departed: roster.departures() };
    let text = |format| {
        let mut page = Vec::new();
        text::render(&presence, &roster, format, &mut page).unwrap();
        String::from_utf8(page).unwrap()
    };
    let up = "fleetgauge_agent_up{agent=\"x\"} 1\n\
              fleetgauge_agent_up{agent=\"a\"} 0\nfleetgauge_agent_up{agent=\"c\"} 0\n";
    let why = "fleetgauge_agent_departed_info{agent=\"a\",reason=\"reset\"} 1\n\
               fleetgauge_agent_departed_info{agent=\"c\",reason=\"closed\"} 1\n";
    let what = "Whether the agent is connected.";
    let expected = format!(
        "# HELP fleetgauge_agent_up {what}\n# TYPE fleetgauge_agent_up gauge\n{up}\
         # HELP fleetgauge_agent_departed_info Why the agent is not connected.\n\
         # TYPE fleetgauge_agent_departed_info gauge\n{why}"
    );
    assert_eq!(text(Format::Text), expected);
    let expected = format!(
        "# TYPE fleetgauge_agent_up gauge\n# HELP fleetgauge_agent_up {what}\n{up}\
         # TYPE fleetgauge_agent_departed info\n\
         # HELP fleetgauge_agent_departed Why the agent is not connected.\n{why}"
    );
    assert_eq!(text(Format::OpenMetrics), expected);
}

fn expected(ids: &[&str]) -> Expected {
    expecting(ids).expected
}

#[test]
fn reload_of_expected_agents_drops_and_awaits() {
    let roster = Roster::new(expecting(&["stays", "never", "left"]));
    roster.arrived(&id("stays"));
    roster.arrived(&id("left"));
    depart(&roster, "left", CloseReason::Bye, after(1));
    depart(&roster, "other", CloseReason::Reset, after(1));
    roster.expire(after(30));
    assert_eq!(down(&roster), ["left", "other", "never"]);
    let is_connected = |agent: &AgentId| ["stays", "present"].contains(&agent.as_str());
    roster.expect(&expected(&["stays", "present", "new"]), after(40), is_connected);
    assert_eq!(down(&roster), ["other"]);
    assert_eq!(roster.progress().missing, 1);
    roster.expire(after(69));
    assert_eq!(down(&roster), ["other"], "a newly expected agent has time to connect");
    roster.expire(after(70));
    assert_eq!(list(&roster), listed(&[("other", "reset"), ("new", "never_seen")]));
    depart(&roster, "present", CloseReason::Bye, after(80));
    assert_eq!(down(&roster), ["other", "new", "present"]);
}

#[test]
fn reload_moves_departures_between_expected_and_others() {
    let roster = Roster::new(expecting(&["never"]));
    depart(&roster, "left", CloseReason::Bye, after(1));
    assert!(down(&roster).is_empty());
    roster.expect(&expected(&["left"]), after(2), |_| false);
    assert_eq!(down(&roster), ["left"]);
    assert_eq!(roster.progress(), WarmupProgress::default());
    roster.expire(after(100));
    assert_eq!(down(&roster), ["left"]);
}

/// The agent is connected when it becomes expected, and leaves before this is detected.
#[test]
fn agent_that_departs_while_it_becomes_expected_keeps_its_reason() {
    let roster = Roster::new(memory());
    let goes_now = |agent: &AgentId| {
        depart(&roster, agent.as_str(), CloseReason::Reset, after(1));
        false
    };
    roster.expect(&expected(&["a"]), after(1), goes_now);
    roster.expire(after(100));
    assert_eq!(list(&roster), listed(&[("a", "reset")]));
    assert_eq!(roster.progress(), WarmupProgress::default());
}

#[test]
fn never_seen_agent_no_longer_expected_is_not_restored() {
    let departed = vec![
        Departure::before_start(id("never"), Reason::NeverSeen, NOON),
        Departure::before_start(id("gone"), Reason::NotReturned, NOON),
    ];
    let roster = Roster::new(memory());
    roster.restore(SavedRoster { connected: Vec::new(), departed }, after(1));
    assert_eq!(list(&roster), listed(&[("gone", "not_returned")]));
}

#[test]
fn departed_agent_is_deleted_unless_expected() {
    let roster = Roster::new(expecting(&["a"]));
    for agent in ["a", "b"] {
        depart(&roster, agent, CloseReason::Reset, after(1));
    }
    let changes = roster.changes();
    assert_eq!(roster.forget(&id("a")), Err(NotForgotten::Expected));
    assert_eq!(roster.forget(&id("c")), Err(NotForgotten::NotDeparted));
    assert_eq!(roster.changes(), changes);
    assert_eq!(roster.forget(&id("b")), Ok(()));
    assert_eq!(list(&roster), listed(&[("a", "reset")]));
    assert!(roster.changes() > changes, "the change is saved");
}
