//! What an agent samples: metric sets and collectors.

use std::fmt;
use std::sync::Arc;

use fleetgauge_proto::Violation;
use fleetgauge_proto::message::Catalog;

use super::{Metric, MetricSet, sources};
use crate::catalogs::Catalogs;
use crate::config::{ScrapeSettings, TextfileSettings};
use crate::sampler::node::{COLLECTORS, Collector, NodeOptions};
use crate::sampler::{Sampler, SourceSpec, table_set};
use crate::scrape;
use crate::tables::TableSet;

/// What an agent samples: metric sets, and the collectors of the set `node`.
///
/// ```
/// use fleetgauge_agent::metrics::{MetricSet, Selection};
///
/// let selection = Selection::of(MetricSet::Basic);
/// assert_eq!(selection.catalogs().tables()[0].columns(), 6);
/// ```
#[derive(Clone)]
pub struct Selection(Arc<Inner>);

struct Inner {
    sets: Vec<MetricSet>,
    /// Names of the collectors that run, in the order of [`COLLECTORS`].
    collectors: Vec<&'static str>,
    options: NodeOptions,
    forwarded: Forwarded,
    tables: TableSet,
    sources: Vec<SourceSpec>,
}

/// Metrics of other programs on the host, which the agent forwards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Forwarded {
    /// Exporters to scrape.
    pub(crate) scrapes: Vec<ScrapeSettings>,
    /// Text files to read.
    pub(crate) textfiles: Vec<TextfileSettings>,
}

/// Why a selection is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// The name of a collector that does not exist.
    #[error("there is no collector {0:?}; the collectors are {names}", names = names())]
    UnknownCollector(String),
    /// The catalog of the selected metrics is illegal.
    #[error(transparent)]
    Catalog(#[from] Violation),
}

impl Selection {
    /// Selects the metrics of one set, with the default collectors and options.
    #[must_use]
    pub fn of(set: MetricSet) -> Self {
        Self::try_new(&[set], "default", NodeOptions::default())
            .unwrap_or_else(|bad| unreachable!("the sets are legal: {bad}"))
    }

    /// Selects metrics.
    ///
    /// `collectors` is a list that commas separate: `default` or `+NAME` or `-NAME`. A name without
    /// a sign selects this collector without the default ones.
    ///
    /// # Errors
    /// A collector does not exist, or the catalog of the metrics is illegal.
    pub(crate) fn try_new(
        sets: &[MetricSet],
        collectors: &str,
        options: NodeOptions,
    ) -> Result<Self, SelectionError> {
        Self::forwarding(Forwarded::default(), sets, collectors, options)
    }

    /// Selects metrics as [`Self::try_new`], and those of other programs.
    ///
    /// # Errors
    /// As [`Self::try_new`].
    pub(crate) fn forwarding(
        forwarded: Forwarded,
        sets: &[MetricSet],
        collectors: &str,
        options: NodeOptions,
    ) -> Result<Self, SelectionError> {
        let mut sets = sets.to_vec();
        sets.sort_unstable();
        sets.dedup();
        let running = match sets.contains(&MetricSet::Node) {
            true => running_collectors(collectors)?,
            false => Vec::new(),
        };
        let mut sources = sources::of(&sets);
        sources.extend(running.iter().map(|collector| collector.source(&options)));
        sources.extend(scrape::textfile_source(&forwarded.textfiles));

        let order = sets.iter().flat_map(|set| set.metrics()).map(Metric::family);
        let tables = table_set(order, &sources)?;
        let collectors = running.iter().map(|collector| collector.name).collect();
        Ok(Self(Arc::new(Inner { sets, collectors, options, forwarded, tables, sources })))
    }

    /// Returns the catalogs of an agent that reports these metrics. More may be added while it runs.
    #[must_use]
    pub fn catalogs(&self) -> &Catalogs {
        self.0.tables.catalogs()
    }

    /// Returns the catalog of the metrics that are declared.
    #[must_use]
    pub fn catalog(&self) -> &Catalog<'static> {
        self.0.tables.catalog()
    }

    /// Starts the sources.
    #[must_use]
    pub fn sampler(&self) -> Sampler {
        let exporters = &self.0.forwarded.scrapes;
        Sampler::with_exporters(&self.0.tables, self.0.sources.clone(), exporters)
    }

    /// Returns whether both select the same metrics of the host.
    pub(crate) fn has_same_host_metrics(&self, other: &Self) -> bool {
        let key = |inner: &Inner| (inner.sets.clone(), inner.collectors.clone());
        key(&self.0) == key(&other.0) && self.0.options == other.0.options
    }

    /// Returns the metrics of other programs.
    pub(crate) fn forwarded(&self) -> &Forwarded {
        &self.0.forwarded
    }

    /// Returns the paths and options of the collectors.
    #[cfg(test)]
    pub(crate) fn options(&self) -> &NodeOptions {
        &self.0.options
    }

    /// Returns the names of the collectors that run.
    #[must_use]
    pub fn collectors(&self) -> &[&'static str] {
        &self.0.collectors
    }
}

