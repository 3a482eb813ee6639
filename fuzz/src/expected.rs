//! A model of the pages: the samples of each agent, and the families on the shared pages.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use fleetgauge_proto::report::is_absent;

use crate::catalog::names;
use crate::catalog_gen::{Declared, DeclaredColumn, DeclaredFamily, DeclaredTable};
use crate::page;
use crate::series::{Row, Slot};

/// Labels by name. Bounds of histograms and quantiles of summaries are in canonical form.
pub(crate) type LabelMap = BTreeMap<String, String>;
/// Bits of sample values, by sample name and labels. All NaNs have the same bits.
pub(crate) type Samples = BTreeMap<(String, LabelMap), u64>;

/// A metric family on a page: its samples, and the metadata that the page's format shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) unit: Option<String>,
    pub(crate) help: Option<String>,
    pub(crate) samples: Samples,
}

/// The families of a page by name.
pub(crate) type Page = BTreeMap<String, Family>;

/// Converts a parsed page to the form of the model's pages.
pub(crate) fn read(page: Vec<page::Family>) -> Page {
    let family = |family: page::Family| {
        let samples = family.samples.into_iter().map(|sample| {
            let labels = sample.labels.into_iter().map(|(name, value)| {
                let is_bound = [("histogram", "le"), ("summary", "quantile")]
                    .contains(&(&*family.kind, &*name));
                let value = if is_bound { bound(&value) } else { value };
                (name, value)
            });
            ((sample.name, labels.collect()), bits(sample.value))
        });
        let samples = samples.collect();
        (family.name, Family { kind: family.kind, unit: family.unit, help: family.help, samples })
    };
    page.into_iter().map(family).collect()
}

/// Returns the page of these families, without those that have no samples. A counter that is named
/// as is `x_total` is shown as the counter `x`, with the samples of a family of kind 2 if there is
/// one. In OpenMetrics it has no type if another family has a name of that counter.
pub(crate) fn page_of(mut families: Vec<(&DeclaredFamily, Samples)>, openmetrics: bool) -> Page {
    families.sort_by_key(|(family, _)| family.kind);
    let counters: BTreeSet<_> = families
        .iter()
        .filter(|(family, _)| family.kind == 2)
        .map(|(family, _)| family.name.clone())
        .collect();
    let taken: BTreeSet<_> =
        families.iter().flat_map(|(family, _)| names(&family.name, family.kind)).collect();
    let mut page = Page::new();
    for (family, mut samples) in families {
        let counter = counter_of(&family.name, family.kind).filter(|name| {
            let [created, named] = ["_created", "_created_total"].map(|end| format!("{name}{end}"));
            let is_free = ![*name, &created, &named].iter().any(|name| taken.contains(*name));
            counters.contains(*name) || is_free
        });
        let counter = counter.map(|name| DeclaredFamily {
            name: name.to_owned(),
            kind: 2,
            unit: String::new(),
            help: family.help.clone(),
        });
        let (name, heading) = heading(counter.as_ref().unwrap_or(family), openmetrics);
        page.entry(name).or_insert(heading).samples.append(&mut samples);
    }
    page.retain(|_, family| !family.samples.is_empty());
    page
}

/// Returns the name of the counter whose samples are named like this counter that is named as is.
fn counter_of(name: &str, kind: u8) -> Option<&str> {
    name.strip_suffix("_total").filter(|stem| kind == 7 && !stem.is_empty())
}

/// Whether two families of these names and kinds are one.
fn is_same(one: (&str, u8), other: (&str, u8)) -> bool {
    let canonical = |(name, kind)| counter_of(name, kind).map_or((name, kind), |name| (name, 2));
    canonical(one) == canonical(other)
}

/// Returns the name and metadata that a page shows for a family, without samples.
fn heading(family: &DeclaredFamily, openmetrics: bool) -> (String, Family) {
    let (suffix, kind) = match (family.kind, openmetrics) {
        (1, _) => ("", "gauge"),
        (2, false) => ("_total", "counter"),
        (2, true) => ("", "counter"),
        (3, _) => ("", "histogram"),
        (4, _) => ("", "summary"),
        (5, false) => ("_info", "gauge"),
        (5, true) => ("", "info"),
        (6, false) => ("", "untyped"),
        (6 | 7, true) => ("", "unknown"),
        (7, false) => ("", "counter"),
        (kind, _) => unreachable!("families of kind {kind} are not on pages"),
    };
    let non_empty = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let heading = Family {
        kind: kind.to_owned(),
        // OpenMetrics allows no unit for an info family; the text format has no units.
        unit: non_empty(&family.unit).filter(|_| openmetrics && family.kind != 5),
        help: non_empty(&family.help),
        samples: Samples::new(),
    };
    (format!("{}{suffix}", family.name), heading)
}

