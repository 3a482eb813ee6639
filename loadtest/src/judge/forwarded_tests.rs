use fleetgauge_proto::report::ABSENT;
use fleetgauge_receiver::STALE_MARKER;

use super::*;

/// Reports at 1, 2, 3, 4 and 5 s. The third does not have the series.
fn account(has_left: bool) -> AgentAccount {
    AgentAccount {
        agent: 1,
        times: (1..=5).map(|second| second * 1_000).collect(),
        required: 5,
        ends: u64::from(has_left),
        left_unix_us: has_left.then_some(5_500_000),
        ..AgentAccount::default()
    }
}

fn value(sequence: u64) -> f64 {
    if sequence == 3 { ABSENT } else { sequence as f64 }
}

fn sample(unix_ms: i64, value: f64) -> Sample {
    Sample { unix_ms, bits: value.to_bits() }
}

fn marker(unix_ms: i64) -> Sample {
    Sample { unix_ms, bits: STALE_MARKER }
}

fn exact() -> Vec<Sample> {
    vec![
        sample(1_000, 1.0),
        sample(2_000, 2.0),
        marker(2_001),
        sample(4_000, 4.0),
        sample(5_000, 5.0),
        marker(5_001),
    ]
}

fn judged(samples: &[Sample]) -> SeriesDeviations {
    judge_series(&account(true), value, samples).deviations
}

const EXACT: SeriesDeviations = SeriesDeviations {
    lost: 0,
    first_lost: None,
    wrong: 0,
    unknown: 0,
    misplaced_markers: 0,
    missing_markers: 0,
    early_markers: 0,
    is_unmarked: false,
    is_marked: false,
};

#[test]
fn exact_samples_and_markers_pass() {
    assert!(judged(&exact()).is_exact());
    let mut present = exact();
    present.pop();
    assert!(judge_series(&account(false), value, &present).deviations.is_exact());
}

#[test]
fn missing_sample_is_lost() {
    let mut samples = exact();
    samples.remove(0);
    assert_eq!(judged(&samples), SeriesDeviations { lost: 1, first_lost: Some(1), ..EXACT });
    let all = SeriesDeviations { lost: 4, first_lost: Some(1), missing_markers: 1, ..EXACT };
    assert_eq!(judged(&[]), all);
}

#[test]
fn last_report_may_be_missing_if_it_is_not_required() {
    let account = AgentAccount { required: 4, ..account(true) };
    let mut samples = exact();
    samples.truncate(4);
    samples.push(marker(4_001));
    assert!(judge_series(&account, value, &samples).deviations.is_exact());
    assert!(judge_series(&account, value, &exact()).deviations.is_exact());
}

#[test]
fn other_value_is_wrong() {
    let mut samples = exact();
    samples[3] = sample(4_000, 4.5);
    assert_eq!(judged(&samples), SeriesDeviations { wrong: 1, ..EXACT });
}

#[test]
fn sample_of_no_report_is_unknown() {
    for time in [500, 3_000, 4_500, 9_000] {
        let mut samples = exact();
        samples.push(sample(time, 7.0));
        samples.sort_by_key(|sample| sample.unix_ms);
        let found = judged(&samples);
        assert_eq!((found.unknown, found.lost), (1, 0), "{time}");
    }
}

#[test]
fn newer_samples_of_a_present_agent_are_ignored() {
    let mut samples = exact();
    samples[5] = sample(9_000, 7.0);
    assert!(judge_series(&account(false), value, &samples).deviations.is_exact());
}

#[test]
fn marker_elsewhere_is_misplaced() {
    let mut samples = exact();
    samples[5] = marker(5_500);
    let found = judged(&samples);
    assert_eq!((found.misplaced_markers, found.is_unmarked), (1, true));
    samples[5] = marker(5_001);
    samples[2] = marker(3_001);
    let found = judged(&samples);
    assert_eq!((found.misplaced_markers, found.missing_markers), (1, 1));
}

#[test]
fn series_of_an_agent_that_has_left_needs_a_marker() {
    let mut samples = exact();
    samples.pop();
    assert_eq!(judged(&samples), SeriesDeviations { is_unmarked: true, ..EXACT });
}

#[test]
fn marker_of_a_present_series_needs_the_end_of_a_session() {
    let mut samples = exact();
    samples.insert(1, marker(1_001));
    let found = judge_series(&account(false), value, &samples).deviations;
    assert_eq!((found.early_markers, found.is_marked), (1, true));
    let account = AgentAccount { ends: 1, ..account(false) };
    samples.pop();
    assert!(judge_series(&account, value, &samples).deviations.is_exact());
}

#[test]
fn agent_that_was_asked_to_leave_must_not_be_marked() {
    let mut samples = exact();
    samples.insert(1, marker(1_001));
    let account = AgentAccount { ends: 1, drained: 1, ..account(false) };
    let found = judge_series(&account, value, &samples).deviations;
    assert_eq!((found.early_markers, found.is_marked), (1, true));
}

#[test]
fn series_that_ended_before_the_death_has_its_marker_from_then() {
    let ends = |value: fn(u64) -> f64, samples: &[Sample]| {
        let judged = judge_series(&account(true), value, samples);
        assert!(judged.deviations.is_exact(), "{judged:?}");
        judged.ends_at_death
    };
    assert!(ends(value, &exact()));
    let earlier = |sequence| if sequence < 3 { sequence as f64 } else { ABSENT };
    assert!(!ends(earlier, &exact()[..3]));
}

/// Also if another collector took over there.
#[test]
fn gap_without_a_marker_is_found() {
    let mut samples = exact();
    samples.remove(2);
    let restarted = AgentAccount { ends: 2, ..account(true) };
    let found = judge_series(&restarted, value, &samples).deviations;
    assert_eq!(found, SeriesDeviations { missing_markers: 1, ..EXACT });
}

#[test]
fn series_that_the_next_report_lacks_is_marked() {
    let account = AgentAccount { times: vec![1_000, 2_000], required: 2, ..account(false) };
    assert!(judge_series(&account, value, &exact()[..3]).deviations.is_exact());
}
