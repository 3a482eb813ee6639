//! The code that generates the frames of `vectors/v1`.
//!
//! The tests compare its output with the committed files, so a change of the encoding fails.

mod accepted;
mod accepted_values;
mod rejected_catalogs;
mod rejected_contents;
mod rejected_encoding;
pub(crate) mod transcripts;

use fleetgauge_proto::{Code, Fingerprint};
use serde_json::{Value, json};

use crate::owned::{Catalog, Column, Family, Hello, Label, Owned, RowChange, Rows, Table};

/// Capabilities of Welcome that allow all streams.
const ALL_STREAMS: u64 = 0b11;

/// A frame that every receiver accepts.
pub(crate) struct Accepted {
    pub(crate) name: &'static str,
    pub(crate) note: &'static str,
    pub(crate) frame: Vec<u8>,
    /// State of the receiver that matters: `shape` and `before`, or `row_labels` and `rows`.
    pub(crate) context: Value,
}

/// Bytes that every receiver rejects.
pub(crate) struct Rejected {
    pub(crate) name: &'static str,
    pub(crate) code: Code,
    /// What is wrong with the bytes.
    pub(crate) why: &'static str,
    pub(crate) bytes: Vec<u8>,
    /// State of the receiver that matters: `limits`, `max_payload_bytes`, `shape` and `before`,
    /// `row_labels` and `rows`.
    pub(crate) context: Value,
}

/// Returns all accepted vectors.
pub(crate) fn accepted() -> Vec<Accepted> {
    let mut all = accepted::accepted();
    all.extend(accepted_values::accepted());
    all
}

/// Returns all rejected vectors.
pub(crate) fn rejected() -> Vec<Rejected> {
    let mut all = rejected_encoding::rejected();
    all.extend(rejected_catalogs::rejected());
    all.extend(rejected_contents::rejected());
    all
}

fn reject(name: &'static str, code: Code, why: &'static str, bytes: Vec<u8>) -> Rejected {
    Rejected { name, code, why, bytes, context: json!({}) }
}

/// Returns a frame of version 1 with any kind and payload.
pub(crate) fn raw(kind: u8, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("a short payload").to_le_bytes();
    let mut frame = vec![b'F', b'G', 1, kind, len[0], len[1], len[2], 0];
    frame.extend_from_slice(payload);
    frame
}

fn label(name: &str, value: &str) -> Label {
    Label { name: name.into(), value: value.into() }
}

/// Returns a minimal Hello.
fn hello() -> Hello {
    Hello {
        min_version: 1,
        max_version: 1,
        capabilities: 0,
        agent_id: "web-1".into(),
        host_nonce: *b"host-nonce-00001",
        process_nonce: *b"proc-nonce-00001",
        labels: vec![],
        interval_ms: 15_000,
        agent_version: "0.1.0".into(),
        catalogs: vec![fingerprint(&accepted::two_gauges())],
        credential: None,
        extensions: vec![],
    }
}

fn family(name: &str, kind: u8) -> Family {
    Family { name: name.into(), kind, unit: String::new(), help: String::new() }
}

fn fingerprint(catalog: &[u8]) -> [u8; 16] {
    Fingerprint::of_payload(&catalog[8..]).expect("a catalog").0
}

fn column(family: u32, width: u32, parameters: &[f64], labels: &[Label]) -> Column {
    let (parameters, labels) = (parameters.to_vec(), labels.to_vec());
    Column { family, width, decimals: 0, parameters, labels }
}

/// Returns a table with row labels written as `a,b`.
fn table(row_labels: &str, columns: Vec<Column>) -> Table {
    let row_labels = row_labels.split(',').filter(|name| !name.is_empty()).map(Into::into);
    Table { row_labels: row_labels.collect(), columns }
}

/// Returns a Catalog frame for slot 0.
fn catalog(families: Vec<Family>, tables: Vec<Table>) -> Vec<u8> {
    Owned::Catalog(Catalog { stream: 0, slot: 0, families, tables }).frame()
}

fn change(removed: &[u32], added: &[&str]) -> RowChange {
    let added = added.iter().map(|value| (*value).into()).collect();
    RowChange { slot: 0, table: 0, removed: removed.to_vec(), added }
}

fn rows(changes: Vec<RowChange>) -> Vec<u8> {
    Owned::Rows(Rows { stream: 0, changes }).frame()
}
