//! The verdict on attacks, without any.

use super::*;

fn told(told: &[(&str, u64)]) -> hostile::Attacks {
    let told: Causes = told.iter().map(|(what, times)| ((*what).to_owned(), *times)).collect();
    hostile::Attacks { made: told.values().sum(), told }
}

/// All kinds, each refused once with its code.
fn refused() -> Campaign {
    let each = |kind: Kind| (kind.name(), told(&[(kind.code().reason(), 1)]));
    Kind::ALL.map(each).into_iter().collect()
}

fn counted(attacks: &Campaign) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for (what, times) in attacks.values().flat_map(|attacks| &attacks.told) {
        *all.entry(what.clone()).or_default() += times;
    }
    all
}

fn reasons(attacks: &Campaign, rejects: &BTreeMap<String, u64>) -> Vec<&'static str> {
    judge_attacks(attacks, rejects).iter().map(Failure::reason).collect()
}

#[test]
fn attacks_must_be_refused_with_their_code_and_counted() {
    let mut attacks = refused();
    let mut rejects = counted(&attacks);
    assert_eq!(reasons(&attacks, &rejects), [""; 0]);
    rejects.remove("bad_magic");
    assert_eq!(reasons(&attacks, &rejects), ["refusals_uncounted"]);
    attacks.insert("garbage", told(&[("nothing", 5)]));
    assert_eq!(reasons(&attacks, &counted(&attacks)), ["attack_not_refused"]);
    attacks.insert("garbage", told(&[("bad_magic", 5), ("address_paused", 50)]));
    attacks.insert("id_thief", told(&[("welcomed", 1), ("id_conflict", 1)]));
    assert_eq!(reasons(&attacks, &counted(&attacks)), ["attack_welcomed"]);
}

#[test]
fn memory_is_held_to_its_bounds() {
    let within = Memory {
        limit_bytes: 10,
        counted_bytes: 10,
        resident_peak_bytes: Some(100),
        bound_bytes: Some(100),
        ..Memory::default()
    };
    assert_eq!(judge_memory(&within), None);
    assert!(judge_memory(&Memory { counted_bytes: 11, ..within }).is_some());
    let over =
        Memory { counted_bytes: 1, resident_peak_bytes: Some(101), limit_bytes: 10, ..within };
    assert!(judge_memory(&over).is_some());
}

#[test]
fn reports_may_not_be_twice_as_late() {
    let phase = |ms| {
        let mut times = Times::default();
        (0..100).for_each(|_| times.add(Duration::from_millis(ms)));
        Phase { lag: times.clone(), answered: times, counted: 0 }
    };
    assert_eq!(judge_lag(2.0, &phase(10), &phase(19)), []);
    assert_eq!(judge_lag(2.0, &phase(10), &phase(21)).len(), 1);
    assert_eq!(judge_lag(2.0, &phase(10), &phase(72)).len(), 2);
    // A generator that is itself late by half a second hides it in the lag, and not in the answers.
    let hidden = Phase { lag: phase(800).lag, ..phase(700) };
    assert_eq!(judge_lag(2.0, &Phase { lag: phase(500).lag, ..phase(10) }, &hidden).len(), 1);
    let nothing = Phase { lag: Times::default(), answered: Times::default(), counted: 0 };
    assert_eq!(judge_lag(2.0, &phase(10), &nothing).len(), 2);
}
