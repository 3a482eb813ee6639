//! Converts the samples of a page to catalogs, rows and values, as an agent reports them.
//!
//! The labels of a family are those of all its samples; a sample without one of them is in a row
//! whose value for it is empty. Families with the same labels and the same second word of the name
//! share a table.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use fleetgauge_agent::catalogs::Catalogs;
use fleetgauge_agent::tables::Sample;
use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::message::{self, Label, RowChange};
use fleetgauge_proto::report::ABSENT;
use fleetgauge_proto::rows::TableRows;

use super::samples::{Family, Labels};

/// Maximum families of a catalog. A collector takes 1,000 by default, so a page needs several.
const CATALOG_FAMILIES: usize = 300;
/// Labels whose values do not depend on the host: a family has a column for each of their values.
const FIXED_LABELS: [&str; 3] = ["mode", "ip", "queue"];

/// The values of a series: of a histogram or summary, for each bound or quantile, the count, the
/// sum.
#[derive(Debug, Default, Clone)]
struct Series {
    parameters: Vec<f64>,
    values: Vec<f64>,
    count: f64,
    sum: f64,
}

/// A column: index of its family in the catalog, fixed labels, bits of its parameters.
type Column = (usize, Labels, Vec<u64>);
/// Label values of a row.
type Row = Vec<String>;

/// A table under construction.
#[derive(Debug, Default)]
struct Table {
    columns: Vec<Column>,
    /// Values by column.
    rows: BTreeMap<Row, BTreeMap<usize, Vec<f64>>>,
}

/// The tables of a catalog by second word of the name and row labels.
type Tables = BTreeMap<(String, Vec<String>), Table>;

/// Returns the catalogs and the sample that together are the page.
pub(super) fn of(families: &[Family]) -> (Catalogs, Sample) {
    let names: HashSet<_> = families.iter().map(|family| &*family.name).collect();
    let sections: Vec<_> =
        families.chunks(CATALOG_FAMILIES).map(|chunk| (chunk, place(chunk))).collect();
    let messages = sections.iter().map(|(chunk, tables)| to_message(chunk, tables, &names));
    let catalogs = Catalogs::try_new(messages.collect()).unwrap();
    let tables = || sections.iter().flat_map(|(_, tables)| tables);
    let rows = tables().map(|((_, row_labels), table)| Arc::new(table.to_rows(row_labels.len())));
    let values = tables().flat_map(|(_, table)| table.to_values());
    (catalogs, Sample { rows: rows.collect(), values: values.collect() })
}

/// Places the series of families in tables.
fn place(families: &[Family]) -> Tables {
    let mut tables = Tables::new();
    for (index, family) in families.iter().enumerate() {
        let series = series(family);
        let names: BTreeSet<_> = series.keys().flat_map(Labels::keys).cloned().collect();
        let is_fixed = |name: &String| FIXED_LABELS.contains(&name.as_str());
        let row_labels: Vec<_> = names.into_iter().filter(|name| !is_fixed(name)).collect();
        let word = family.name.split('_').nth(1).unwrap_or_default().to_owned();
        let table = tables.entry((word, row_labels.clone())).or_default();
        for (labels, series) in series {
            let value = |name: &String| labels.get(name).cloned().unwrap_or_default();
            let row: Row = row_labels.iter().map(value).collect();
            let own = labels.iter().filter(|(name, _)| is_fixed(name));
            let own = own.map(|(name, value)| (name.clone(), value.clone())).collect();
            let parameters = series.parameters.iter().map(|one| one.to_bits()).collect();
            table.set(row, (index, own, parameters), series.into_values(&family.kind));
        }
    }
    tables
}

