//! When two families mean the same, and the families of the collector itself.

use fleetgauge_proto::catalog::FamilyKind;

/// A family's name and kind.
pub(in crate::registry) type Meaning<'a> = (&'a str, FamilyKind);

/// The collector's own families whose names agents may use: those of its process. A page that has
/// them shows agents' families of the same names together with them.
pub(super) const OWN: [Meaning<'static>; 6] = [
    ("process_cpu_seconds", FamilyKind::Counter),
    ("process_max_fds", FamilyKind::Gauge),
    ("process_open_fds", FamilyKind::Gauge),
    ("process_resident_memory_bytes", FamilyKind::Gauge),
    ("process_start_time_seconds", FamilyKind::Gauge),
    ("process_virtual_memory_bytes", FamilyKind::Gauge),
];

const TOTAL: &str = "_total";

/// Returns whether two families can be shown as one: they have the same name and kind, or one is a
/// counter and the other is named like the counter's samples.
pub(super) fn is_same(one: Meaning<'_>, other: Meaning<'_>) -> bool {
    let is_counter_of = |one, other| counter_of(one).is_some_and(|name| other == counter(name));
    one == other || is_counter_of(one, other) || is_counter_of(other, one)
}

const fn counter(name: &str) -> Meaning<'_> {
    (name, FamilyKind::Counter)
}

/// Returns the name of the counter whose samples have the name of this counter that is named as is.
pub(in crate::registry) fn counter_of((name, kind): Meaning<'_>) -> Option<&str> {
    let is_named = kind == FamilyKind::CounterAsNamed;
    name.strip_suffix(TOTAL).filter(|stem| is_named && !stem.is_empty())
}

/// Returns whether OpenMetrics can show a counter that is named as is as the counter `name`:
/// nothing
/// else on the page has the names of that counter. `is_taken` is asked about names of families and
/// samples.
///
/// `name_created_total` counts, because it could be shown as the counter `name_created`.
pub(in crate::registry) fn can_be_counter(name: &str, is_taken: impl Fn(&str) -> bool) -> bool {
    let created = format!("{name}_created");
    ![name, &created, &format!("{created}{TOTAL}")].into_iter().any(is_taken)
}

/// Returns whether a family of the collector itself takes this name.
pub(super) fn is_own(name: &str) -> bool {
    OWN.iter().any(|(own, kind)| kind.sample_names(own).any(|own| own == name))
}
