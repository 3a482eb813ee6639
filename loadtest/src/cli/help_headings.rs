//! Headings of `--help`.

pub(super) const FLEET: &str = "Fleet";
pub(super) const COLLECTORS: &str = "Collectors";
pub(super) const SCENARIO: &str = "Scenario";
pub(super) const BOUNDS: &str = "Bounds";
