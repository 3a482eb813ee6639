//! What the hosts of a fleet report: a few gauges, or the page of node_exporter.

use std::fmt::{self, Display, Formatter};
use std::sync::{Arc, LazyLock};

use clap::ValueEnum;
use fleetgauge_agent::catalogs::Catalogs;
use fleetgauge_agent::metrics::{MetricSet, Selection};
use fleetgauge_benches::{Trace, TracedHosts};
use fleetgauge_proto::Violation;
use fleetgauge_proto::rows::TableRows;
use serde::Serialize;

/// Report interval of a wide host in a fleet of the default size and rate, in seconds.
const WIDE_INTERVAL: f64 = 15.0;

static BASIC_CATALOGS: LazyLock<Result<Catalogs, Violation>> =
    LazyLock::new(|| Ok(Selection::of(MetricSet::Basic).catalogs().clone()));
static WIDE_CATALOGS: LazyLock<Result<Catalogs, Violation>> =
    LazyLock::new(|| Catalogs::try_new(vec![WIDE.trace().catalog()]));
static WIDE: LazyLock<TracedHosts> = LazyLock::new(|| TracedHosts::new(Trace::idle()));

/// A kind of fleet: what its hosts report, and the defaults of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum FleetKind {
    /// Six gauges per host
    #[default]
    Basic,
    /// The page of node_exporter, with each host's own devices, mounts and addresses
    Wide,
}

impl FleetKind {
    /// Returns the name, as on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Wide => "wide",
        }
    }

    /// Returns the name of the gauge whose value identifies a report. Its sum over a page shows
    /// whether the page has the latest report of every host.
    #[must_use]
    pub const fn sequence_gauge(self) -> &'static str {
        match self {
            Self::Basic => "host_memory_used_bytes",
            Self::Wide => "node_memory_MemFree_bytes",
        }
    }

    /// Returns the prefix of all metric names.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Basic => "host_",
            Self::Wide => "node_",
        }
    }

    /// Returns the number of series of a host.
    #[must_use]
    pub fn series(self) -> usize {
        match self {
            Self::Basic => MetricSet::Basic.metrics().len(),
            Self::Wide => {
                let trace = WIDE.trace();
                trace.samples(&trace.pages()[0]).count()
            }
        }
    }

    /// Returns the default sizes of fleets, in hosts.
    #[must_use]
    pub fn default_hosts(self) -> Vec<usize> {
        match self {
            Self::Basic => vec![1_000, 10_000],
            Self::Wide => vec![1_000],
        }
    }

    /// Returns the default number of reports per second.
    #[must_use]
    pub const fn default_rate(self) -> f64 {
        match self {
            Self::Basic => 1_000.0,
            Self::Wide => 1_000.0 / WIDE_INTERVAL,
        }
    }

    /// Returns the default length of a measurement, in seconds.
    #[must_use]
    pub const fn default_seconds(self) -> f64 {
        match self {
            Self::Basic => 10.0,
            Self::Wide => 3.0 * WIDE_INTERVAL,
        }
    }

    /// Returns the hosts of a wide fleet.
    #[must_use]
    pub fn wide() -> &'static TracedHosts {
        &WIDE
    }

    /// Returns the catalogs of a fleetgauge agent on a host, shared by all of them.
    ///
    /// # Errors
    /// Never fails for the existing kinds.
    pub fn catalogs(self) -> Result<Catalogs, Violation> {
        match self {
            Self::Basic => BASIC_CATALOGS.clone(),
            Self::Wide => WIDE_CATALOGS.clone(),
        }
    }

    /// Returns the rows of a host, for each table of these catalogs.
    ///
    /// # Errors
    /// Never fails for the existing kinds.
    pub fn rows(self, catalogs: &Catalogs, host: usize) -> Result<Vec<Arc<TableRows>>, Violation> {
        let mut rows = catalogs.no_rows();
        if self == Self::Wide {
            let page = WIDE.page(host, 0);
            for change in WIDE.trace().row_changes(None, &page) {
                let table = change.table as usize;
                let labels = catalogs.tables()[table].row_labels();
                rows[table] = Arc::new(TableRows::default().edit(labels, &change)?.0);
            }
        }
        Ok(rows)
    }
}

impl Display for FleetKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
