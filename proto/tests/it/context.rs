//! State of a receiver without a session, and its JSON form in the vectors.

use fleetgauge_proto::message::RowChange;
use fleetgauge_proto::rows::TableRows;
use fleetgauge_proto::{Accept, Limits, Streams, VERSION, Violation};
use serde_json::{Value, json};

use crate::json::{floats, to_float};

/// State of the receiver.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) max_payload_bytes: u32,
    pub(crate) limits: Limits,
    /// The streams that the capabilities of Welcome allow.
    pub(crate) streams: Streams,
    /// The values that reports change; `None`: do not decode the values of reports.
    pub(crate) cells: Option<Cells>,
    /// The rows that Rows frames change, whatever table they name; `None`: do not apply them.
    pub(crate) table: Option<Table>,
}

/// The values of an agent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cells {
    /// Number of rows, and decimal places of the values of a row, for each table.
    pub(crate) shape: Vec<(usize, Vec<u8>)>,
    pub(crate) values: Vec<f64>,
}

/// The rows of a table.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) row_labels: usize,
    pub(crate) rows: TableRows,
}

impl Default for Context {
    fn default() -> Self {
        let limits = Limits::default();
        let max_payload_bytes = limits.max_payload_bytes;
        Self { max_payload_bytes, limits, streams: Streams::Live, cells: None, table: None }
    }
}

impl Context {
    pub(crate) fn accept(&self) -> Accept {
        Accept { version: VERSION, max_payload_bytes: self.max_payload_bytes }
    }

    /// Returns a context with one table of nine zeros, in three rows.
    pub(crate) fn of_nine_values() -> Self {
        let cells = Cells { shape: vec![(3, vec![0, 2, 9])], values: vec![0.0; 9] };
        let table = Table::of(2, &[["a", "b"], ["c", "d"]].concat());
        Self { cells: Some(cells), table: Some(table), ..Self::default() }
    }

    /// Returns the context of the JSON of a vector.
    pub(crate) fn from_json(json: &Value) -> Self {
        let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
        let default = Limits::default();
        let limit = |name: &str, default: u32| number(&json["limits"][name]).unwrap_or(default);
        Self {
            max_payload_bytes: number(&json["max_payload_bytes"])
                .unwrap_or(default.max_payload_bytes),
            limits: Limits {
                max_families: limit("max_families", default.max_families),
                max_series: limit("max_series", default.max_series),
                max_values: limit("max_values", default.max_values),
                max_label_bytes: limit("max_label_bytes", default.max_label_bytes),
                ..default
            },
            streams: Streams::of(json["capabilities"].as_u64().unwrap_or_default()),
            cells: json.get("before").map(|before| Cells::from_json(&json["shape"], before)),
            table: json.get("rows").map(|rows| Table::from_json(&json["row_labels"], rows)),
        }
    }

    /// Returns the values and rows after all frames as JSON; null if the context has neither.
    pub(crate) fn after(&self) -> Value {
        match (&self.cells, &self.table) {
            (Some(cells), _) => json!({"values": floats(&cells.values)}),
            (None, Some(table)) => json!({"rows": table.to_lists()}),
            (None, None) => Value::Null,
        }
    }
}

impl Cells {
    fn from_json(shape: &Value, before: &Value) -> Self {
        let small = |value: &Value| u8::try_from(value.as_u64().expect("a number")).expect("small");
        let table = |table: &Value| {
            let rows = usize::from(small(&table["rows"]));
            let decimals = table["decimals"].as_array().expect("a list");
            (rows, decimals.iter().map(small).collect())
        };
        let shape = shape.as_array().expect("a list").iter().map(table).collect();
        let values = before.as_array().expect("a list").iter().map(to_float).collect();
        Self { shape, values }
    }

    /// Returns the shape as the library expects it.
    pub(crate) fn shape(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.shape.iter().map(|(rows, decimals)| (*rows, &**decimals))
    }

    /// Returns the decimal places of each value.
    pub(crate) fn decimals(&self) -> Vec<u8> {
        self.shape.iter().flat_map(|(rows, decimals)| decimals.repeat(*rows)).collect()
    }
}

impl Table {
    /// Returns a table with these label values.
    pub(crate) fn of(row_labels: usize, values: &[&str]) -> Self {
        let add = RowChange { slot: 0, table: 0, removed: vec![], added: values.to_vec() };
        let (rows, _) = TableRows::default().edit(row_labels, &add).expect("legal rows");
        Self { row_labels, rows }
    }

    fn from_json(row_labels: &Value, rows: &Value) -> Self {
        let rows = rows.as_array().expect("a list").iter();
        let values: Vec<_> = rows
            .flat_map(|row| row.as_array().expect("a list"))
            .map(|value| value.as_str().expect("a string"))
            .collect();
        let row_labels = row_labels.as_u64().expect("a number");
        Self::of(usize::try_from(row_labels).expect("a small number"), &values)
    }

    /// Applies a change, whatever table it names.
    pub(crate) fn edit(&mut self, change: &RowChange<'_>) -> Result<(), Violation> {
        (self.rows, _) = self.rows.edit(self.row_labels, change)?;
        Ok(())
    }

    /// Returns the label values of each row.
    pub(crate) fn to_lists(&self) -> Vec<Vec<&str>> {
        self.rows.iter(self.row_labels).map(Iterator::collect).collect()
    }
}
