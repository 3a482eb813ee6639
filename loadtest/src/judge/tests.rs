//! Tests with hand-made histories and pages: the judge finds every error and nothing else.

use std::collections::BTreeSet;

use fleetgauge_page::{Item, ReadResult, Reader};

use super::observed_page::PageScope;
use super::*;
use crate::agent_range::AgentRange;
use crate::host_profile::HostModel;
use crate::sim_values::{NAMES, ValueOrigin, agent_name};

/// Static labels of every agent.
const LABELS: u8 = 2;

/// Reports to keep: more than any test sends.
const ALL: usize = 16;

/// The page is requested at 10 s and complete at 10.2 s.
const WINDOW: ScrapeWindow =
    ScrapeWindow { requested: Duration::from_secs(10), ended: Duration::from_millis(10_200) };

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// History of an agent that connected at once and wrote reports 1, 2, 3… at these milliseconds.
fn history_of(at: &[u64]) -> AgentHistory {
    let mut history = AgentHistory::default();
    history.session_began(1);
    for (sequence, at) in (1..).zip(at) {
        history.sending(sequence, ms(*at), ALL);
        history.written(ms(*at + 1));
    }
    history
}

/// Like [`history_of`], for an agent that disconnected at `left`.
fn left(at: &[u64], left: u64) -> AgentHistory {
    let mut history = history_of(at);
    history.leaving(ms(left - 1), false);
    history.gone(ms(left));
    history
}

/// The six lines of one agent.
fn lines(agent: u32, sequence: u64) -> Vec<String> {
    let value = |position| ValueOrigin { agent, sequence, position }.to_f64();
    (0..NAMES.len()).map(|position| line(position, agent, value(position))).collect()
}

fn line(position: usize, agent: u32, value: f64) -> String {
    let (name, rack, zone) = (agent_name(agent), agent % 997, agent % 7);
    format!("{}{{agent=\"{name}\",rack=\"{rack}\",zone=\"{zone}\"}} {value}\n", NAMES[position])
}

fn value(agent: u32, sequence: u64, position: usize) -> f64 {
    ValueOrigin { agent, sequence, position }.to_f64()
}

fn found(histories: &[AgentHistory], page: &[String]) -> Vec<Finding> {
    found_on(histories, &whole(page))
}

/// A page with these lines, grouped by family.
fn whole(lines: &[String]) -> String {
    let name = |line: &String| line.split(['{', ' ']).next().unwrap().to_owned();
    let names: BTreeSet<_> = lines.iter().map(name).collect();
    let family = |of: &String| -> String {
        let own = lines.iter().filter(|line| name(line) == *of).map(String::as_str);
        format!("# TYPE {of} gauge\n{}", own.collect::<String>())
    };
    names.iter().map(family).collect()
}

fn found_on(histories: &[AgentHistory], page: &str) -> Vec<Finding> {
    found_late(histories, page, Duration::ZERO)
}

/// Like [`found_on`], with a tolerance.
fn found_late(histories: &[AgentHistory], page: &str, tolerance: Duration) -> Vec<Finding> {
    let agents = AgentRange { first: 0, count: histories.len() as u32 };
    found_of(ObservedPage::new(scope(agents)), histories, page, tolerance)
}

fn scope(agents: AgentRange) -> PageScope {
    PageScope {
        agents,
        visible: agents,
        first_encoded_agent: 0,
        labels: LABELS,
        hosts: HostModel::default(),
    }
}

fn found_of(
    mut shown: ObservedPage,
    histories: &[AgentHistory],
    page: &str,
    tolerance: Duration,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut reader = Reader::default();
    let mut see = |read: ReadResult<'_>| match read {
        Ok(Item::Sample(sample)) => findings.extend(shown.add(sample).err()),
        Ok(Item::Family(_)) => {}
        Err(invalid) => findings.push(Finding::Unreadable(invalid)),
    };
    reader.push(page.as_bytes(), &mut see);
    reader.finish(&mut see);
    judge(&shown, histories, WINDOW, tolerance, |finding| findings.push(finding));
    findings
}

#[test]
fn a_page_may_be_late_by_the_tolerance() {
    let stale = ([history_of(&[1_000, 8_000])], whole(&lines(0, 1)));
    let left_over = ([left(&[1_000], 9_500)], whole(&lines(0, 1)));
    let missing = ([history_of(&[8_000])], String::new());
    for ((histories, page), granted_ms) in [(stale, 1_000), (left_over, 401), (missing, 1_000)] {
        assert_eq!(found_on(&histories, &page).len(), 1, "{page}");
        assert_eq!(found_late(&histories, &page, ms(granted_ms)), [], "{page}");
        assert_eq!(found_late(&histories, &page, ms(granted_ms - 2)).len(), 1, "{page}");
    }
}

