//! Remote write 1.0: protobuf, compressed with snappy. Each request has all samples.

use fleetgauge_benches::{Page, Trace};
use prost::{DecodeError, Message};
use snap::raw::{Decoder, Encoder};

/// `prometheus.WriteRequest`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct WriteRequest {
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

impl WriteRequest {
    /// Creates the request with the samples of a page, with the labels that a scrape adds.
    pub(crate) fn of(trace: &Trace, page: &Page, unix_ms: i64) -> Self {
        let label =
            |name: &str, value: &str| Label { name: name.to_owned(), value: value.to_owned() };
        let series = trace.samples(page).map(|(name, own, value)| {
            let scrape = [("__name__", name), ("instance", "web-000001.example"), ("job", "node")];
            let mut labels: Vec<_> = own.iter().map(|own| label(own.name, own.value)).collect();
            labels.extend(scrape.map(|(name, value)| label(name, value)));
            labels.sort_by(|a, b| a.name.cmp(&b.name));
            TimeSeries { labels, samples: vec![Sample { value, unix_ms }] }
        });
        Self { series: series.collect() }
    }

    /// Encodes and compresses the request.
    pub(crate) fn to_compressed(&self) -> Result<Vec<u8>, snap::Error> {
        Encoder::new().compress_vec(&self.encode_to_vec())
    }

    /// Decodes a compressed request.
    pub(crate) fn from_compressed(bytes: &[u8]) -> Result<Self, DecodeError> {
        let message = Decoder::new().decompress_vec(bytes).unwrap_or_default();
        Self::decode(message.as_slice())
    }
}
