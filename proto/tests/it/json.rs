//! Converts messages to JSON, with the field names of `docs/protocol.md`.
//!
//! Byte strings are hexadecimal; floats that JSON cannot express are named.

use fleetgauge_proto::message::{Extension, Hello, Label, Reject, Report, Schema, Welcome};
use fleetgauge_proto::report::{Values, is_absent};
use fleetgauge_proto::{Fingerprint, Message};
use serde_json::{Value, json};

/// Returns `{"kind": …, "fields": {…}}`, with a `fingerprint` for a Schema. The fields of a
/// skippable frame are its kind and its payload.
pub(crate) fn to_json(message: &Message<'_>, payload: &[u8]) -> Value {
    let (kind, fields) = match message {
        Message::Hello(m) => ("Hello", hello(m)),
        Message::Welcome(m) => ("Welcome", welcome(m)),
        Message::Schema(m) => ("Schema", schema(m)),
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
        Message::Skipped(kind) => ("skippable", json!({"kind": kind, "payload": hex(payload)})),
    };
    let mut value = json!({"kind": kind, "fields": fields});
    if let Message::Schema(_) = message {
        let fingerprint = Fingerprint::of_payload(payload).expect("the payload of a Schema");
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
        "schema": hex(&m.schema.0),
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
        "limits": {
            "max_payload_bytes": m.limits.max_payload_bytes,
            "max_families": m.limits.max_families,
            "max_series": m.limits.max_series,
            "max_values": m.limits.max_values,
            "max_label_bytes": m.limits.max_label_bytes,
        },
        "schema_known": m.schema_known,
        "extensions": extensions(&m.extensions),
    })
}

fn schema(m: &Schema<'_>) -> Value {
    let families = m
        .families
        .iter()
        .map(|f| json!({"name": f.name, "kind": f.kind, "unit": f.unit, "help": f.help}));
    let series = m.series.iter().map(|s| {
        json!({
            "family": s.family,
            "width": s.width,
            "parameters": s.parameters.iter().copied().map(float).collect::<Vec<_>>(),
            "labels": labels(&s.labels),
        })
    });
    let (families, series): (Vec<_>, Vec<_>) = (families.collect(), series.collect());
    json!({"stream": m.stream, "families": families, "series": series})
}

fn labels(labels: &[Label<'_>]) -> Vec<Value> {
    labels.iter().map(|label| json!({"name": label.name, "value": label.value})).collect()
}

fn extensions(extensions: &[Extension<'_>]) -> Vec<Value> {
    extensions.iter().map(|one| json!({"id": one.id, "data": hex(one.data)})).collect()
}

fn values(values: &Values<'_>) -> Value {
    let floats = |bytes: &[u8]| -> Vec<Value> {
        let whole = bytes.chunks_exact(8).map(|one| one.try_into().expect("eight bytes"));
        whole.map(|one| float(f64::from_le_bytes(one))).collect()
    };
    match values {
        Values::All(values) => json!({"all": floats(values)}),
        Values::Changed { bitmap, values } => {
            json!({"changed": {"bitmap": hex(bitmap), "values": floats(values)}})
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
