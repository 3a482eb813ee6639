//! Valid and invalid frames as an agent sends them.

use fleetgauge_proto::message::{Bye, Family, Hello, Label, Ping, Report, Schema, Series};
use fleetgauge_proto::report::{self, Values};
use fleetgauge_proto::{Fingerprint, Message, VERSION, schema};

pub(crate) const GAUGE: u8 = 1;
pub(crate) const COUNTER: u8 = 2;
pub(crate) const HISTOGRAM: u8 = 3;
pub(crate) const SUMMARY: u8 = 4;
pub(crate) const INFO: u8 = 5;
pub(crate) const UNKNOWN: u8 = 6;
/// A metric family kind that this protocol version does not define.
pub(crate) const LATER: u8 = 200;

/// The frame and the fingerprint of a schema.
#[derive(Debug, Clone)]
pub(crate) struct SchemaFrame {
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

/// A series with one value and no labels.
pub(crate) fn single(family: u32) -> Series<'static> {
    Series { family, width: 1, parameters: Vec::new(), labels: Vec::new() }
}

pub(crate) fn labelled<'a>(family: u32, labels: &[(&'a str, &'a str)]) -> Series<'a> {
    Series { labels: labels.iter().map(label).collect(), ..single(family) }
}

/// Returns a series of a histogram or summary with these bounds or quantiles, without labels.
pub(crate) fn wide(family: u32, parameters: &[f64]) -> Series<'static> {
    let width = parameters.len() as u32 + 2;
    Series { family, width, parameters: parameters.to_vec(), labels: Vec::new() }
}

pub(crate) fn label<'a>((name, value): &(&'a str, &'a str)) -> Label<'a> {
    Label { name, value }
}

pub(crate) fn schema_of(families: &[Family<'_>], series: &[Series<'_>]) -> SchemaFrame {
    let message = Schema { stream: 0, families: families.to_vec(), series: series.to_vec() };
    let (bytes, fingerprint) = schema::encode(&message).unwrap();
    SchemaFrame { bytes, fingerprint }
}

/// A schema of gauges with these names, one series each.
pub(crate) fn gauges(names: &[&str]) -> SchemaFrame {
    let families: Vec<_> = names.iter().map(|name| family(name, GAUGE)).collect();
    let series: Vec<_> = (0..names.len() as u32).map(single).collect();
    schema_of(&families, &series)
}

pub(crate) fn hello<'a>(id: &'a str, host: u8, schema: Fingerprint) -> Hello<'a> {
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
        schema,
        credential: None,
        extensions: Vec::new(),
    }
}

pub(crate) fn report(sequence: u64, values: &[f64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    report::write_all(values, &mut bytes);
    report_of(sequence, Values::All(&bytes))
}

pub(crate) fn changed(sequence: u64, bitmap: &[u8], values: &[f64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    report::write_all(values, &mut bytes);
    report_of(sequence, Values::Changed { bitmap, values: &bytes })
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