/// The labels of an agent.
#[derive(Debug, Clone, Default)]
pub(crate) struct AgentLabels {
    /// `agent`, and `client_no` if the collector adds it.
    pub(crate) own: LabelMap,
    /// The labels that Hello or the credential set.
    pub(crate) statics: LabelMap,
}

impl AgentLabels {
    /// Returns the labels of a series in this row. A static label whose name the series has gets
    /// the prefix `agent_`. If that makes a name that the catalog or the agent has for any label
    /// whose name the catalog has, all get more prefixes than those names.
    pub(crate) fn of_series(
        &self,
        catalog: &Declared,
        table: &DeclaredTable,
        column: &DeclaredColumn,
        row: &Row,
    ) -> LabelMap {
        let names = |table: &DeclaredTable, column: &DeclaredColumn| -> BTreeSet<String> {
            let of_column = column.labels.shown().map(|(name, _)| name.to_owned());
            of_column.chain(table.row_labels.iter().cloned()).collect()
        };
        let of_table = |table: &DeclaredTable| -> BTreeSet<String> {
            table.columns.iter().flat_map(|column| names(table, column)).collect()
        };
        let in_catalog: BTreeSet<_> = catalog.tables.iter().flat_map(of_table).collect();
        let of_series = names(table, column);
        let taken: BTreeSet<_> = self.statics.keys().chain(&in_catalog).collect();
        let mut colliding = self.statics.keys().filter(|name| in_catalog.contains(*name));
        let mut prefix = "agent_".to_owned();
        if colliding.any(|name| taken.contains(&format!("{prefix}{name}"))) {
            while taken.iter().any(|name| name.starts_with(&prefix)) {
                prefix.push_str("agent_");
            }
        }
        let mut labels = self.own.clone();
        for (name, value) in &self.statics {
            let renamed = of_series.contains(name);
            let name = if renamed { format!("{prefix}{name}") } else { name.clone() };
            labels.insert(name, value.clone());
        }
        let row = table.row_labels.iter().zip(row).filter(|(_, value)| !value.is_empty());
        let row = row.map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in row.chain(column.labels.shown()) {
            let repeated = labels.insert(name.to_owned(), value.to_owned());
            assert_eq!(repeated, None, "a series has the label {name:?} twice");
        }
        labels
    }
}

/// Returns the samples that pages show for one family of an agent's catalog.
pub(crate) fn samples(slot: &Slot, family: usize, agent: &AgentLabels) -> Samples {
    let mut samples = Samples::new();
    let catalog = &slot.catalog;
    for (table, rows) in slot.tables() {
        for (row, values) in rows {
            let mut rest = &values[..];
            for column in &table.columns {
                let (values, after) = rest.split_at(column.width as usize);
                rest = after;
                let absent = values.iter().any(|value| is_absent(*value));
                if column.family as usize == family && !absent {
                    let labels = agent.of_series(catalog, table, column, row);
                    add(&catalog.families[family], column, &labels, values, &mut samples);
                }
            }
        }
    }
    samples
}

/// Adds the samples of a series, as the table of kinds in `docs/protocol.md` specifies.
fn add(
    family: &DeclaredFamily,
    column: &DeclaredColumn,
    labels: &LabelMap,
    values: &[f64],
    samples: &mut Samples,
) {
    let mut add_sample = |suffix: &str, extra: Option<(&str, f64)>, value: f64| {
        let mut labels = labels.clone();
        labels.extend(extra.map(|(name, bound)| (name.to_owned(), number(bound))));
        let duplicate = samples.insert((format!("{}{suffix}", family.name), labels), bits(value));
        assert_eq!(duplicate, None, "a legal catalog has no duplicate series");
    };
    let parameters = &column.parameters;
    match family.kind {
        1 | 6 | 7 => add_sample("", None, values[0]),
        2 => add_sample("_total", None, values[0]),
        5 => add_sample("_info", None, 1.0),
        3 => {
            let bounds = parameters.iter().chain([&f64::INFINITY]);
            for (bound, value) in bounds.zip(values) {
                add_sample("_bucket", Some(("le", *bound)), *value);
            }
        }
        4 => {
            for (quantile, value) in parameters.iter().zip(values) {
                add_sample("", Some(("quantile", *quantile)), *value);
            }
        }
        _ => {}
    }
    if let 3 | 4 = family.kind {
        add_sample("_count", None, values[parameters.len()]);
        add_sample("_sum", None, values[parameters.len() + 1]);
    }
}

fn bits(value: f64) -> u64 {
    // A page shows every NaN as `NaN`, whatever its bits.
    if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }
}

