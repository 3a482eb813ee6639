//! Converts messages to JSON, with the field names of `docs/protocol.md`.
//!
//! Byte strings are hexadecimal; floats that JSON cannot express are named.

use fleetgauge_proto::message::{
    Catalog, Column, Extension, Hello, Label, Reject, Report, Rows, Welcome,
};
use fleetgauge_proto::report::{ABSENT, Values, is_absent};
use fleetgauge_proto::{Fingerprint, Message, Streams};
use serde_json::{Value, json};

/// Returns `{"kind": …, "fields": {…}}`, with a `fingerprint` for a Catalog. The fields of a
/// skippable frame are its kind and its payload.
pub(crate) fn to_json(message: &Message<'_>, payload: &[u8]) -> Value {
    let (kind, fields) = match message {
        Message::Hello(m) => ("Hello", hello(m)),
        Message::Welcome(m) => ("Welcome", welcome(m)),
        Message::Catalog(m) => ("Catalog", catalog(m)),
        Message::Rows(m) => ("Rows", rows(m)),
        Message::Report(m) => {
            let Report { stream, sequence, unix_ms, .. } = m;
            let values = values(&m.values);
            let fields = json!({
                "stream": stream, "sequence": sequence, "unix_ms": unix_ms, "values": values,
            });
            ("Report", fields)
        }
        Message::Ping(m) => ("Ping", json!({"token": m.token})),
        Message::Pong(m) => ("Pong", json!({"token": m.token})),
        Message::Drain(m) => ("Drain", json!({"delay_ms": m.delay_ms, "target": m.target})),
        Message::Reject(m) => {
            let Reject { stream, code, text, retry_after_ms } = m;
            let fields = json!({
                "stream": stream, "code": code, "text": text, "retry_after_ms": retry_after_ms,
            });
            ("Reject", fields)
        }
        Message::Bye(m) => ("Bye", json!({"stream": m.stream, "reason": m.reason})),
        Message::Acknowledge(m) => (
            "Acknowledge",
            json!({"stream": m.stream, "sequence": m.sequence, "unix_ms": m.unix_ms}),
        ),
        Message::Resend(m) => {
            let fields = json!({"stream": m.stream, "first": m.first, "reports": m.reports});
            ("Resend", fields)
        }
        Message::Skipped(kind) => ("skippable", json!({"kind": kind, "payload": hex(payload)})),
    };
    let mut value = json!({"kind": kind, "fields": fields});
    if let Message::Catalog(_) = message {
        let fingerprint = Fingerprint::of_payload_with(payload, Streams::LiveAndReplay)
            .expect("the payload of a Catalog");
        value["fingerprint"] = json!(hex(&fingerprint.0));
    }
    value
}

fn hello(m: &Hello<'_>) -> Value {
    json!({
        "min_version": m.min_version,
        "max_version": m.max_version,
        "capabilities": m.capabilities,
        "agent_id": m.agent_id,
        "host_nonce": hex(&m.host_nonce),
        "process_nonce": hex(&m.process_nonce),
        "labels": labels(&m.labels),
        "interval_ms": m.interval_ms,
        "agent_version": m.agent_version,
        "catalogs": m.catalogs.iter().map(|one| hex(&one.0)).collect::<Vec<_>>(),
        "credential": m.credential.map(|secret| hex(secret.0)),
        "extensions": extensions(&m.extensions),
    })
}

fn welcome(m: &Welcome<'_>) -> Value {
    json!({
        "version": m.version,
        "capabilities": m.capabilities,
        "session_id": m.session_id,
        "interval_ms": m.interval_ms,
        "unix_ms": m.unix_ms,
        "limits": {
            "max_payload_bytes": m.limits.max_payload_bytes,
            "max_families": m.limits.max_families,
            "max_series": m.limits.max_series,
            "max_values": m.limits.max_values,
            "max_label_bytes": m.limits.max_label_bytes,
        },
        "catalogs_known": m.catalogs_known,
        "extensions": extensions(&m.extensions),
    })
}

fn catalog(m: &Catalog<'_>) -> Value {
    let families = m
        .families
        .iter()
        .map(|f| json!({"name": f.name, "kind": f.kind, "unit": f.unit, "help": f.help}));
    let tables = m.tables.iter().map(|table| {
        let columns: Vec<_> = table.columns.iter().map(column).collect();
        json!({"row_labels": table.row_labels, "columns": columns})
    });
    let (families, tables): (Vec<_>, Vec<_>) = (families.collect(), tables.collect());
    json!({"stream": m.stream, "slot": m.slot, "families": families, "tables": tables})
}

fn column(column: &Column<'_>) -> Value {
    json!({
        "family": column.family,
        "width": column.width,
        "decimals": column.decimals,
        "parameters": floats(&column.parameters),
        "labels": labels(&column.labels),
    })
}

fn rows(m: &Rows<'_>) -> Value {
    let change = m.changes.iter().map(|change| {
        json!({
            "slot": change.slot,
            "table": change.table,
            "removed": change.removed,
            "added": change.added,
        })
    });
    json!({"stream": m.stream, "changes": change.collect::<Vec<_>>()})
}

fn labels(labels: &[Label<'_>]) -> Vec<Value> {
    labels.iter().map(|label| json!({"name": label.name, "value": label.value})).collect()
}

fn extensions(extensions: &[Extension<'_>]) -> Vec<Value> {
    extensions.iter().map(|one| json!({"id": one.id, "data": hex(one.data)})).collect()
}

fn values(values: &Values<'_>) -> Value {
    match values {
        Values::All(values) => json!({"all": hex(values)}),
        Values::Changed { bitmap, values } => {
            json!({"changed": {"bitmap": hex(bitmap), "values": hex(values)}})
        }
    }
}

/// Returns floats as numbers, or as names if JSON has none for them.
pub(crate) fn floats(values: &[f64]) -> Vec<Value> {
    values.iter().copied().map(float).collect()
}

/// Returns the float of a number or name.
pub(crate) fn to_float(value: &Value) -> f64 {
    match value.as_str() {
        None => value.as_f64().expect("a number"),
        Some("absent") => ABSENT,
        Some("+Inf") => f64::INFINITY,
        Some("-Inf") => f64::NEG_INFINITY,
        Some(name) => {
            let bits = name.strip_prefix("NaN ").expect("a name of a float");
            f64::from_bits(u64::from_str_radix(bits, 16).expect("the bits of a NaN"))
        }
    }
}

fn float(value: f64) -> Value {
    match value {
        _ if is_absent(value) => json!("absent"),
        _ if value.is_nan() => json!(format!("NaN {:016x}", value.to_bits())),
        f64::INFINITY => json!("+Inf"),
        f64::NEG_INFINITY => json!("-Inf"),
        _ => json!(value),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Parses hexadecimal digits; white space is ignored.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).expect("a hexadecimal digit"))
        .collect();
    assert!(digits.len().is_multiple_of(2), "half a byte");
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).expect("a byte")).collect()
}
