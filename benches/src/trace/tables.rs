//! Tables of the series of a recording: which rows and columns there are.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use fleetgauge_proto::report::{ABSENT, is_absent};

use super::decimals;
use super::page::{Page, Row};
use super::recording::{LabelSet, Recording, Samples};

/// Labels whose values do not depend on the host. A family has a column for each of their values.
const FIXED_LABELS: [&str; 3] = ["mode", "ip", "queue"];

/// A table: the families with the same subsystem and the same row labels.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) row_labels: Vec<String>,
    pub(super) columns: Vec<Column>,
    /// Decimal places by column.
    pub(super) decimals: Vec<u8>,
}

/// A column of a table: a family with fixed labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) family: usize,
    pub(super) labels: LabelSet,
}

/// The place of a series: its table, column and row.
#[derive(Debug)]
struct SeriesPlace {
    table: usize,
    column: usize,
    row: Row,
}

/// Places of all series of a recording, by the numbers of family and label set.
type SeriesPlaces = BTreeMap<(usize, usize), SeriesPlace>;

/// Sorts the series of a recording into tables. Returns them and the pages.
pub(super) fn of(recording: &Recording) -> (Vec<Table>, Vec<Page>) {
    let (mut tables, places) = place(recording);
    let page = |samples| page(samples, &tables, &places);
    let pages: Vec<_> = recording.pages.iter().map(page).collect();
    learn_decimals(&mut tables, &pages);
    (tables, pages)
}

fn place(recording: &Recording) -> (Vec<Table>, SeriesPlaces) {
    let series: BTreeSet<_> = recording.pages.iter().flat_map(BTreeMap::keys).collect();
    let mut tables: Vec<Table> = Vec::new();
    let mut indices = HashMap::new();
    let mut places = SeriesPlaces::new();
    for (family, set) in series.into_iter().copied() {
        let labels = recording.label_sets[set].iter().cloned();
        let (fixed, own): (LabelSet, LabelSet) =
            labels.partition(|(name, _)| FIXED_LABELS.contains(&name.as_str()));
        let (row_labels, row): (Vec<_>, Row) = own.into_iter().unzip();
        let key = (subsystem(&recording.families[family].name), row_labels);
        let table = *indices.entry(key).or_insert_with_key(|(_, row_labels)| {
            let row_labels = row_labels.clone();
            tables.push(Table { row_labels, columns: Vec::new(), decimals: Vec::new() });
            tables.len() - 1
        });
        let columns = &mut tables[table].columns;
        let own = Column { family, labels: fixed };
        let column = columns.iter().position(|column| *column == own).unwrap_or_else(|| {
            columns.push(own);
            columns.len() - 1
        });
        places.insert((family, set), SeriesPlace { table, column, row });
    }
    (tables, places)
}

/// Returns the second part of a metric name, such as `cpu` of `node_cpu_seconds_total`.
fn subsystem(name: &str) -> &str {
    name.split('_').nth(1).unwrap_or(name)
}

fn page(samples: &Samples, tables: &[Table], places: &SeriesPlaces) -> Page {
    let mut rows = vec![BTreeMap::<&Row, Vec<f64>>::new(); tables.len()];
    for (rows, table) in rows.iter_mut().zip(tables) {
        if table.row_labels.is_empty() {
            rows.insert(const { &Row::new() }, vec![ABSENT; table.columns.len()]);
        }
    }
    for (series, value) in samples {
        let SeriesPlace { table, column, row } = &places[series];
        let absent = || vec![ABSENT; tables[*table].columns.len()];
        rows[*table].entry(row).or_insert_with(absent)[*column] = *value;
    }
    let values = rows.iter().flat_map(BTreeMap::values).flatten().copied().collect();
    let labels =
        |rows: BTreeMap<&Row, _>| rows.into_keys().filter(|row| !row.is_empty()).cloned().collect();
    Page { values, rows: rows.into_iter().map(labels).collect() }
}

fn learn_decimals(tables: &mut [Table], pages: &[Page]) {
    let mut seen: Vec<Vec<Vec<f64>>> =
        tables.iter().map(|table| vec![Vec::new(); table.columns.len()]).collect();
    for (table, _, values) in pages.iter().flat_map(|page| page.rows(tables)) {
        for (seen, value) in seen[table].iter_mut().zip(values).filter(|(_, v)| !is_absent(**v)) {
            seen.push(*value);
        }
    }
    for (table, seen) in tables.iter_mut().zip(seen) {
        table.decimals = seen.iter().map(|values| decimals::learn(values)).collect();
    }
}
