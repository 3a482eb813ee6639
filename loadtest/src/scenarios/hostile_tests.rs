//! Tests of the judgement of attacks.

use super::*;

fn stats(answers: &[(&str, u64)]) -> attackers::AttackStats {
    let answers: Causes =
        answers.iter().map(|(what, times)| ((*what).to_owned(), *times)).collect();
    attackers::AttackStats { made: answers.values().sum(), answers }
}

/// Returns results in which every kind was rejected once with its code.
fn refused() -> AttackResults {
    let each = |kind: AttackKind| (kind.name(), stats(&[(kind.code().reason(), 1)]));
    AttackKind::ALL.map(each).into_iter().collect()
}

fn counted(attacks: &AttackResults) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for (what, times) in attacks.values().flat_map(|attacks| &attacks.answers) {
        *all.entry(what.clone()).or_default() += times;
    }
    all
}

fn reasons(attacks: &AttackResults, rejects: &BTreeMap<String, u64>) -> Vec<&'static str> {
    judge_attacks(attacks, rejects).iter().map(Failure::reason).collect()
}

#[test]
fn attacks_must_be_rejected_with_their_code_and_counted() {
    let mut attacks = refused();
    let mut rejects = counted(&attacks);
    assert_eq!(reasons(&attacks, &rejects), [""; 0]);
    rejects.remove("bad_magic");
    assert_eq!(reasons(&attacks, &rejects), ["refusals_uncounted"]);
    attacks.insert("garbage", stats(&[("nothing", 5)]));
    assert_eq!(reasons(&attacks, &counted(&attacks)), ["attack_not_refused"]);
    attacks.insert("garbage", stats(&[("bad_magic", 5), ("address_paused", 50)]));
    attacks.insert("id_thief", stats(&[("welcomed", 1), ("id_conflict", 1)]));
    assert_eq!(reasons(&attacks, &counted(&attacks)), ["attack_welcomed"]);
}

#[test]
fn connections_or_series_that_attackers_leave_behind_are_found() {
    let series = HostProfile::Node.series() as u64;
    let what = |connections, shown| match left_behind(connections, shown, 10, HostProfile::Node) {
        Some(Failure::LeftBehind { what, .. }) => what,
        _ => "nothing",
    };
    assert_eq!(what(10, 10 * series), "nothing");
    // With row churn some rows are absent.
    assert_eq!(what(10, 9 * series), "nothing");
    assert_eq!(what(11, 10 * series), "connections");
    assert_eq!(what(10, 10 * series + 1), "series");
    // A number that could not be read is not within its bound.
    assert_eq!(what(0, 10 * series), "connections");
    assert_eq!(what(10, 0), "series");
}

#[test]
fn memory_over_its_bound_is_found() {
    let within = Memory {
        limit_bytes: 10,
        counted_bytes: 10,
        resident_peak_bytes: Some(100),
        bound_bytes: Some(100),
        ..Memory::default()
    };
    let reasons = |memory| {
        let failures = judge_memory(&memory);
        failures.iter().map(Failure::reason).collect::<Vec<_>>()
    };
    assert_eq!(judge_memory(&within), []);
    assert_eq!(reasons(Memory { counted_bytes: 11, ..within }), ["memory_over_bound"]);
    let join_attackers =
        Memory { counted_bytes: 1, resident_peak_bytes: Some(101), limit_bytes: 10, ..within };
    assert_eq!(reasons(join_attackers), ["memory_over_bound"]);
    // A value that was not measured is not within its bound.
    assert_eq!(reasons(Memory { limit_bytes: 0, ..within }), ["nothing_measured"]);
    assert_eq!(reasons(Memory { counted_bytes: 0, ..within }), ["nothing_measured"]);
    assert_eq!(reasons(Memory { bound_bytes: None, ..within }), ["nothing_measured"]);
}

fn times(ms: u64) -> Times {
    let mut times = Times::default();
    (0..100).for_each(|_| times.add(Duration::from_millis(ms)));
    times
}

#[test]
fn answers_delayed_more_than_allowed_are_found() {
    let reason = |quiet: Times, attacked: Times| {
        judge_answers(Duration::from_millis(50), &quiet, &attacked).map(|found| found.reason())
    };
    assert_eq!(reason(times(10), times(59)), None);
    assert_eq!(reason(times(10), times(62)), Some("delayed_by_attacks"));
    assert_eq!(reason(times(10), Times::default()), Some("nothing_measured"));
}

/// A collector that stalls for 0.6 s of every second is equally slow with and without attackers.
/// Only the fixed bound of the phase without attackers finds it.
#[test]
fn a_stall_in_both_phases_is_found() {
    let stalled = times(600);
    assert_eq!(judge_answers(Duration::from_millis(50), &stalled, &stalled), None);
    let found = judge_baseline(Duration::from_millis(250), &stalled).map(|found| found.reason());
    assert_eq!(found, Some("slow_without_load"));
    assert_eq!(judge_baseline(Duration::from_millis(250), &times(10)), None);
}
