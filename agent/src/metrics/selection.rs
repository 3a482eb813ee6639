//! What an agent samples: metric sets, collectors, and the metrics of other programs.

use std::fmt;
use std::sync::Arc;

use fleetgauge_proto::Violation;
use fleetgauge_proto::message::Catalog;

use super::{Metric, MetricSet, sources};
use crate::catalogs::Catalogs;
use crate::config::{ScrapeSettings, TextfileSettings};
use crate::sampler::node::{self, COLLECTORS, Collector, NodeOptions};
use crate::sampler::{Sampler, SourceSpec, table_set};
use crate::scrape;
use crate::tables::TableSet;

/// What an agent samples.
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
    settings: SelectionSettings,
    /// Names of the collectors that run, in the order of [`COLLECTORS`].
    collectors: Vec<&'static str>,
    tables: TableSet,
    sources: Vec<SourceSpec>,
}

/// The settings that say what an agent samples.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SelectionSettings {
    /// Metric sets, in any order.
    pub(crate) sets: Vec<MetricSet>,
    /// Collectors of the set `node`: a list that commas separate of `default`, `+NAME` and `-NAME`.
    /// If the first word is a name without a sign, the default collectors do not run.
    pub(crate) collectors: String,
    /// Paths and options of the collectors.
    pub(crate) options: NodeOptions,
    /// Whether the peaks between samples are metrics.
    pub(crate) peaks: bool,
    /// Exporters to scrape.
    pub(crate) scrapes: Vec<ScrapeSettings>,
    /// Text files to read.
    pub(crate) textfiles: Vec<TextfileSettings>,
}

/// Why a selection is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// The name of a collector that does not exist.
    #[error(
        "there is no collector {0:?}{hint}; the collectors are {names}",
        hint = hint(.0),
        names = names()
    )]
    UnknownCollector(String),
    /// The catalog of the selected metrics is illegal.
    #[error(transparent)]
    Catalog(#[from] Violation),
}

impl Selection {
    /// Selects the metrics of one set, with the default collectors and options.
    #[must_use]
    pub fn of(set: MetricSet) -> Self {
        Self::of_sets(vec![set])
    }

    fn of_sets(sets: Vec<MetricSet>) -> Self {
        Self::try_new(SelectionSettings { sets, ..SelectionSettings::default() })
            .unwrap_or_else(|bad| unreachable!("the sets are legal: {bad}"))
    }

    /// Selects metrics.
    ///
    /// # Errors
    /// A collector does not exist, or the catalog of the metrics is illegal.
    pub(crate) fn try_new(mut settings: SelectionSettings) -> Result<Self, SelectionError> {
        settings.sets.sort_unstable();
        settings.sets.dedup();
        let has_node = settings.sets.contains(&MetricSet::Node);
        let collectors =
            if has_node { running_collectors(&settings.collectors)? } else { Vec::new() };

        let SelectionSettings { sets, options, .. } = &settings;
        let mut sources = sources::of(sets);
        sources.extend(node::other_sources(has_node, settings.peaks, options));
        sources.extend(collectors.iter().map(|collector| collector.source(options)));
        // Alerts for node_exporter expect the metric about errors, even if there are no files.
        let textfiles = &settings.textfiles;
        if has_node || !textfiles.is_empty() {
            sources.push(scrape::textfile_source(textfiles, has_node));
        }

        let order = sets.iter().flat_map(|set| set.metrics()).map(Metric::family);
        let tables = table_set(order, &sources)?;
        let collectors = collectors.iter().map(|collector| collector.name).collect();
        Ok(Self(Arc::new(Inner { settings, collectors, tables, sources })))
    }

    /// Returns the catalogs of an agent that reports these metrics. It may add others while it
    /// runs.
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
        let exporters = &self.0.settings.scrapes;
        Sampler::with_exporters(&self.0.tables, self.0.sources.clone(), exporters)
    }

    /// Returns whether both select the same metrics of the host.
    pub(crate) fn has_same_host_metrics(&self, other: &Self) -> bool {
        let key = |inner: &Inner| (inner.settings.sets.clone(), inner.collectors.clone());
        let (one, other) = (&self.0, &other.0);
        key(one) == key(other)
            && one.settings.options == other.settings.options
            && one.settings.peaks == other.settings.peaks
    }

    /// Returns its settings.
    pub(crate) fn settings(&self) -> &SelectionSettings {
        &self.0.settings
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
        Self::of_sets(vec![MetricSet::Basic, MetricSet::Node])
    }
}

