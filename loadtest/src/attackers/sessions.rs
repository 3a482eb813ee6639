//! What attackers send after their handshake: catalogs, rows and reports.

use fleetgauge_proto::catalog::{self, FamilyKind};
use fleetgauge_proto::message::{Catalog, Column, Family, Label, Report, RowChange, Rows, Table};
use fleetgauge_proto::report::{EncodedValues, Values};
use fleetgauge_proto::{Message, VERSION, Violation};

use super::AttackKind;
use super::payloads::header;
use crate::sim_values::{self, NAMES, ValueOrigin};

/// Number of reports that a report flood sends at once.
const FLOOD_REPORTS: u64 = 2_000;
/// Number of catalogs that a catalog flood sends at once.
const FLOOD_CATALOGS: usize = 40;
/// Number of Rows frames that a row flood sends at once.
const FLOOD_ROWS: u64 = 8;
/// Rows that each frame of a row flood adds, while it removes those of the frame before. By default
/// a collector allows bursts of 50,000 changes.
const ROWS_PER_FRAME: u64 = 10_000;
/// Columns of a catalog with too many series: one more than a collector's default limit.
const WIDE_COLUMNS: usize = 50_001;
/// Families of a catalog with too many: one more than a collector's default limit.
const FAMILIES: usize = 1_001;
/// Bytes of a label value that is too long. Its frame is within a collector's default limit.
const LONG_LABEL_BYTES: usize = 1_000_000;

/// Returns the frames that an attack of this kind sends after its handshake; empty if it sends
/// something else. A flood of reports has the values of the agent with this number.
///
/// # Errors
/// Only if a frame is too long.
pub(super) fn frames(kind: AttackKind, agent: u32) -> Result<Vec<u8>, Violation> {
    let frames = match kind {
        // Announces 2^64 - 1 families.
        AttackKind::CatalogBomb => vec![header(3, 11).into(), vec![0, 0, 0xfd], vec![0xff; 8]],
        AttackKind::WideCatalog => vec![gauges("hostile", WIDE_COLUMNS)?],
        AttackKind::ManyFamilies => vec![many_families()?],
        AttackKind::CatalogFlood => {
            let one = |index: usize| gauges(&format!("hostile_{index}"), 1);
            (0..FLOOD_CATALOGS).map(one).collect::<Result<_, _>>()?
        }
        AttackKind::ReportFlood => vec![report_flood(agent)?],
        AttackKind::RowFlood => vec![row_flood()?],
        AttackKind::AbsentRow => vec![devices()?, rows(&[], &["a"])?, rows(&[1], &[])?],
        AttackKind::LongRow => vec![devices()?, rows(&[], &[&"x".repeat(LONG_LABEL_BYTES)])?],
        // The report has a bitmap for nine rows, but arrives when the table has one.
        AttackKind::EarlyReport => {
            let later = Values::Changed { bitmap: &[0, 1], values: &[1, 1] };
            let rest = ["b", "c", "d", "e", "f", "g", "h", "i"];
            vec![devices()?, rows(&[], &["a"])?, report(1, later)?, rows(&[], &rest)?]
        }
        // The code announces two bytes, but the value fits one.
        AttackKind::BadValue => {
            vec![devices()?, rows(&[], &["a"])?, report(1, Values::All(&[2, 1, 0]))?]
        }
        _ => Vec::new(),
    };
    Ok(frames.concat())
}

/// Encodes a catalog with one gauge family of this name and number of columns.
fn gauges(name: &str, columns: usize) -> Result<Vec<u8>, Violation> {
    let numbers: Vec<_> = (0..columns).map(|index| index.to_string()).collect();
    let columns = numbers.iter().map(|index| vec![Label { name: "n", value: index }]);
    let table = Table { row_labels: Vec::new(), columns: columns.map(column).collect() };
    encode(vec![family(name)], vec![table])
}

/// Encodes a catalog with one series for each row of a table.
fn devices() -> Result<Vec<u8>, Violation> {
    let table = Table { row_labels: vec!["device"], columns: vec![column(Vec::new())] };
    encode(vec![family("hostile_device")], vec![table])
}

fn many_families() -> Result<Vec<u8>, Violation> {
    let names: Vec<_> = (0..FAMILIES).map(|number| format!("h{number}")).collect();
    encode(names.iter().map(|name| family(name)).collect(), Vec::new())
}

fn family(name: &str) -> Family<'_> {
    Family { name, kind: FamilyKind::Gauge as u8, unit: "", help: "" }
}

fn column(labels: Vec<Label<'_>>) -> Column<'_> {
    Column { family: 0, width: 1, decimals: 0, parameters: Vec::new(), labels }
}

fn encode(families: Vec<Family<'_>>, tables: Vec<Table<'_>>) -> Result<Vec<u8>, Violation> {
    Ok(catalog::encode(&Catalog { stream: 0, slot: 0, families, tables })?.0)
}

/// Encodes a change of the rows of [`devices`].
fn rows(removed: &[u32], added: &[&str]) -> Result<Vec<u8>, Violation> {
    let (removed, added) = (removed.to_vec(), added.to_vec());
    let changes = vec![RowChange { slot: 0, table: 0, removed, added }];
    let mut bytes = Vec::new();
    Message::Rows(Rows { stream: 0, changes }).encode(VERSION, &mut bytes)?;
    Ok(bytes)
}

fn report(sequence: u64, values: Values<'_>) -> Result<Vec<u8>, Violation> {
    let mut bytes = Vec::new();
    let report = Report { stream: 0, sequence, unix_ms: 0, values };
    Message::Report(report).encode(VERSION, &mut bytes)?;
    Ok(bytes)
}

/// Replaces all rows again and again. Each change takes effect with a report, but all values are
/// absent, so that pages do not show the rows.
fn row_flood() -> Result<Vec<u8>, Violation> {
    let bitmap = vec![0; ROWS_PER_FRAME.div_ceil(8) as usize];
    let unchanged = Values::Changed { bitmap: &bitmap, values: &[] };
    let mut bytes = devices()?;
    let mut removed = Vec::new();
    for round in 0..FLOOD_ROWS {
        let first = round * ROWS_PER_FRAME;
        let names = (first..first + ROWS_PER_FRAME).map(|number| format!("{number:05}"));
        let names: Vec<_> = names.collect();
        let added: Vec<_> = names.iter().map(String::as_str).collect();
        bytes.append(&mut rows(&removed, &added)?);
        bytes.append(&mut report(1 + round, unchanged)?);
        removed = (0..ROWS_PER_FRAME as u32).collect();
    }
    Ok(bytes)
}

/// A flood of reports, preceded by their catalog.
fn report_flood(agent: u32) -> Result<Vec<u8>, Violation> {
    let catalogs = sim_values::catalogs()?;
    let mut bytes: Vec<_> =
        catalogs.by_slot().iter().flat_map(|catalog| catalog.frame()).copied().collect();
    let mut encoded = EncodedValues::default();
    for sequence in 1..=FLOOD_REPORTS {
        let origin = |position| ValueOrigin { agent, sequence, position }.to_f64();
        let values: [f64; NAMES.len()] = std::array::from_fn(origin);
        encoded.encode_all(&values, std::iter::once((1, &[0; NAMES.len()][..])));
        bytes.append(&mut report(sequence, encoded.values())?);
    }
    Ok(bytes)
}
