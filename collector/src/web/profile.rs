//! One agent: who it is, and its series.

use std::collections::BTreeMap;

use fleetgauge_proto::AgentId;
use serde::Serialize;

use super::HEADLINES;
use super::devices::Devices;
use super::headline::{HeadlinePlan, HeadlineValues};
use crate::clock::Millis;
use crate::exposition::{Disconnected, Format, Sink, render, sample_labels, static_labels};
use crate::state::CollectorState;

/// Maximum number of series that the page of an agent shows; its metrics page has all.
pub(crate) const MAX_SERIES: usize = 500;

/// A connected agent, as in `/api/agents/{id}`.
#[derive(Debug, Serialize)]
pub(crate) struct Profile {
    pub(crate) id: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) address: String,
    pub(crate) version: Option<Box<str>>,
    /// Time of the agent's Hello, in unix seconds.
    pub(crate) since: u64,
    /// Time of its newest report, in unix seconds.
    pub(crate) last_report: u64,
    pub(crate) interval_ms: u32,
    /// Number of its series, absent ones included.
    pub(crate) series: usize,
    #[serde(flatten)]
    pub(crate) values: BTreeMap<&'static str, Option<f64>>,
    #[serde(skip)]
    pub(super) headlines: HeadlineValues,
    /// Time of its newest report on the collector's clock.
    #[serde(skip)]
    pub(super) reported: Millis,
}

impl Profile {
    /// Returns the agent with this id; `None` if it is not connected.
    pub(crate) fn of(id: &AgentId, collector: &CollectorState) -> Option<Self> {
        let agent = collector.registry.find(id)?;
        let plan = HeadlinePlan::of(&collector.registry);
        let (labels, series, values) = agent.read(|labels, layout, values| {
            let labels = static_labels(labels);
            let labels = labels.map(|(name, value)| (name.to_owned(), value.into_owned()));
            (labels.collect(), layout.series(), plan.values(layout, values))
        })?;
        let handle = agent.handle();
        let hello = handle.hello();
        let now = collector.clock.moment();
        let reported = handle.reported();
        let age = now.awake.saturating_sub(reported) / 1_000;
        Some(Self {
            id: id.as_str().to_owned(),
            labels,
            address: handle.address().to_string(),
            version: collector.versions.text(hello.version),
            since: hello.since.into(),
            last_report: now.unix.saturating_sub(age),
            interval_ms: hello.interval_ms,
            series,
            values: named(values),
            headlines: values,
            reported,
        })
    }
}

fn named(values: HeadlineValues) -> BTreeMap<&'static str, Option<f64>> {
    let values = HEADLINES.iter().zip(values);
    values.map(|(own, value)| (own.key, Some(value).filter(|v| v.is_finite()))).collect()
}

/// The series of an agent on its page.
#[derive(Debug, Default)]
pub(crate) struct AgentSeries {
    /// Metric families, in the order of the metrics page.
    pub(crate) families: Vec<SeriesFamily>,
    /// Number of series with values that the filter finds.
    pub(crate) found: usize,
    /// Its filesystems and interfaces, whatever the filter.
    pub(crate) devices: Devices,
}

/// Series of a metric family.
#[derive(Debug, Default)]
pub(crate) struct SeriesFamily {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) samples: Vec<Sample>,
}

/// A series and its value.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) name: String,
    /// Its labels without those of the agent.
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: String,
}

impl AgentSeries {
    /// Returns the series whose name, labels or value contain a text; `None` if the agent is not
    /// connected.
    pub(crate) fn of(id: &AgentId, filter: &str, collector: &CollectorState) -> Option<Self> {
        let snapshot = collector.registry.snapshot_of(id.as_str())?;
        let own = collector.registry.find(id)?.labels()?;
        let mut page = Page::default();
        render(&snapshot, Format::Text, &mut page).ok()?;
        let text = String::from_utf8_lossy(&page.0);
        Some(Self::parse(&text, &own, &filter.to_lowercase()))
    }

    /// Reads a metrics page of one agent. `own` are the labels that all its series have.
    fn parse(page: &str, own: &str, filter: &str) -> Self {
        let own: Vec<_> = sample_labels(own).map(|(name, _)| name).collect();
        let mut found = Self { devices: Devices::parse(page), ..Self::default() };
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
                found.start(name, help);
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                found.start(rest.split(' ').next().unwrap_or(rest), "");
            } else if line.to_lowercase().contains(filter) {
                found.sample(line, &own);
            }
        }
        found.families.retain(|family| !family.samples.is_empty());
        found
    }

    /// Begins a family, unless it has begun.
    fn start(&mut self, name: &str, help: &str) {
        if self.families.last().is_none_or(|family| family.name != name) {
            let (name, help) = (name.to_owned(), help.to_owned());
            self.families.push(SeriesFamily { name, help, samples: Vec::new() });
        }
    }

    fn sample(&mut self, line: &str, own: &[&str]) {
        let Some((series, value)) = line.rsplit_once(' ') else { return };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        self.found += 1;
        if self.found > MAX_SERIES {
            return;
        }
        let labels = sample_labels(labels.strip_suffix('}').unwrap_or(labels));
        let labels = labels.filter(|(name, _)| !own.contains(name));
        let labels = labels.map(|(name, value)| (name.to_owned(), value.into_owned())).collect();
        let sample = Sample { name: name.to_owned(), labels, value: value.to_owned() };
        if let Some(family) = self.families.last_mut() {
            family.samples.push(sample);
        }
    }
}

/// A metrics page in memory.
#[derive(Default)]
struct Page(Vec<u8>);

impl Sink for Page {
    fn chunk(&mut self, bytes: &[u8]) -> Result<(), Disconnected> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# HELP host_cpu_usage_ratio Usage.\n# TYPE host_cpu_usage_ratio gauge\n\
        host_cpu_usage_ratio{agent=\"a\",role=\"db\"} 0.5\n\
        # TYPE node_disk_reads_total counter\n\
        node_disk_reads_total{agent=\"a\",role=\"db\",device=\"sd a}\"} 7\n";

    #[test]
    fn series_have_the_labels_that_differ() {
        let found = AgentSeries::parse(PAGE, "agent=\"a\",role=\"db\"", "");
        assert_eq!((found.found, found.families.len()), (2, 2));
        assert_eq!(found.families[0].help, "Usage.");
        let disk = &found.families[1].samples[0];
        assert_eq!((&*disk.name, &*disk.value), ("node_disk_reads_total", "7"));
        assert_eq!(disk.labels, [("device".to_owned(), "sd a}".to_owned())]);
    }

    #[test]
    fn filter_finds_names_and_labels() {
        for (filter, families) in [("disk", 1), ("sd a", 1), ("ratio", 1), ("nothing", 0)] {
            let found = AgentSeries::parse(PAGE, "agent=\"a\"", filter);
            assert_eq!(found.families.len(), families, "{filter}");
        }
    }

    #[test]
    fn page_of_an_agent_with_many_series_is_limited() {
        let mut page = "# TYPE x gauge\n".to_owned();
        for n in 0..10 * MAX_SERIES {
            page.push_str(&format!("x{{agent=\"a\",n=\"{n}\"}} 1\n"));
        }
        let found = AgentSeries::parse(&page, "agent=\"a\"", "");
        assert_eq!(found.found, 10 * MAX_SERIES);
        assert_eq!(found.families[0].samples.len(), MAX_SERIES);
    }
}
