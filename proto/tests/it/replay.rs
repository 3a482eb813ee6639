//! Replays a transcript: what a collector shows of each connection.

use std::collections::BTreeMap;

use fleetgauge_proto::catalog::Table;
use fleetgauge_proto::message::{self, Message, Report, Rows};
use fleetgauge_proto::report::{ABSENT, Values, is_absent};
use fleetgauge_proto::rows::{RowEdit, TableRows};
use fleetgauge_proto::{Catalog, Fingerprint, Frame, Limits, Streams, stream};
use serde_json::{Value, json};

use crate::json::floats;

/// The connections of a transcript, and the catalogs that the collector knows.
#[derive(Default)]
pub(crate) struct Replay {
    known: BTreeMap<[u8; 16], Catalog>,
    connections: BTreeMap<String, Connection>,
}

#[derive(Default)]
struct Connection {
    /// The catalogs that Hello lists.
    listed: Vec<Fingerprint>,
    /// Tables by slot and index.
    tables: BTreeMap<(usize, usize), TableState>,
    family_names: BTreeMap<usize, Vec<Box<str>>>,
}

/// A table with its rows and their values.
struct TableState {
    table: Table,
    rows: TableRows,
    values: Vec<f64>,
}

impl Replay {
    /// Handles a frame. Returns the connection's series after a frame that changes what is shown.
    pub(crate) fn step(&mut self, connection: &str, frame: Frame<'_>) -> Option<Value> {
        let own = self.connections.entry(connection.to_owned()).or_default();
        match Message::decode_with(frame, Streams::LiveAndReplay).expect("a legal frame") {
            // Pages show only the newest values.
            Message::Catalog(message::Catalog { stream: stream::REPLAY, .. })
            | Message::Rows(Rows { stream: stream::REPLAY, .. })
            | Message::Report(Report { stream: stream::REPLAY, .. }) => {}
            Message::Hello(hello) => own.listed = hello.catalogs,
            Message::Welcome(welcome) => {
                for (slot, fingerprint) in own.listed.clone().iter().enumerate() {
                    if welcome.catalogs_known >> slot & 1 == 1 {
                        own.set_catalog(slot, &self.known[&fingerprint.0]);
                    }
                }
            }
            Message::Catalog(catalog) => {
                let fingerprint = Fingerprint::of_payload(frame.payload).expect("a catalog");
                let slot = usize::from(catalog.slot);
                let catalog = Catalog::try_new(&catalog, &Limits::default()).expect("legal");
                own.set_catalog(slot, &catalog);
                self.known.insert(fingerprint.0, catalog);
            }
            Message::Rows(rows) => own.change_rows(&rows),
            Message::Report(report) => {
                own.report(&report.values);
                return Some(own.shown());
            }
            Message::Bye(_) | Message::Reject(_) => {
                self.connections.remove(connection);
                return Some(json!({}));
            }
            _ => {}
        }
        None
    }
}

impl Connection {
    fn set_catalog(&mut self, slot: usize, catalog: &Catalog) {
        self.tables.retain(|(other, _), _| *other != slot);
        for (index, table) in catalog.tables.iter().enumerate() {
            let width = if table.row_labels.is_empty() { table.width } else { 0 };
            let (table, values) = (table.clone(), vec![ABSENT; width]);
            let state = TableState { table, rows: TableRows::default(), values };
            self.tables.insert((slot, index), state);
        }
        let names = catalog.families.iter().map(|family| family.name.clone());
        self.family_names.insert(slot, names.collect());
    }

    fn change_rows(&mut self, rows: &Rows<'_>) {
        for change in &rows.changes {
            let place = (usize::from(change.slot), change.table as usize);
            let state = self.tables.get_mut(&place).expect("a table");
            let labels = state.table.row_labels.len();
            let (rows, edits) = state.rows.edit(labels, change).expect("legal rows");
            let width = state.table.width;
            let moved = edits.iter().flat_map(|edit| match edit {
                RowEdit::Keep(kept) => state.values[kept.start * width..kept.end * width].to_vec(),
                RowEdit::Add(added) => vec![ABSENT; added * width],
            });
            state.values = moved.collect();
            state.rows = rows;
        }
    }

    fn report(&mut self, values: &Values<'_>) {
        let mut cells: Vec<f64> =
            self.tables.values().flat_map(|state| state.values.clone()).collect();
        let shape = self
            .tables
            .values()
            .map(|state| (state.values.len() / state.table.width, &*state.table.decimals));
        values.decode(&mut cells, shape).expect("legal values");
        let mut rest = &cells[..];
        for state in self.tables.values_mut() {
            let (own, after) = rest.split_at(state.values.len());
            state.values = own.to_vec();
            rest = after;
        }
    }

    /// Returns the series that have values, without the suffixes of their kinds.
    fn shown(&self) -> Value {
        let mut shown = serde_json::Map::new();
        for ((slot, _), TableState { table, rows, values }) in &self.tables {
            let labels = rows.iter(table.row_labels.len()).map(|row| {
                let pairs = table.row_labels.iter().zip(row);
                pairs.map(|(name, value)| format!("{name}={value:?}")).collect::<Vec<_>>()
            });
            let labels: Vec<_> =
                if table.row_labels.is_empty() { vec![vec![]] } else { labels.collect() };
            for (row, values) in labels.iter().zip(values.chunks(table.width)) {
                for column in &table.columns {
                    let own = column.labels.iter().map(|(name, value)| format!("{name}={value:?}"));
                    let all: Vec<_> = row.iter().cloned().chain(own).collect();
                    let values = &values[column.offset..column.offset + column.width];
                    if !values.iter().any(|value| is_absent(*value)) {
                        let name = &self.family_names[slot][column.family];
                        shown.insert(format!("{name}{{{}}}", all.join(",")), floats(values).into());
                    }
                }
            }
        }
        Value::Object(shown)
    }
}
