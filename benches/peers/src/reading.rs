//! The report of a host, in the forms in which servers take it.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use fleetgauge_agent::metrics::MetricSet;
use fleetgauge_benches::Page;
use fleetgauge_proto::message::Label;

use crate::fleet_kind::FleetKind;

/// Gauges of a basic host.
pub const GAUGES: usize = 6;

const TOTAL_BYTES: f64 = 68_719_476_736.0;
const PAGE_BYTES: f64 = 4096.0;
/// Difference in used memory between one host and the next, in memory pages.
const PAGES_PER_HOST: usize = 16;

/// One report of one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// What the host reports.
    pub kind: FleetKind,
    /// Number of the host, from 0.
    pub host: usize,
    /// Number of the report, from 1.
    pub sequence: u64,
}

/// A metric family of a reading: its samples with their labels, without one for the host.
#[derive(Debug, Default)]
pub struct Family {
    /// Metric type, as in the Prometheus text format.
    pub metric_type: String,
    /// Label names and values, and the value, of each sample.
    pub samples: Vec<(Vec<(String, String)>, f64)>,
}

impl Reading {
    /// Returns the value of the sequence gauge, in bytes: differs for every host and report.
    #[must_use]
    pub fn sequence_value(self) -> f64 {
        (self.host * PAGES_PER_HOST) as f64 * PAGE_BYTES + self.sequence as f64 * PAGE_BYTES
    }

    /// Returns the gauges of a basic host, in the order of [`MetricSet::Basic`]. Ratios have as
    /// many digits as measured ones.
    #[must_use]
    pub fn gauges(self) -> [f64; GAUGES] {
        let used = self.sequence_value();
        let busy = (self.host * 7 + self.sequence as usize * 13) % 997;
        let cpu = busy as f64 / 997.0;
        let filesystem = (self.host % 991) as f64 / 991.0;
        [cpu, used / TOTAL_BYTES, filesystem, TOTAL_BYTES, TOTAL_BYTES - used, used]
    }

    /// Returns the values in the order of the catalog.
    #[must_use]
    pub fn values(self) -> Vec<f64> {
        match self.kind {
            FleetKind::Basic => self.gauges().into(),
            FleetKind::Wide => self.page().values,
        }
    }

    /// Returns rows and values of a wide host.
    fn page(self) -> Page {
        let hosts = FleetKind::wide();
        let mut page = hosts.page(self.host, self.sequence as usize);
        let position = hosts.trace().position_of(self.kind.sequence_gauge(), &page);
        if let Some(position) = position {
            page.values[position] = self.sequence_value();
        }
        page
    }

    /// Calls `visit` with the name, labels and value of each sample, without a label for the host.
    pub fn samples(self, mut visit: impl FnMut(&str, &[Label<'_>], f64)) {
        match self.kind {
            FleetKind::Basic => {
                let names = MetricSet::Basic.metrics().iter().map(|metric| metric.name);
                names.zip(self.gauges()).for_each(|(name, value)| visit(name, &[], value));
            }
            FleetKind::Wide => {
                let samples = FleetKind::wide().trace();
                let page = self.page();
                samples.samples(&page).for_each(|(name, own, value)| visit(name, &own, value));
            }
        }
    }

    /// Returns the samples by the name of their family.
    #[must_use]
    pub fn families(self) -> BTreeMap<String, Family> {
        let mut families = BTreeMap::<String, Family>::new();
        self.samples(|name, labels, value| {
            let owned = |label: &Label<'_>| (label.name.to_owned(), label.value.to_owned());
            let labels = labels.iter().map(owned).collect();
            let family = families.entry(name.to_owned()).or_default();
            family.samples.push((labels, value));
        });
        for (name, family) in &mut families {
            family.metric_type = match self.kind {
                FleetKind::Basic => "gauge",
                FleetKind::Wide => FleetKind::wide().trace().metric_type(name),
            }
            .to_owned();
        }
        families
    }

    /// Returns the reading in the Prometheus text format, without a label for the host.
    #[must_use]
    pub fn text(self) -> String {
        let mut text = String::new();
        match self.kind {
            FleetKind::Basic => self.samples(|name, _, value| {
                text.push_str(&format!("# TYPE {name} gauge\n{name} {value}\n"));
            }),
            FleetKind::Wide => text = FleetKind::wide().trace().text(&self.page()),
        }
        text
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
    fn sequence_gauge_identifies_the_report() {
        for kind in [FleetKind::Basic, FleetKind::Wide] {
            let reading = Reading { kind, host: 3, sequence: 5 };
            let mut found = Vec::new();
            let mut series = 0;
            reading.samples(|name, _, value| {
                series += 1;
                if name == kind.sequence_gauge() {
                    found.push(value);
                }
            });
            assert_eq!(found, [reading.sequence_value()], "{kind}");
            assert_eq!(series, kind.series(), "{kind}");
            assert_eq!(sum(&reading.text(), kind.sequence_gauge()), (1, found[0]), "{kind}");
        }
    }

    #[test]
    fn families_have_all_samples_of_the_text() {
        let reading = Reading { kind: FleetKind::Wide, host: 3, sequence: 5 };
        let families = reading.families();
        let text = reading.text();
        let samples = families.values().map(|family| family.samples.len()).sum::<usize>();
        assert_eq!(samples, text.lines().filter(|line| !line.starts_with('#')).count());
        for (name, family) in &families {
            assert!(text.contains(&format!("# TYPE {name} {}\n", family.metric_type)), "{name}");
        }
    }

    #[test]
    fn sum_accepts_labels_and_timestamps() {
        let page = "# TYPE used gauge\nused{a=\"x}\"} 1e3 1700000000000\nused{a=\"y\"} 2\n\
            used_not 7\nused 3\n";
        assert_eq!(sum(page, "used"), (3, 1005.0));
    }
}
