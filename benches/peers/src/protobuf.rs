//! Protobuf messages of Prometheus: metric families for a push, samples for remote write.

use anyhow::Context;
use bytes::Bytes;
use hyper::Request;
use prost::Message;

use crate::reading::{self, Reading};

/// Name of the label whose value is the host name.
const AGENT: &str = "agent";
/// Values of `MetricType`.
const COUNTER: i32 = 0;
const GAUGE: i32 = 1;
const UNTYPED: i32 = 3;

/// `io.prometheus.client.MetricFamily`, reduced to what families of single values need.
#[derive(Clone, PartialEq, Message)]
struct MetricFamily {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int32, tag = "3")]
    kind: i32,
    #[prost(message, repeated, tag = "4")]
    metrics: Vec<Metric>,
}

#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<Value>,
    #[prost(message, optional, tag = "3")]
    counter: Option<Value>,
    #[prost(message, optional, tag = "5")]
    untyped: Option<Value>,
}

/// The value of a gauge, a counter or an untyped metric.
#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(double, optional, tag = "1")]
    value: Option<f64>,
}

/// `prometheus.WriteRequest`.
#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    series: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

/// A label in both protocols.
#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    unix_ms: i64,
}

/// Encodes the reading as length-delimited metric families, without a label for the host.
#[must_use]
pub fn families(reading: Reading) -> Vec<u8> {
    let families = reading.families();
    families
        .iter()
        .flat_map(|(name, own)| family(name, own).encode_length_delimited_to_vec())
        .collect()
}

fn family(name: &str, family: &reading::Family) -> MetricFamily {
    let kind = match family.metric_type.as_str() {
        "counter" => COUNTER,
        "gauge" => GAUGE,
        _ => UNTYPED,
    };
    let metrics = family.samples.iter().map(|(labels, value)| {
        let of_kind = |own| (kind == own).then_some(Value { value: Some(*value) });
        Metric {
            labels: labels.iter().map(|(name, value)| label(name, value)).collect(),
            gauge: of_kind(GAUGE),
            counter: of_kind(COUNTER),
            untyped: of_kind(UNTYPED),
        }
    });
    MetricFamily { name: name.to_owned(), kind, metrics: metrics.collect() }
}

fn label(name: &str, value: &str) -> Label {
    Label { name: name.to_owned(), value: value.to_owned() }
}

/// Encodes the readings as a request of remote write 1.0.
///
/// # Errors
/// If compression fails, which it does not for readings.
pub fn remote_write(readings: &[Reading]) -> anyhow::Result<Request<Bytes>> {
    let unix_ms = i64::try_from(reading::unix_ms())?;
    let mut series = Vec::new();
    for reading in readings {
        let agent = reading::id(reading.host);
        reading.samples(|name, own, value| {
            let mut labels = vec![label("__name__", name), label(AGENT, &agent)];
            labels.extend(own.iter().map(|own| label(own.name, own.value)));
            labels.sort_by(|a, b| a.name.cmp(&b.name));
            series.push(TimeSeries { labels, samples: vec![Sample { value, unix_ms }] });
        });
    }
    let message = WriteRequest { series }.encode_to_vec();
    let body = snap::raw::Encoder::new().compress_vec(&message).context("compressing samples")?;
    let request = Request::post("/api/v1/write")
        .header("Content-Type", "application/x-protobuf")
        .header("Content-Encoding", "snappy")
        .header("X-Prometheus-Remote-Write-Version", "0.1.0");
    Ok(request.body(body.into())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet_kind::FleetKind;

    #[test]
    fn gauge_family_encodes_as_its_proto_definition() {
        let samples = vec![(vec![("l".to_owned(), "v".to_owned())], 1.0)];
        let own = reading::Family { metric_type: "gauge".to_owned(), samples };
        let metric = [
            &[0x22, 19, 0x0a, 6, 0x0a, 1, b'l', 0x12, 1, b'v'][..],
            &[0x12, 9, 0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f],
        ];
        let expected = [&[0x0a, 1, b'g', 0x18, 1], &metric.concat()[..]].concat();
        assert_eq!(family("g", &own).encode_to_vec(), expected);
    }

    #[test]
    fn remote_write_has_all_series_of_all_hosts_with_sorted_labels() {
        for kind in [FleetKind::Basic, FleetKind::Wide] {
            let readings = [0, 1].map(|host| Reading { kind, host, sequence: 1 });
            let request = remote_write(&readings).unwrap();
            let message = snap::raw::Decoder::new().decompress_vec(request.body()).unwrap();
            let message = WriteRequest::decode(message.as_slice()).unwrap();
            assert_eq!(message.series.len(), 2 * kind.series());
            let sorted = |series: &TimeSeries| series.labels.is_sorted_by_key(|l| &l.name);
            assert!(message.series.iter().all(sorted));
        }
    }
}
