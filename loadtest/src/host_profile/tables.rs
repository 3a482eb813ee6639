//! The tables of simulated hosts, in the proportions of node_exporter's collectors.

use fleetgauge_agent::catalogs::Catalogs;
use fleetgauge_proto::Violation;
use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::message::{Catalog, Column, Family, Label, Table};

/// First word of all family names.
const PREFIX: &str = "simnode_";

/// Maximum number of row labels of a table.
pub const MAX_ROW_LABELS: usize = 3;
/// Name of the label that tells the columns of a family apart.
pub const MODE: &str = "mode";
/// Start of the value of [`MODE`]; the number of the column follows.
const MODE_STEM: &str = "mode";

/// A table of simulated hosts.
#[derive(Debug)]
pub struct TableSpec {
    /// Second word of the names of its families.
    pub name: &'static str,
    /// Names of the row labels, at most [`MAX_ROW_LABELS`].
    pub row_labels: &'static [&'static str],
    /// Prefix of the values of the first row label.
    pub(super) stem: &'static str,
    /// Whether every host has its own rows: a table of devices.
    pub is_own: bool,
    /// Number of rows of the profile `node`.
    pub rows: u32,
    /// Number of rows of the profile `node-large`.
    pub rows_large: u32,
    /// Number of families, each with one column; the first one has `modes` more. The first ones are
    /// counters, the others gauges.
    families: u32,
    /// Number of counters.
    counters: u32,
    /// Number of counters in seconds, which come first. Their values have decimal places.
    counters_in_seconds: u32,
    /// Number of further columns of the first family, each with another value of the label `mode`.
    modes: u32,
}

/// Help text of all families.
const HELP: &str = "Simulated value of a host: depends on its agent, report, row and column.";
/// Decimal places of the values of families in seconds.
const SECONDS_DECIMALS: u8 = 2;

/// A table with rows that are alike on all hosts. Adjust with the struct update syntax.
const SHARED: TableSpec = TableSpec {
    name: "",
    row_labels: &[],
    stem: "",
    is_own: false,
    rows: 1,
    rows_large: 1,
    families: 0,
    counters: 0,
    counters_in_seconds: 0,
    modes: 0,
};
/// A table of devices: every host has its own rows.
const OWN: TableSpec = TableSpec { is_own: true, ..SHARED };

/// The tables, in the order of the catalog.
pub const TABLES: [TableSpec; 8] = [
    TableSpec { name: "host", families: 190, counters: 110, counters_in_seconds: 10, ..SHARED },
    TableSpec {
        name: "cpu",
        row_labels: &["cpu"],
        rows: 4,
        rows_large: 64,
        families: 13,
        counters: 10,
        counters_in_seconds: 4,
        modes: 7,
        ..SHARED
    },
    TableSpec {
        name: "scrape_collector",
        row_labels: &["collector"],
        stem: "collector",
        rows: 45,
        rows_large: 45,
        families: 2,
        counters: 1,
        counters_in_seconds: 1,
        ..SHARED
    },
    TableSpec {
        name: "disk",
        row_labels: &["device"],
        stem: "dm-",
        rows: 2,
        rows_large: 8,
        families: 19,
        counters: 17,
        counters_in_seconds: 6,
        ..OWN
    },
    TableSpec {
        name: "filesystem",
        row_labels: &["device", "mountpoint", "fstype"],
        stem: "/dev/mapper/vg",
        rows: 3,
        rows_large: 20,
        families: 8,
        ..OWN
    },
    TableSpec {
        name: "network_device",
        row_labels: &["device"],
        stem: "veth",
        rows: 2,
        rows_large: 10,
        families: 16,
        counters: 16,
        ..OWN
    },
    TableSpec {
        name: "network_class",
        row_labels: &["device"],
        stem: "veth",
        rows: 2,
        rows_large: 10,
        families: 19,
        counters: 3,
        ..OWN
    },
    TableSpec {
        name: "hardware_sensor",
        row_labels: &["sensor", "chip"],
        stem: "temp",
        rows: 0,
        rows_large: 96,
        families: 3,
        ..SHARED
    },
];

impl TableSpec {
    /// Returns the number of columns. Each column is one series of a row.
    #[must_use]
    pub const fn columns(&self) -> usize {
        (self.families + self.modes) as usize
    }

    /// Returns whether a family is a counter, or else a gauge.
    #[must_use]
    pub const fn is_counter(&self, family: u32) -> bool {
        family < self.counters
    }

    /// Returns the decimal places of a column.
    #[must_use]
    pub const fn decimals(&self, column: usize) -> u8 {
        if self.family_of(column) < self.counters_in_seconds { SECONDS_DECIMALS } else { 0 }
    }

    /// Returns the family of a column, by its number in the table. The columns of the first family
    /// come first, one for each mode.
    #[must_use]
    pub const fn family_of(&self, column: usize) -> u32 {
        (column as u32).saturating_sub(self.modes)
    }

    /// Returns the column of a family with this value of the label [`MODE`], or without the label.
    #[must_use]
    pub fn column_of(&self, family: u32, mode: Option<&str>) -> Option<usize> {
        if self.modes == 0 || family > 0 {
            return mode.is_none().then_some((family + self.modes) as usize);
        }
        let [digit @ b'0'..=b'9'] = mode?.strip_prefix(MODE_STEM)?.as_bytes() else { return None };
        let column = usize::from(digit - b'0');
        (column <= self.modes as usize).then_some(column)
    }

