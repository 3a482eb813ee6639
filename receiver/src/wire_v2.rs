//! Protobuf messages of remote write 2.0, for senders in tests.

use prost::Message;

use crate::wire::Sample;

/// `io.prometheus.write.v2.Request`.
#[derive(Clone, PartialEq, Message)]
pub struct Request {
    /// Strings that series refer to by their index. The first one is empty.
    #[prost(string, repeated, tag = "4")]
    pub symbols: Vec<String>,
    /// Series with their samples.
    #[prost(message, repeated, tag = "5")]
    pub timeseries: Vec<TimeSeries>,
}

/// `io.prometheus.write.v2.TimeSeries`.
#[derive(Clone, PartialEq, Message)]
pub struct TimeSeries {
    /// Indexes of label names and values in turn.
    #[prost(uint32, repeated, tag = "1")]
    pub labels_refs: Vec<u32>,
    /// Samples, which must be sorted by time.
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<Sample>,
    /// Metadata of the metric.
    #[prost(message, optional, tag = "5")]
    pub metadata: Option<Metadata>,
}

/// `io.prometheus.write.v2.Metadata`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Metadata {
    /// Number of the metric type: 1 is a counter, 2 a gauge.
    #[prost(int32, tag = "1")]
    pub kind: i32,
    /// Index of the help text.
    #[prost(uint32, tag = "3")]
    pub help_ref: u32,
    /// Index of the unit.
    #[prost(uint32, tag = "4")]
    pub unit_ref: u32,
}

impl Request {
    /// A request with series of remote write 1.0, each symbol once, without metadata.
    #[must_use]
    pub fn of(timeseries: &[crate::wire::TimeSeries]) -> Self {
        let mut symbols = vec![String::new()];
        let mut index = |text: &str| {
            let found = symbols.iter().position(|own| own == text);
            let index = found.unwrap_or_else(|| {
                symbols.push(text.to_owned());
                symbols.len() - 1
            });
            u32::try_from(index).unwrap_or(u32::MAX)
        };
        let timeseries = timeseries.iter().map(|series| TimeSeries {
            labels_refs: series
                .labels
                .iter()
                .flat_map(|label| [index(&label.name), index(&label.value)])
                .collect(),
            samples: series.samples.clone(),
            metadata: None,
        });
        let timeseries = timeseries.collect();
        Self { symbols, timeseries }
    }
}
