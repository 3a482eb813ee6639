//! Protobuf messages of Prometheus: metric families for a push, samples for remote write.

use anyhow::Context;
use bytes::Bytes;
use hyper::Request;
use prost::Message;

use crate::reading::{self, Reading};

/// Name of the label whose value is the host name.
const AGENT: &str = "agent";
/// Value of `MetricType` for gauges.
const GAUGE: i32 = 1;

/// `io.prometheus.client.MetricFamily`, reduced to what gauges need.
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
    #[prost(message, optional, tag = "2")]
    gauge: Option<Gauge>,
}

#[derive(Clone, PartialEq, Message)]
struct Gauge {
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
    let family = |(name, value): (&str, f64)| MetricFamily {
        name: name.to_owned(),
        kind: GAUGE,
        metrics: vec![Metric { gauge: Some(Gauge { value: Some(value) }) }],
    };
    reading.gauges().flat_map(|gauge| family(gauge).encode_length_delimited_to_vec()).collect()
}

/// Encodes the readings as a request of remote write 1.0.
///
/// # Errors
/// If compression fails, which it does not for readings.
pub fn remote_write(readings: &[Reading]) -> anyhow::Result<Request<Bytes>> {
    let unix_ms = i64::try_from(reading::unix_ms())?;
    let label = |name: &str, value: &str| Label { name: name.to_owned(), value: value.to_owned() };
    let series = readings.iter().flat_map(|reading| {
        let agent = reading::id(reading.host);
        reading.gauges().map(move |(name, value)| TimeSeries {
            labels: vec![label("__name__", name), label(AGENT, &agent)],
            samples: vec![Sample { value, unix_ms }],
        })
    });
    let message = WriteRequest { series: series.collect() }.encode_to_vec();
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

    #[test]
    fn gauge_family_encodes_as_its_proto_definition() {
        let family = MetricFamily {
            name: "g".into(),
            kind: GAUGE,
            metrics: vec![Metric { gauge: Some(Gauge { value: Some(1.0) }) }],
        };
        let metric = [0x22, 11, 0x12, 9, 0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f];
        let expected = [&[0x0a, 1, b'g', 0x18, 1], &metric[..]].concat();
        assert_eq!(family.encode_to_vec(), expected);
    }

    #[test]
    fn remote_write_has_all_gauges_of_all_hosts_with_sorted_labels() {
        let readings = [0, 1].map(|host| Reading { host, sequence: 1 });
        let request = remote_write(&readings).unwrap();
        let message = snap::raw::Decoder::new().decompress_vec(request.body()).unwrap();
        let message = WriteRequest::decode(message.as_slice()).unwrap();
        assert_eq!(message.series.len(), 2 * reading::GAUGES);
        assert!(message.series.iter().all(|series| series.labels.is_sorted_by_key(|l| &l.name)));
    }
}
