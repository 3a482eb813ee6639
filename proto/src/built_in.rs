//! Families of the agent's own catalogs.
//!
//! Their sample names are reserved: a collector suppresses another family that would use one, and a
//! family of the same name with another kind. So dashboards and alerts can rely on these kinds.

use crate::catalog::FamilyKind;

/// A line for each family: its name and kind. A test of the agent compares it with the agent's
/// declarations.
const FAMILIES: &str = include_str!("built_in.txt");

/// Returns name and kind of each family, in ascending order of the names.
pub fn families() -> impl Iterator<Item = (&'static str, FamilyKind)> {
    FAMILIES.lines().filter_map(|line| {
        let (name, kind) = line.split_once(' ')?;
        Some((name, FamilyKind::from_name(kind)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_a_name_and_a_kind() {
        assert_eq!(families().count(), FAMILIES.lines().count());
        assert!(families().is_sorted_by_key(|(name, _)| name));
        assert!(families().any(|family| family == ("host_cpu_usage_ratio", FamilyKind::Gauge)));
    }
}