impl Default for Selection {
    /// Selects the sets `basic` and `node`.
    fn default() -> Self {
        let sets = [MetricSet::Basic, MetricSet::Node];
        Self::try_new(&sets, "default", NodeOptions::default())
            .unwrap_or_else(|bad| unreachable!("the sets are legal: {bad}"))
    }
}

impl PartialEq for Selection {
    fn eq(&self, other: &Self) -> bool {
        self.has_same_host_metrics(other) && self.forwarded() == other.forwarded()
    }
}

impl Eq for Selection {}

impl fmt::Debug for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { sets, collectors, .. } = &*self.0;
        f.debug_struct("Selection").field("sets", sets).field("collectors", collectors).finish()
    }
}

/// Returns the collectors of a list such as `default,+systemd,-arp`.
fn running_collectors(list: &str) -> Result<Vec<&'static Collector>, SelectionError> {
    let items: Vec<&str> = list.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
    let starts_empty =
        items.first().is_some_and(|item| !item.starts_with(['+', '-']) && *item != "default");
    let mut running: Vec<bool> =
        COLLECTORS.iter().map(|collector| collector.by_default && !starts_empty).collect();
    for item in items {
        let (name, runs) = match item.strip_prefix('-') {
            Some(name) => (name, false),
            None => (item.strip_prefix('+').unwrap_or(item), true),
        };
        if name == "default" {
            for (runs_now, collector) in running.iter_mut().zip(COLLECTORS) {
                *runs_now |= collector.by_default;
            }
            continue;
        }
        let at = COLLECTORS.iter().position(|collector| collector.name == name);
        let at = at.ok_or_else(|| SelectionError::UnknownCollector(name.to_owned()))?;
        running[at] = runs;
    }
    let running = COLLECTORS.iter().zip(running).filter(|(_, runs)| *runs);
    Ok(running.map(|(collector, _)| collector).collect())
}

fn names() -> String {
    COLLECTORS.iter().map(|collector| collector.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns the tables of all sets and all collectors.
    pub(crate) fn everything() -> Vec<TableSet> {
        let all: Vec<_> =
            COLLECTORS.iter().map(|collector| format!("+{}", collector.name)).collect();
        let sets = [[MetricSet::Basic, MetricSet::Node], [MetricSet::Classic, MetricSet::Node]];
        let select = |sets: &[MetricSet; 2]| {
            let selection = Selection::try_new(sets, &all.join(","), NodeOptions::default());
            selection.unwrap().0.tables.clone()
        };
        sets.iter().map(select).collect()
    }

    fn running(list: &str) -> Vec<&'static str> {
        running_collectors(list).unwrap().iter().map(|collector| collector.name).collect()
    }

    fn defaults() -> Vec<&'static str> {
        let by_default = COLLECTORS.iter().filter(|collector| collector.by_default);
        by_default.map(|collector| collector.name).collect()
    }

    #[test]
    fn list_adds_to_the_default_collectors_or_removes_from_them() {
        assert_eq!(running("default"), defaults());
        assert_eq!(running(""), defaults());
        let without: Vec<_> = defaults().into_iter().filter(|name| *name != "loadavg").collect();
        assert_eq!(running("-loadavg"), without);
        assert_eq!(running("default, -loadavg,+loadavg"), defaults());
        assert_eq!(running("loadavg"), ["loadavg"]);
        assert_eq!(running("loadavg,default"), defaults());
        let error = running_collectors("+loadvag").unwrap_err().to_string();
        assert!(
            error.starts_with("there is no collector \"loadvag\"; the collectors are"),
            "{error}"
        );
        assert!(error.contains("loadavg"), "{error}");
    }

    #[test]
    fn selections_are_equal_if_they_sample_the_same() {
        let of = |sets: &[MetricSet], collectors| {
            Selection::try_new(sets, collectors, NodeOptions::default()).unwrap()
        };
        let (basic, node) = (MetricSet::Basic, MetricSet::Node);
        assert_eq!(of(&[node, basic, node], "default"), of(&[basic, node], "+loadavg"));
        assert_ne!(of(&[node], "default"), of(&[node], "-loadavg"));
        assert_eq!(of(&[basic], "default"), of(&[basic], "-loadavg"), "without node none run");
        assert_ne!(of(&[basic], "default"), of(&[basic, node], "default"));
    }

    #[test]
    fn selections_of_other_exporters_or_text_files_differ() {
        let of = |pattern| {
            let textfiles = vec![TextfileSettings {
                directory: "/run".into(),
                pattern: crate::config::FilePattern::parse(pattern).unwrap(),
                max_age: None,
                max_size: 1,
                labels: Default::default(),
            }];
            let forwarded = Forwarded { textfiles, ..Forwarded::default() };
            let (sets, options) = ([MetricSet::Basic], NodeOptions::default());
            Selection::forwarding(forwarded, &sets, "default", options).unwrap()
        };
        assert_eq!(of("a"), of("a"));
        assert_ne!(of("a"), of("b"));
        assert_ne!(of("a"), Selection::of(MetricSet::Basic));
        assert!(of("a").has_same_host_metrics(&of("b")));
        let names: Vec<_> = of("a").0.sources.iter().map(|source| source.name).collect();
        assert_eq!(names.last(), Some(&"textfile"));
    }
}
