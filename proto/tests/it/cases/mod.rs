//! The code that generates the frames of `vectors/v1`.
//!
//! The tests compare its output with the committed files, so a change of the encoding fails.

mod accepted;
mod rejected_contents;
mod rejected_encoding;

use fleetgauge_proto::{Code, Fingerprint};
use serde_json::{Value, json};

pub(crate) use accepted::accepted;

use crate::owned::{Family, Hello, Label, Owned, Schema, Series};

/// A frame that every receiver accepts.
pub(crate) struct Accepted {
    pub(crate) name: &'static str,
    pub(crate) note: &'static str,
    pub(crate) frame: Vec<u8>,
}

/// Bytes that every receiver rejects.
pub(crate) struct Rejected {
    pub(crate) name: &'static str,
    pub(crate) code: Code,
    /// What is wrong with the bytes.
    pub(crate) why: &'static str,
    pub(crate) bytes: Vec<u8>,
    /// State of the receiver on which the error depends: `width`, `limits`, `agent_labels`,
    /// `max_payload_bytes`.
    pub(crate) context: Value,
}

/// Returns all test vectors that every receiver rejects.
pub(crate) fn rejected() -> Vec<Rejected> {
    let mut all = rejected_encoding::rejected();
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
        schema: Fingerprint::of_payload(&accepted::two_gauges()[8..]).expect("a schema").0,
        credential: None,
        extensions: vec![],
    }
}

fn family(name: &str, kind: u8) -> Family {
    Family { name: name.into(), kind, unit: String::new(), help: String::new() }
}

fn series(family: u32, width: u32, parameters: &[f64], labels: &[Label]) -> Series {
    Series { family, width, parameters: parameters.to_vec(), labels: labels.to_vec() }
}

fn schema(families: Vec<Family>, series: Vec<Series>) -> Vec<u8> {
    Owned::Schema(Schema { stream: 0, families, series }).frame()
}

fn le(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