impl PartialEq for Selection {
    fn eq(&self, other: &Self) -> bool {
        let (own, others) = (self.settings(), other.settings());
        Arc::ptr_eq(&self.0, &other.0)
            || self.has_same_host_metrics(other)
                && own.scrapes == others.scrapes
                && own.textfiles == others.textfiles
    }
}

impl Eq for Selection {}

impl fmt::Debug for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { settings, collectors, .. } = &*self.0;
        f.debug_struct("Selection")
            .field("settings", settings)
            .field("collectors", collectors)
            .finish_non_exhaustive()
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

/// Returns why a collector does not exist, if the build is the reason.
fn hint(name: &str) -> &'static str {
    // Without the feature this name is unknown.
    if name == "systemd" { " in this build, which lacks the feature systemd" } else { "" }
}

fn names() -> String {
    COLLECTORS.iter().map(|collector| collector.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns the tables of all sets and all collectors.
    pub(crate) fn everything() -> Vec<TableSet> {
        let all = COLLECTORS.iter().map(|collector| format!("+{}", collector.name));
        let collectors = all.collect::<Vec<_>>().join(",");
        let sets = [MetricSet::Basic, MetricSet::Classic].map(|set| vec![set, MetricSet::Node]);
        let select = |sets| {
            let collectors = collectors.clone();
            let settings =
                SelectionSettings { sets, collectors, peaks: true, ..SelectionSettings::default() };
            Selection::try_new(settings).unwrap().0.tables.clone()
        };
        sets.map(select).into()
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
        let start = "there is no collector \"loadvag\"; the collectors are";
        assert!(error.starts_with(start) && error.contains("loadavg"), "{error}");
    }

    #[cfg(not(feature = "systemd"))]
    #[test]
    fn error_about_systemd_names_the_feature_that_the_build_lacks() {
        let error = running_collectors("default,+systemd").unwrap_err().to_string();
        let start = "there is no collector \"systemd\" in this build, which lacks the feature";
        assert!(error.starts_with(start), "{error}");
    }

    fn of(sets: &[MetricSet], collectors: &str) -> Selection {
        with(sets, collectors, |_| {})
    }

    fn with(
        sets: &[MetricSet],
        collectors: &str,
        change: impl FnOnce(&mut SelectionSettings),
    ) -> Selection {
        let (sets, collectors) = (sets.to_vec(), collectors.to_owned());
        let mut settings = SelectionSettings { sets, collectors, ..SelectionSettings::default() };
        change(&mut settings);
        Selection::try_new(settings).unwrap()
    }

    #[test]
    fn selections_are_equal_if_they_sample_the_same() {
        let (basic, node) = (MetricSet::Basic, MetricSet::Node);
        assert_eq!(of(&[node, basic, node], "default"), of(&[basic, node], "+loadavg"));
        assert_ne!(of(&[node], "default"), of(&[node], "-loadavg"));
        assert_eq!(of(&[basic], "default"), of(&[basic], "-loadavg"), "without node none run");
        assert_ne!(of(&[basic], "default"), of(&[basic, node], "default"));
        let peaks = with(&[node], "loadavg", |settings| settings.peaks = true);
        assert_ne!(peaks, of(&[node], "loadavg"));
        assert_eq!(peaks.collectors(), ["loadavg"]);
    }

    #[test]
    fn own_process_is_sampled_with_the_set_node_only() {
        let has_build = |set: MetricSet| {
            let selection = Selection::of(set);
            let families = &selection.catalog().families;
            families.iter().any(|family| family.name == "node_exporter_build_info")
        };
        assert!(has_build(MetricSet::Node));
        assert!(!has_build(MetricSet::Basic) && !has_build(MetricSet::Classic));
    }

    #[test]
    fn selections_of_other_exporters_or_text_files_differ() {
        let of = |pattern| {
            let textfile = TextfileSettings {
                directory: "/run".into(),
                pattern: crate::config::FilePattern::parse(pattern).unwrap(),
                max_age: None,
                max_size: 1,
                labels: Default::default(),
            };
            with(&[MetricSet::Basic], "", |settings| settings.textfiles.push(textfile))
        };
        assert_eq!(of("*.prom"), of("*.prom"));
        assert_ne!(of("*.prom"), of("a.prom"));
        assert!(of("*.prom").has_same_host_metrics(&of("a.prom")));
    }
}