    /// Returns the value of the label [`MODE`] of a column; `None` if it lacks the label.
    #[must_use]
    pub fn mode(&self, column: usize) -> Option<String> {
        let in_modes = self.modes > 0 && self.family_of(column) == 0;
        in_modes.then(|| format!("{MODE_STEM}{column}"))
    }

    /// Returns the name of a family of the table, as in the catalog.
    fn family_name(&self, family: u32) -> String {
        let unit = if family < self.counters_in_seconds { "seconds" } else { "value" };
        format!("{PREFIX}{}_{family:03}_{unit}", self.name)
    }

    /// Returns the name of the samples of a family of the table.
    #[must_use]
    pub fn sample_name(&self, family: u32) -> String {
        let suffix = if self.is_counter(family) { "_total" } else { "" };
        self.family_name(family) + suffix
    }
}

/// Returns the table and the family whose samples have this name; `None` if no simulated host has
/// it.
#[must_use]
pub fn family_of_sample(name: &str) -> Option<(usize, u32)> {
    let words = name.strip_prefix(PREFIX)?;
    let is_digit = |byte: u8| byte.is_ascii_digit();
    let (table, number) = words.split_at(words.bytes().position(is_digit)?);
    let table = TABLES.iter().position(|own| table.strip_suffix('_') == Some(own.name))?;
    let family = number.split('_').next()?.parse().ok()?;
    let spec = &TABLES[table];
    (family < spec.families && spec.sample_name(family) == name).then_some((table, family))
}

/// Returns the catalogs that all hosts with [`TABLES`] share.
///
/// # Errors
/// Only if a name above is invalid.
pub fn catalogs() -> Result<Catalogs, Violation> {
    let all = || TABLES.iter().flat_map(|table| (0..table.families).map(move |at| (table, at)));
    let names: Vec<_> = all().map(|(table, family)| table.family_name(family)).collect();
    let family = |(name, (table, number)): (_, (&TableSpec, u32))| {
        let is_counter = table.is_counter(number);
        let kind = if is_counter { FamilyKind::Counter } else { FamilyKind::Gauge } as u8;
        Family { name, kind, unit: "", help: HELP }
    };
    let families = names.iter().map(String::as_str).zip(all()).map(family).collect();
    let modes: Vec<_> = (0..=8).map(|mode| format!("{MODE_STEM}{mode}")).collect();
    let (mut tables, mut first) = (Vec::new(), 0);
    for table in &TABLES {
        let column = |at: usize| {
            let in_modes = table.modes > 0 && at <= table.modes as usize;
            let mode = in_modes.then(|| Label { name: MODE, value: &modes[at] });
            Column {
                family: first + table.family_of(at),
                width: 1,
                decimals: table.decimals(at),
                parameters: Vec::new(),
                labels: mode.into_iter().collect(),
            }
        };
        let columns = (0..table.columns()).map(column).collect();
        tables.push(Table { row_labels: table.row_labels.to_vec(), columns });
        first += table.families;
    }
    Catalogs::try_new(vec![Catalog { stream: 0, slot: 0, families, tables }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn catalog_has_the_columns_of_the_tables() {
        let catalogs = catalogs().unwrap();
        let columns: Vec<_> = catalogs.tables().iter().map(|table| table.columns()).collect();
        assert_eq!(columns, TABLES.each_ref().map(TableSpec::columns));
    }

    #[test]
    fn names_of_samples_tell_table_and_family() {
        for (at, table) in TABLES.iter().enumerate() {
            for family in 0..table.families {
                assert_eq!(family_of_sample(&table.sample_name(family)), Some((at, family)));
            }
            assert_eq!(family_of_sample(&table.sample_name(table.families)), None);
        }
        for other in [
            "sim_value_3",
            "simnode_host_000",
            "simnode_host_000_seconds",
            "simnode_host_000_value_total",
            "simnode_host_0_seconds_total",
            "simnode_host_+00_seconds_total",
            "simnode_host_000_seconds_total_total",
            "simnode_host_189_value_total",
            "simnode_host_189_",
        ] {
            assert_eq!(family_of_sample(other), None, "{other}");
        }
        assert_eq!(family_of_sample("simnode_host_189_value"), Some((0, 189)));
    }

    #[test]
    fn most_families_are_counters() {
        let counters: u32 = TABLES.iter().map(|table| table.counters).sum();
        let families: u32 = TABLES.iter().map(|table| table.families).sum();
        assert!(2 * counters > families, "{counters} of {families}");
    }

    #[test]
    fn family_and_mode_tell_the_column() {
        for table in &TABLES {
            for column in 0..table.columns() {
                let mode = format!("{MODE_STEM}{column}");
                let has_mode = table.modes > 0 && table.family_of(column) == 0;
                let mode = has_mode.then_some(mode.as_str());
                assert_eq!(table.column_of(table.family_of(column), mode), Some(column));
            }
        }
        let cpu = &TABLES[1];
        for mode in [None, Some("mode8"), Some("mode10"), Some("idle")] {
            assert_eq!(cpu.column_of(0, mode), None, "{mode:?}");
        }
        assert_eq!(cpu.column_of(1, Some("mode1")), None);
    }
}
