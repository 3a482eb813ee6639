//! What a host reports: the six gauges of the basic metric set, of which four change from report to report.

use std::time::{SystemTime, UNIX_EPOCH};

use fleetgauge_agent::metrics::MetricSet;

/// Gauges a host.
pub const GAUGES: usize = 6;
/// The gauge that says which report it is from: summed over a page, it tells whether all have been taken in.
pub const TELLING: &str = "host_memory_used_bytes";

const TOTAL_BYTES: f64 = 68_719_476_736.0;
const PAGE_BYTES: f64 = 4096.0;
/// Of memory in use, between one host and the next, in pages.
const PAGES_APART: usize = 16;

/// What one host reports at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Number of the host, from 0.
    pub host: usize,
    /// Number of the report, from 1.
    pub sequence: u64,
}

impl Reading {
    /// Memory in use: another amount for every host and report.
    #[must_use]
    pub fn used_bytes(self) -> f64 {
        (self.host * PAGES_APART) as f64 * PAGE_BYTES + self.sequence as f64 * PAGE_BYTES
    }

    /// The gauges, in the order of [`MetricSet::Basic`]. Ratios have as many digits as real ones.
    #[must_use]
    pub fn values(self) -> [f64; GAUGES] {
        let used = self.used_bytes();
        let busy = (self.host * 7 + self.sequence as usize * 13) % 997;
        let cpu = busy as f64 / 997.0;
        let filesystem = (self.host % 991) as f64 / 991.0;
        [cpu, used / TOTAL_BYTES, filesystem, TOTAL_BYTES, TOTAL_BYTES - used, used]
    }

    /// The gauges with their names.
    pub fn gauges(self) -> impl Iterator<Item = (&'static str, f64)> {
        MetricSet::Basic.metrics().iter().map(|metric| metric.name).zip(self.values())
    }
}

/// What the host is called.
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

/// The reading in the Prometheus text format, without a label of the host.
#[must_use]
pub fn text(reading: Reading) -> String {
    let mut text = String::new();
    for (name, value) in reading.gauges() {
        text.push_str(&format!("# TYPE {name} gauge\n{name} {value}\n"));
    }
    text
}

/// How many series of the family a page in the Prometheus text format shows, and the sum of their values.
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
    fn the_telling_gauge_is_the_one_that_is_named() {
        let reading = Reading { host: 3, sequence: 5 };
        let told: Vec<_> = reading.gauges().filter(|(name, _)| *name == TELLING).collect();
        assert_eq!(told, [(TELLING, reading.used_bytes())]);
    }

    #[test]
    fn a_page_is_summed_with_and_without_labels_and_timestamps() {
        let page = "# TYPE used gauge\nused{a=\"x}\"} 1e3 1700000000000\nused{a=\"y\"} 2\nused_not 7\nused 3\n";
        assert_eq!(sum(page, "used"), (3, 1005.0));
    }
}
