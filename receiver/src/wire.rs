//! Protobuf messages of remote write 1.0, for senders in tests.
//!
//! The receiver itself reads requests with its own scanner, which does not allocate per label.

use prost::Message;

/// `prometheus.WriteRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct WriteRequest {
    /// Series with their samples.
    #[prost(message, repeated, tag = "1")]
    pub timeseries: Vec<TimeSeries>,
    /// Metadata of metric families.
    #[prost(message, repeated, tag = "3")]
    pub metadata: Vec<MetricMetadata>,
}

/// `prometheus.TimeSeries`.
#[derive(Clone, PartialEq, Message)]
pub struct TimeSeries {
    /// Labels, which must be sorted by name.
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    /// Samples, which must be sorted by time.
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<Sample>,
}

/// `prometheus.Label`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Message)]
pub struct Label {
    /// Name of the label.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Value of the label.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// `prometheus.Sample`.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Sample {
    /// Value of the sample. prost encodes -0.0 as 0.0.
    #[prost(double, tag = "1")]
    pub value: f64,
    /// Milliseconds since the Unix epoch.
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
}

/// `prometheus.MetricMetadata`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct MetricMetadata {
    /// Number of the metric type: 1 is a counter, 2 a gauge.
    #[prost(int32, tag = "1")]
    pub kind: i32,
    /// Name of the metric family.
    #[prost(string, tag = "2")]
    pub metric_family_name: String,
    /// Help text.
    #[prost(string, tag = "4")]
    pub help: String,
    /// Unit, empty if there is none.
    #[prost(string, tag = "5")]
    pub unit: String,
}

impl WriteRequest {
    /// A request with these series and no metadata.
    #[must_use]
    pub fn of(timeseries: Vec<TimeSeries>) -> Self {
        Self { timeseries, metadata: Vec::new() }
    }
}

impl TimeSeries {
    /// A series with labels in the order given and samples as (milliseconds, value).
    #[must_use]
    pub fn of(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> Self {
        let label = |&(name, value): &(&str, &str)| Label {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let sample = |&(timestamp, value): &(i64, f64)| Sample { value, timestamp };
        Self {
            labels: labels.iter().map(label).collect(),
            samples: samples.iter().map(sample).collect(),
        }
    }
}
