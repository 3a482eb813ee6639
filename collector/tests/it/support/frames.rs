//! Valid and invalid frames as an agent sends them.

use fleetgauge_proto::message::{
    Bye, Catalog, Column, Family, Hello, Label, Ping, Report, RowChange, Rows, Table,
};
use fleetgauge_proto::report::{ABSENT, EncodedValues, Values};
use fleetgauge_proto::{Fingerprint, Message, VERSION, catalog};

/// Kinds of frames on the wire.
pub(crate) const CATALOG_KIND: u8 = 3;
pub(crate) const ROWS_KIND: u8 = 4;
pub(crate) const REPORT_KIND: u8 = 5;
pub(crate) const PING_KIND: u8 = 6;
pub(crate) const PONG_KIND: u8 = 7;

pub(crate) const GAUGE: u8 = 1;
pub(crate) const COUNTER: u8 = 2;
pub(crate) const HISTOGRAM: u8 = 3;
pub(crate) const SUMMARY: u8 = 4;
pub(crate) const INFO: u8 = 5;
pub(crate) const UNKNOWN: u8 = 6;
pub(crate) const COUNTER_AS_NAMED: u8 = 7;
/// A metric family kind that this protocol version does not define.
pub(crate) const LATER: u8 = 200;

/// The frame and the fingerprint of a catalog.
#[derive(Debug, Clone)]
pub(crate) struct CatalogFrame {
    pub(crate) bytes: Vec<u8>,
    pub(crate) fingerprint: Fingerprint,
}

pub(crate) fn frame(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(VERSION, &mut bytes).unwrap();
    bytes
}

/// Returns a frame of this kind with this payload, valid or not.
pub(crate) fn raw(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![b'F', b'G', VERSION, kind, 0, 0, 0, 0];
    bytes[4..7].copy_from_slice(&(payload.len() as u32).to_le_bytes()[..3]);
    bytes.extend_from_slice(payload);
    bytes
}

pub(crate) fn family(name: &str, kind: u8) -> Family<'_> {
    Family { name, kind, unit: "", help: "" }
}

/// A column with one value and no labels.
pub(crate) fn single(family: u32) -> Column<'static> {
    Column { family, width: 1, decimals: 0, parameters: Vec::new(), labels: Vec::new() }
}

pub(crate) fn labelled<'a>(family: u32, labels: &[(&'a str, &'a str)]) -> Column<'a> {
    Column { labels: labels.iter().map(label).collect(), ..single(family) }
}

/// A column of a histogram or summary.
pub(crate) fn wide(family: u32, parameters: &[f64]) -> Column<'static> {
    let width = parameters.len() as u32 + 2;
    Column { width, parameters: parameters.to_vec(), ..single(family) }
}

pub(crate) fn label<'a>((name, value): &(&'a str, &'a str)) -> Label<'a> {
    Label { name, value }
}

/// A table with these row labels.
pub(crate) fn table<'a>(row_labels: &[&'a str], columns: &[Column<'a>]) -> Table<'a> {
    Table { row_labels: row_labels.to_vec(), columns: columns.to_vec() }
}

/// The catalog of slot 0, with one table without row labels.
pub(crate) fn catalog_of(families: &[Family<'_>], columns: &[Column<'_>]) -> CatalogFrame {
    catalog_in(0, families, &[table(&[], columns)])
}

/// The catalog of a slot.
pub(crate) fn catalog_in(slot: u8, families: &[Family<'_>], tables: &[Table<'_>]) -> CatalogFrame {
    let families = families.to_vec();
    let message = Catalog { stream: 0, slot, families, tables: tables.to_vec() };
    let (bytes, fingerprint) = catalog::encode(&message).unwrap();
    CatalogFrame { bytes, fingerprint }
}

/// A catalog of gauges with these names, one series each.
pub(crate) fn gauges(names: &[&str]) -> CatalogFrame {
    gauges_in(0, names)
}

/// A catalog of gauges in a slot.
pub(crate) fn gauges_in(slot: u8, names: &[&str]) -> CatalogFrame {
    let families: Vec<_> = names.iter().map(|name| family(name, GAUGE)).collect();
    let columns: Vec<_> = (0..names.len() as u32).map(single).collect();
    catalog_in(slot, &families, &[table(&[], &columns)])
}

/// The catalog of slot 0 with the gauge `load`, and a table of rows by `device` with the gauges
/// `used` and `size`.
pub(crate) fn disks() -> CatalogFrame {
    let families = ["load", "used", "size"].map(|name| family(name, GAUGE));
    catalog_in(
        0,
        &families,
        &[table(&[], &[single(0)]), table(&["device"], &[single(1), single(2)])],
    )
}

pub(crate) fn hello<'a>(id: &'a str, host: u8, catalog: Fingerprint) -> Hello<'a> {
    Hello {
        min_version: 1,
        max_version: 1,
        capabilities: 0,
        agent_id: id,
        host_nonce: [host; 16],
        process_nonce: [7; 16],
        labels: Vec::new(),
        interval_ms: 15_000,
        agent_version: "test",
        catalogs: vec![catalog],
        credential: None,
        extensions: Vec::new(),
    }
}

pub(crate) fn change<'a>(
    slot: u8,
    table: u32,
    removed: &[u32],
    added: &[&'a str],
) -> RowChange<'a> {
    RowChange { slot, table, removed: removed.to_vec(), added: added.to_vec() }
}

pub(crate) fn rows(changes: &[RowChange<'_>]) -> Vec<u8> {
    frame(&Message::Rows(Rows { stream: 0, changes: changes.to_vec() }))
}

/// Adds rows to the second table of [`disks`].
pub(crate) fn add_disks(devices: &[&str]) -> Vec<u8> {
    rows(&[change(0, 1, &[], devices)])
}

/// A report of all values, of columns without decimal places.
pub(crate) fn report(sequence: u64, values: &[f64]) -> Vec<u8> {
    let decimals = vec![0; values.len()];
    let mut encoded = EncodedValues::default();
    encoded.encode_all(values, [(1, &*decimals)].into_iter());
    report_of(sequence, encoded.values())
}

/// A report of the values with a set bit, which were absent in the previous report.
pub(crate) fn changed(sequence: u64, bitmap: &[u8], values: &[f64]) -> Vec<u8> {
    let decimals = vec![0; values.len()];
    let mut encoded = EncodedValues::default();
    encoded.encode_all(values, [(1, &*decimals)].into_iter());
    let Values::All(values) = encoded.values() else { panic!("not all values") };
    report_of(sequence, Values::Changed { bitmap, values })
}

/// A report of the values that differ from those before.
pub(crate) fn changed_from(sequence: u64, before: &[f64], now: &[f64]) -> Vec<u8> {
    let decimals = vec![0; now.len()];
    let mut encoded = EncodedValues::default();
    encoded.encode_changed(before, now, [(1, &*decimals)].into_iter());
    report_of(sequence, encoded.values())
}

/// A first report of the values that are not absent.
pub(crate) fn changed_first(sequence: u64, now: &[f64]) -> Vec<u8> {
    changed_from(sequence, &vec![ABSENT; now.len()], now)
}

pub(crate) fn report_of(sequence: u64, values: Values<'_>) -> Vec<u8> {
    frame(&Message::Report(Report { stream: 0, sequence, unix_ms: 1_767_225_600_000, values }))
}

pub(crate) fn ping(token: u64) -> Vec<u8> {
    frame(&Message::Ping(Ping { token }))
}

pub(crate) fn bye() -> Vec<u8> {
    frame(&Message::Bye(Bye { stream: 0, reason: 0 }))
}