#[test]
fn a_page_without_the_collectors_own_metrics_is_found() {
    let none = AgentRange { first: 0, count: 0 };
    let found = |page| {
        found_of(ObservedPage::new(scope(none)).expecting_own_metrics(), &[], page, Duration::ZERO)
    };
    assert_eq!(found("# TYPE process_threads gauge\nprocess_threads 3\n"), []);
    assert_eq!(found(""), [Finding::NoOwnMetrics]);
}

#[test]
fn a_correct_page_passes() {
    let histories = [
        history_of(&[1_000, 5_000]),
        left(&[1_000], 3_000),
        history_of(&[1_000, 9_500, 10_100]),
        AgentHistory::default(),
    ];
    for newest in 1..=3 {
        let page = [lines(0, 2), lines(2, newest)].concat();
        assert_eq!(found(&histories, &page), [], "{newest}");
    }
}

#[test]
fn a_missing_agent_is_found() {
    let histories = [history_of(&[1_000]), history_of(&[8_998])];
    let missing = [Finding::Missing { agent: 1, sequence: 1, settled: SETTLED }];
    assert_eq!(found(&histories, &lines(0, 1)), missing);
}

#[test]
fn an_agent_may_be_missing_until_its_first_report_settles() {
    assert_eq!(found(&[history_of(&[9_000])], &[]), []);
    let mut again = left(&[1_000], 5_000);
    again.session_began(2);
    again.sending(2, ms(9_500), ALL);
    again.written(ms(9_501));
    assert_eq!(found(&[again.clone()], &[]), []);
    assert_eq!(found(&[again], &lines(0, 2)), []);
}

#[test]
fn an_agent_may_be_missing_when_it_left_during_the_response() {
    assert_eq!(found(&[left(&[1_000], 10_100)], &[]), []);
    assert_eq!(found(&[left(&[1_000], 10_100)], &lines(0, 1)), []);
    let after = [Finding::Missing { agent: 0, sequence: 1, settled: SETTLED }];
    assert_eq!(found(&[left(&[1_000], 10_300)], &[]), after);
}

#[test]
fn an_agent_whose_session_the_collector_ended_may_be_missing() {
    let mut history = history_of(&[1_000]);
    history.leaving(ms(10_250), true);
    assert_eq!(found(&[history], &[]), []);
}

#[test]
fn an_incomplete_agent_is_found() {
    let histories = [history_of(&[1_000])];
    assert_eq!(
        found(&histories, &lines(0, 1)[..5]),
        [Finding::Incomplete { agent: 0, shown: 5, of: 6 }]
    );
}

#[test]
fn a_leftover_series_is_found() {
    let gone_before = ms(100);
    let leftover = [Finding::Leftover { agent: 0, sequence: 1, gone_before, allowed: GONE }];
    assert_eq!(found(&[left(&[1_000], 9_900)], &lines(0, 1)), leftover);
    assert_eq!(found(&[left(&[1_000], 9_901)], &lines(0, 1)), []);
}

#[test]
fn a_leftover_of_an_earlier_session_is_found() {
    let mut history = left(&[1_000], 9_000);
    history.session_began(2);
    history.sending(2, ms(9_100), ALL);
    history.written(ms(9_101));
    let gone_before = ms(1_000);
    let leftover = [Finding::Leftover { agent: 0, sequence: 1, gone_before, allowed: GONE }];
    assert_eq!(found(&[history], &lines(0, 1)), leftover);
}

#[test]
fn a_mass_departure_may_take_a_second() {
    let mut histories = vec![left(&[1_000], 9_500); MASS_DEPARTURE];
    let page = lines(0, 1);
    assert_eq!(found(&histories, &page).len(), 1);
    histories.push(left(&[1_000], 9_001));
    assert_eq!(found(&histories, &page), []);
    histories[0] = left(&[1_000], 9_000);
    assert_eq!(found(&histories, &page).len(), 1);
}

#[test]
fn a_torn_value_is_found() {
    let histories = [history_of(&[1_000, 9_500])];
    let mut page = lines(0, 2);
    page[3] = line(3, 0, value(0, 1, 3));
    let torn = [Finding::Torn { agent: 0, positions: (0, 3), sequences: (2, 1) }];
    assert_eq!(found(&histories, &page), torn);
}

