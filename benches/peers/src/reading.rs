//! The report of a host: the six gauges of the basic metric set. Four change with each report.

use std::time::{SystemTime, UNIX_EPOCH};

use fleetgauge_agent::metrics::MetricSet;

/// Gauges per host.
pub const GAUGES: usize = 6;
/// Name of the gauge whose value identifies the report. Its sum over a page shows whether the page
/// has the latest report of every host.
pub const SEQUENCE_GAUGE: &str = "host_memory_used_bytes";

const TOTAL_BYTES: f64 = 68_719_476_736.0;
const PAGE_BYTES: f64 = 4096.0;
/// Difference in used memory between one host and the next, in memory pages.
const PAGES_PER_HOST: usize = 16;

/// One report of one host.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Number of the host, from 0.
    pub host: usize,
    /// Number of the report, from 1.
    pub sequence: u64,
}

impl Reading {
    /// Used memory, in bytes: differs for every host and report.
    #[must_use]
    pub fn used_bytes(self) -> f64 {
        (self.host * PAGES_PER_HOST) as f64 * PAGE_BYTES + self.sequence as f64 * PAGE_BYTES
    }

    /// Values of the gauges, in the order of [`MetricSet::Basic`]. Ratios have as many digits as
    /// measured ones.
    #[must_use]
    pub fn values(self) -> [f64; GAUGES] {
        let used = self.used_bytes();
        let busy = (self.host * 7 + self.sequence as usize * 13) % 997;
        let cpu = busy as f64 / 997.0;
        let filesystem = (self.host % 991) as f64 / 991.0;
        [cpu, used / TOTAL_BYTES, filesystem, TOTAL_BYTES, TOTAL_BYTES - used, used]
    }

    /// Names and values of the gauges.
    pub fn gauges(self) -> impl Iterator<Item = (&'static str, f64)> {
        MetricSet::Basic.metrics().iter().map(|metric| metric.name).zip(self.values())
    }
}

/// Name of a host.
#[must_use]
pub fn id(host: usize) -> String {
    format!("web-{host:06}.example")
}

/// Now, in milliseconds since 1970 UTC.
#[must_use]
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The reading in the Prometheus text format, without a label for the host.
#[must_use]
pub fn text(reading: Reading) -> String {
    let mut text = String::new();
    for (name, value) in reading.gauges() {
        text.push_str(&format!("# TYPE {name} gauge\n{name} {value}\n"));
    }
    text
}

/// Number of series of a family on a page in the Prometheus text format, and the sum of their
/// values.
#[must_use]
pub fn sum(page: &str, family: &str) -> (usize, f64) {
    let samples = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(family)?;
        let value = match rest.strip_prefix('{') {
            Some(labelled) => labelled.rsplit_once('}')?.1,
            None => rest.strip_prefix(' ')?,
        };
        // A timestamp may follow.
        value.split_ascii_whitespace().next()?.parse::<f64>().ok()
    });
    samples.fold((0, 0.0), |(series, sum), value| (series + 1, sum + value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_gauge_has_the_used_memory() {
        let reading = Reading { host: 3, sequence: 5 };
        let found: Vec<_> = reading.gauges().filter(|(name, _)| *name == SEQUENCE_GAUGE).collect();
        assert_eq!(found, [(SEQUENCE_GAUGE, reading.used_bytes())]);
    }

    #[test]
    fn sum_accepts_labels_and_timestamps() {
        let page = "# TYPE used gauge\nused{a=\"x}\"} 1e3 1700000000000\nused{a=\"y\"} 2\n\
            used_not 7\nused 3\n";
        assert_eq!(sum(page, "used"), (3, 1005.0));
    }
}
