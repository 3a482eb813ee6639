//! The tables and catalogs of found families: which family goes where.

use fleetgauge_proto::Limits;
use fleetgauge_proto::limits::MAX_CATALOGS;

/// Maximum number of families in a catalog, below the default limit of a collector.
const MAX_FAMILIES: usize = 900;
/// Maximum number of catalogs of found families: slot 0 has the declared tables.
const MAX_FOUND_CATALOGS: usize = MAX_CATALOGS - 1;
/// Maximum size of a catalog's payload without families and tables, in bytes.
const CATALOG_BYTES: usize = 32;
/// Maximum size of a family and its column in a catalog, without texts, in bytes.
const FAMILY_BYTES: usize = 48;
/// Maximum size of a table in a catalog, without columns and texts, in bytes.
const TABLE_BYTES: usize = 24;
/// Maximum size of the length of a label name in a catalog, in bytes.
const LABEL_NAME_BYTES: usize = 3;

/// Families that fit into one table, because their samples have the same labels.
#[derive(Debug)]
pub(super) struct FamilySet<'a> {
    /// Names, and the size of name and help in bytes.
    pub(super) families: Vec<(&'a str, usize)>,
    /// Number of row labels, and the size of their names in bytes.
    pub(super) row_labels: (usize, usize),
}

/// A table: the index of its catalog, and its families.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PlacedTable<'a> {
    pub(super) catalog: usize,
    pub(super) families: Vec<&'a str>,
}

/// Places tables in catalogs that a collector with these limits accepts.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    limits: Room,
    catalog: usize,
    used: Room,
    pub(super) tables: Vec<PlacedTable<'a>>,
    /// Families that are left out, with the reason.
    pub(super) left_out: Vec<(&'a str, &'static str)>,
}

/// What a catalog has room for, or what a part of it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    families: usize,
    payload_bytes: usize,
    label_bytes: usize,
}

const EMPTY: Room = Room { families: 0, payload_bytes: CATALOG_BYTES, label_bytes: 0 };

impl<'a> Layout<'a> {
    pub(super) fn new(limits: &Limits) -> Self {
        // Catalogs are also validated with the default limits.
        let default = Limits::default();
        let least = |of: fn(&Limits) -> u32| of(limits).min(of(&default)) as usize;
        let limits = Room {
            families: least(|limits| limits.max_families)
                .min(least(|limits| limits.max_values))
                .min(MAX_FAMILIES),
            payload_bytes: least(|limits| limits.max_payload_bytes),
            label_bytes: least(|limits| limits.max_label_bytes),
        };
        Self { limits, catalog: 0, used: EMPTY, tables: Vec::new(), left_out: Vec::new() }
    }

    /// Places families. They become several tables if they do not fit into the current catalog.
    pub(super) fn place(&mut self, set: &FamilySet<'a>) {
        let (labels, bytes) = set.row_labels;
        let table = Room {
            families: 0,
            payload_bytes: TABLE_BYTES + bytes + labels * LABEL_NAME_BYTES,
            label_bytes: bytes,
        };
        let mut is_new_table = true;
        for (name, text_bytes) in &set.families {
            let payload_bytes = FAMILY_BYTES + text_bytes;
            let family = Room { families: 1, payload_bytes, label_bytes: 0 };
            let with_table = family.plus(table);
            if !self.limits.has_room(EMPTY.plus(with_table)) {
                self.left_out.push((name, "it does not fit into a catalog of the collector"));
                continue;
            }
            let added = if is_new_table { with_table } else { family };
            if self.limits.has_room(self.used.plus(added)) {
                self.used = self.used.plus(added);
            } else if self.catalog + 1 < MAX_FOUND_CATALOGS {
                self.catalog += 1;
                self.used = EMPTY.plus(with_table);
                is_new_table = true;
            } else {
                self.left_out.push((name, "the agent has too many families"));
                continue;
            }
            match self.tables.last_mut() {
                Some(last) if !is_new_table => last.families.push(name),
                _ => {
                    let (catalog, families) = (self.catalog, vec![*name]);
                    self.tables.push(PlacedTable { catalog, families });
                }
            }
            is_new_table = false;
        }
    }
}

impl Room {
    const fn plus(self, other: Self) -> Self {
        Self {
            families: self.families + other.families,
            payload_bytes: self.payload_bytes + other.payload_bytes,
            label_bytes: self.label_bytes + other.label_bytes,
        }
    }

    const fn has_room(&self, size: Self) -> bool {
        size.families <= self.families
            && size.payload_bytes <= self.payload_bytes
            && size.label_bytes <= self.label_bytes
    }
}