/// Joins the samples of each series of a family.
fn series(family: &Family) -> BTreeMap<Labels, Series> {
    let mut all = BTreeMap::<Labels, Series>::new();
    for ((name, labels), value) in &family.samples {
        let (mut labels, value) = (labels.clone(), f64::from_bits(*value));
        let bound = labels.remove("le").or_else(|| labels.remove("quantile"));
        let series = all.entry(labels).or_default();
        match (bound, name.strip_prefix(&family.name).unwrap()) {
            // Skip the `+Inf` bucket: it equals the count.
            (Some(bound), "_bucket") if bound == "inf" => {}
            (Some(bound), _) => {
                let bound: f64 = bound.parse().unwrap();
                let at = series.parameters.partition_point(|other| *other < bound);
                series.parameters.insert(at, bound);
                series.values.insert(at, value);
            }
            (None, "_count") => series.count = value,
            (None, "_sum") => series.sum = value,
            (None, _) => series.values.push(value),
        }
    }
    all
}

impl Series {
    fn into_values(mut self, kind: &str) -> Vec<f64> {
        if ["histogram", "summary"].contains(&kind) {
            self.values.extend([self.count, self.sum]);
        }
        self.values
    }
}

impl Table {
    fn set(&mut self, row: Row, column: Column, values: Vec<f64>) {
        let known = self.columns.iter().position(|other| *other == column);
        let at = known.unwrap_or_else(|| {
            self.columns.push(column);
            self.columns.len() - 1
        });
        self.rows.entry(row).or_default().insert(at, values);
    }

    fn to_rows(&self, labels: usize) -> TableRows {
        if labels == 0 {
            return TableRows::default();
        }
        let added = self.rows.keys().flatten().map(String::as_str).collect();
        let change = RowChange { slot: 0, table: 0, removed: vec![], added };
        TableRows::default().edit(labels, &change).unwrap().0
    }

    fn to_values(&self) -> impl Iterator<Item = f64> {
        self.rows.values().flat_map(|row| {
            let column = |at: usize| {
                let absent = || vec![ABSENT; self.width(at)];
                row.get(&at).cloned().unwrap_or_else(absent)
            };
            (0..self.columns.len()).flat_map(column).collect::<Vec<_>>()
        })
    }

    fn width(&self, column: usize) -> usize {
        let mut cells = self.rows.values().filter_map(|row| row.get(&column));
        cells.next().unwrap().len()
    }
}

/// Returns the catalog of these families. `names` are those of the whole page.
fn to_message<'a>(
    families: &'a [Family],
    tables: &'a Tables,
    names: &HashSet<&str>,
) -> message::Catalog<'a> {
    let column = |table: &Table, at: usize, (family, labels, parameters): &'a Column| {
        let labels = labels.iter().map(|(name, value)| Label { name, value });
        message::Column {
            family: *family as u32,
            width: table.width(at) as u32,
            // Any number is legal; the values need not have that many.
            decimals: (*family % 10) as u8,
            parameters: parameters.iter().map(|bits| f64::from_bits(*bits)).collect(),
            labels: labels.collect(),
        }
    };
    let tables = tables.iter().map(|((_, row_labels), table)| message::Table {
        row_labels: row_labels.iter().map(String::as_str).collect(),
        columns: table.columns.iter().enumerate().map(|(at, one)| column(table, at, one)).collect(),
    });
    let families = families.iter().map(|family| to_family(family, names)).collect();
    message::Catalog { stream: 0, slot: 0, families, tables: tables.collect() }
}

/// Returns the family that is exposed as this one.
fn to_family<'a>(family: &'a Family, names: &HashSet<&str>) -> message::Family<'a> {
    // A counter also takes the name without `_total`. If another family has that name, or there is
    // no suffix, use `CounterAsNamed`.
    let stem = family.name.strip_suffix("_total").filter(|stem| !names.contains(stem));
    let (name, kind) = match (family.kind.as_str(), stem) {
        ("counter", Some(stem)) => (stem, FamilyKind::Counter),
        ("counter", None) => (&*family.name, FamilyKind::CounterAsNamed),
        ("gauge", _) => (&*family.name, FamilyKind::Gauge),
        ("histogram", _) => (&*family.name, FamilyKind::Histogram),
        ("summary", _) => (&*family.name, FamilyKind::Summary),
        ("untyped", _) => (&*family.name, FamilyKind::Unknown),
        (kind, _) => panic!("{kind} is no type of the text format"),
    };
    message::Family { name, kind: kind as u8, unit: "", help: &family.help }
}