fn number(value: f64) -> String {
    format!("{:?}", value + 0.0)
}

/// Returns the canonical form of a `le` or `quantile` label value.
fn bound(text: &str) -> String {
    number(text.parse().unwrap())
}

/// Names of the families of fleetgauge's own agent, which are gauges.
const BUILT_IN: [&str; 12] = [
    "cpu",
    "disk",
    "host_cpu_usage_ratio",
    "host_filesystem_usage_ratio",
    "host_memory_available_bytes",
    "host_memory_total_bytes",
    "host_memory_usage_ratio",
    "host_memory_used_bytes",
    "ram",
    "ram_available",
    "ram_total",
    "ram_used",
];

/// The counter of the collector itself whose name the generated families can have.
const OWN_COUNTER: &str = "process_cpu_seconds";

/// A model of the families on the shared pages. Names of built-in families have their kinds. The
/// first live catalog to declare another family decides its kind. A later family that conflicts
/// with it is suppressed until no live catalog declares the first family.
#[derive(Debug, Default)]
pub(crate) struct SharedFamilies {
    /// Name and kind of a family that the operator has pinned.
    pin: Option<(String, u8)>,
    /// Indices of the catalogs that have agents, in order of arrival, each with its number of
    /// agents.
    live: Vec<(usize, usize)>,
    /// By name: the family as its first catalog declared it, and the catalog and position of all
    /// families that share it.
    pub(crate) shown: BTreeMap<String, (DeclaredFamily, BTreeSet<(usize, usize)>)>,
}

impl SharedFamilies {
    pub(crate) fn new(pin: Option<(String, u8)>) -> Self {
        Self { pin, ..Self::default() }
    }

    pub(crate) fn join(&mut self, catalog: usize, catalogs: &[Rc<Declared>]) {
        if let Some((_, agents)) = self.live.iter_mut().find(|(live, _)| *live == catalog) {
            *agents += 1;
            return;
        }
        self.live.push((catalog, 1));
        self.claim(catalog, catalogs);
    }

    pub(crate) fn leave(&mut self, catalog: usize, catalogs: &[Rc<Declared>]) {
        let index = self.live.iter().position(|(live, _)| *live == catalog).unwrap();
        self.live[index].1 -= 1;
        if self.live[index].1 > 0 {
            return;
        }
        self.live.remove(index);
        let before = self.shown.len();
        for (_, holders) in self.shown.values_mut() {
            holders.retain(|(holder, _)| *holder != catalog);
        }
        self.shown.retain(|_, (_, holders)| !holders.is_empty());
        if self.shown.len() < before {
            for (catalog, _) in self.live.clone() {
                self.claim(catalog, catalogs);
            }
        }
    }

    fn claim(&mut self, catalog: usize, catalogs: &[Rc<Declared>]) {
        for (position, family) in catalogs[catalog].families.iter().enumerate() {
            let own = names(&family.name, family.kind);
            let pinned = |(name, kind): &(String, u8)| *name == family.name && *kind != family.kind;
            let clashes = |(name, (shown, _)): (&String, &(DeclaredFamily, _))| {
                !is_same((name, shown.kind), (&family.name, family.kind))
                    && !names(name, shown.kind).is_disjoint(&own)
            };
            let is_reserved = |name: &String| {
                let is_pinned = self.pin.as_ref().is_some_and(|(pinned, _)| pinned == name);
                let is_own = *name == family.name && family.kind == 1;
                BUILT_IN.contains(&name.as_str()) && !is_pinned && !is_own
            };
            let contradicts_own = !is_same((OWN_COUNTER, 2), (&family.name, family.kind))
                && !names(OWN_COUNTER, 2).is_disjoint(&own);
            let refused = self.pin.as_ref().is_some_and(pinned)
                || contradicts_own
                || own.iter().any(is_reserved)
                || self.shown.iter().any(clashes);
            if own.is_empty() || refused {
                continue;
            }
            let first = || (family.clone(), BTreeSet::new());
            let (_, holders) = self.shown.entry(family.name.clone()).or_insert_with(first);
            holders.insert((catalog, position));
        }
    }

    /// Number of families of live catalogs that are suppressed.
    pub(crate) fn suppressed(&self, catalogs: &[Rc<Declared>]) -> usize {
        let known = |(catalog, _): &(usize, usize)| {
            let families = catalogs[*catalog].families.iter();
            families.filter(|family| !names(&family.name, family.kind).is_empty()).count()
        };
        let shown: usize = self.shown.values().map(|(_, holders)| holders.len()).sum();
        self.live.iter().map(known).sum::<usize>() - shown
    }
}