#[test]
fn a_stale_value_is_found() {
    let histories = [history_of(&[1_000, 8_999])];
    let stale = [Finding::Stale { agent: 0, shown: 1, written: 2, settled: SETTLED }];
    assert_eq!(found(&histories, &lines(0, 1)), stale);
    assert_eq!(found(&[history_of(&[1_000, 9_000])], &lines(0, 1)), []);
}

#[test]
fn a_value_shown_before_it_was_sent_is_found() {
    let histories = [history_of(&[1_000, 10_201])];
    let future = [Finding::Future { agent: 0, shown: 2, sent: 1 }];
    assert_eq!(found(&histories, &lines(0, 2)), future);
    assert_eq!(found(&[history_of(&[1_000, 10_200])], &lines(0, 2)), []);
}

#[test]
fn a_duplicate_is_found() {
    let mut page = lines(0, 1);
    page.push(page[2].clone());
    let found = found(&[history_of(&[1_000])], &page);
    assert_eq!(found[0], Finding::Duplicate { agent: 0, position: 2 });
    // The strict reader refuses it, too.
    assert_eq!(found.iter().map(Finding::reason).collect::<Vec<_>>(), ["duplicate", "unreadable"]);
}

#[test]
fn swapped_positions_are_found() {
    let mut page = lines(0, 1);
    page[1] = line(1, 0, value(0, 1, 2));
    page[2] = line(2, 0, value(0, 1, 1));
    let holds = ValueOrigin { agent: 0, sequence: 1, position: 2 };
    let swapped = [Finding::Misplaced { agent: 0, position: 1, holds }];
    assert_eq!(found(&[history_of(&[1_000])], &page), swapped);
}

#[test]
fn swapped_agents_are_found() {
    let histories = [history_of(&[1_000]), history_of(&[1_000])];
    let mut page = [lines(0, 1), lines(1, 1)].concat();
    page[0] = line(0, 0, value(1, 1, 0));
    page[6] = line(0, 1, value(0, 1, 0));
    let of = |agent| ValueOrigin { agent, sequence: 1, position: 0 };
    let swapped = [
        Finding::Misplaced { agent: 0, position: 0, holds: of(1) },
        Finding::Misplaced { agent: 1, position: 0, holds: of(0) },
    ];
    assert_eq!(found(&histories, &page), swapped);
}

#[test]
fn labels_of_another_agent_are_found() {
    let mut page = lines(0, 1);
    page[1] = page[1].replace("rack=\"0\"", "rack=\"1\"");
    let shown = "agent=\"sim-000000\",rack=\"1\",zone=\"0\"".to_owned();
    let wrong = [Finding::WrongLabels { agent: 0, shown }];
    assert_eq!(found(&[history_of(&[1_000])], &page), wrong);
}

#[test]
fn a_value_that_was_never_sent_is_found() {
    let mut page = lines(0, 1);
    page[4] = line(4, 0, 0.5);
    let garbled = [Finding::Garbled { agent: 0, position: 4, value: 0.5 }];
    assert_eq!(found(&[history_of(&[1_000])], &page), garbled);
}

#[test]
fn series_of_unknown_agents_are_found() {
    let mut page = lines(0, 1);
    for unknown in ["sim_value_6{agent=\"sim-000000\"} 1\n", "sim_value_3 1\n"] {
        page.push(unknown.to_owned());
    }
    page.extend(lines(1, 1).into_iter().take(1));
    let found = found(&[history_of(&[1_000])], &page);
    let texts: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "host_cpu_usage_ratio of \"sim-000001\" is not a series of this fleet",
            "sim_value_3 has no agent label",
            "sim_value_6 of \"sim-000000\" is not a series of this fleet",
        ]
    );
}

#[test]
fn an_agent_that_never_connected_is_found() {
    let future = [Finding::Future { agent: 0, shown: 1, sent: 0 }];
    assert_eq!(found(&[AgentHistory::default()], &lines(0, 1)), future);
}

#[test]
fn a_truncated_page_is_found() {
    let mut page = whole(&lines(0, 1));
    page.pop();
    let found = found_on(&[history_of(&[1_000])], &page);
    assert_eq!(found.iter().map(Finding::reason).collect::<Vec<_>>(), ["unreadable", "incomplete"]);
}
