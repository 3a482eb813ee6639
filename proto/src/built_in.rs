//! Families of the agent's own catalogs.
//!
//! Their sample names are reserved: a collector suppresses another family that would use one, and a
//! family of the same name with another kind. So dashboards and alerts can rely on these kinds.

use crate::catalog::FamilyKind;

/// Name and kind of each family.
pub const FAMILIES: [(&str, FamilyKind); 12] = [
    ("cpu", FamilyKind::Gauge),
    ("disk", FamilyKind::Gauge),
    ("host_cpu_usage_ratio", FamilyKind::Gauge),
    ("host_filesystem_usage_ratio", FamilyKind::Gauge),
    ("host_memory_available_bytes", FamilyKind::Gauge),
    ("host_memory_total_bytes", FamilyKind::Gauge),
    ("host_memory_usage_ratio", FamilyKind::Gauge),
    ("host_memory_used_bytes", FamilyKind::Gauge),
    ("ram", FamilyKind::Gauge),
    ("ram_available", FamilyKind::Gauge),
    ("ram_total", FamilyKind::Gauge),
    ("ram_used", FamilyKind::Gauge),
];
