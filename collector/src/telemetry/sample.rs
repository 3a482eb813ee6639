//! Metrics that are computed at scrape time.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// The value of a metric at one moment.
#[derive(Debug, Clone, Copy)]
pub enum MetricSample {
    /// Name, help and value of a gauge.
    Gauge(&'static str, &'static str, f64),
    /// Name without `_total`, help and value of a counter.
    Counter(&'static str, &'static str, f64),
}

/// Adds the samples that a function computes to each scrape.
pub struct ScrapeCollector<F>(
    /// The function that computes the samples.
    pub F,
);

impl<F> std::fmt::Debug for ScrapeCollector<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ScrapeCollector")
    }
}

impl<F: Fn() -> Vec<MetricSample> + Send + Sync + 'static> Collector for ScrapeCollector<F> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for sample in (self.0)() {
            match sample {
                MetricSample::Gauge(name, help, value) => {
                    let gauge = ConstGauge::new(value);
                    gauge.encode(encoder.encode_descriptor(
                        name,
                        help,
                        None,
                        gauge.metric_type(),
                    )?)?;
                }
                MetricSample::Counter(name, help, value) => {
                    let counter = ConstCounter::new(value);
                    let metric =
                        encoder.encode_descriptor(name, help, None, counter.metric_type())?;
                    counter.encode(metric)?;
                }
            }
        }
        Ok(())
    }
}
