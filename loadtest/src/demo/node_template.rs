//! The profile `node` of the demo: every simulated host has the series of this host, as its agent
//! reads them once at the start, with values of its own.

use std::time::Duration;

use fleetgauge_agent::catalogs::Catalogs;
use fleetgauge_agent::metrics::{MetricSet, Selection};
use fleetgauge_proto::Limits;
use fleetgauge_proto::catalog::FamilyKind;
use fleetgauge_proto::message::{Column, Family};
use fleetgauge_proto::report::ABSENT;
use fleetgauge_proto::rows::TableRows;

use super::sim_host::SimHost;
use crate::child_main::DEMO_INTERVAL;
use crate::engine::{ChangedRows, ReportValues};

/// Maximum time to read this host once.
const MAX_READ: Duration = Duration::from_secs(5);
/// Names of the families with the time and with the boot time of a host.
const TIME: &str = "node_time_seconds";
const BOOT_TIME: &str = "node_boot_time_seconds";
/// Name of the row label that holds the name of a host.
const HOST_NAME: &str = "nodename";
/// Number of CPUs of a simulated host, for its load.
const CPUS: f64 = 4.0;
/// Assumed time since this host has booted if its agent cannot tell: a week.
const DEFAULT_UPTIME: f64 = 604_800.0;

/// The tables of this host and how the values of simulated hosts follow from them.
#[derive(Debug)]
pub(super) struct NodeTemplate {
    catalogs: Catalogs,
    tables: Vec<TemplateTable>,
    cells: Vec<Cell>,
}

#[derive(Debug)]
struct TemplateTable {
    row_labels: Vec<&'static str>,
    rows: usize,
    /// Label values of all rows, row after row.
    texts: Vec<String>,
}

/// The exact values of a simulated host, by cell; counters of integers are reported without the
/// fraction.
#[derive(Debug, Default)]
pub(super) struct NodeValues {
    exact: Vec<f64>,
    factor: f64,
}

/// A value of a report.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cell {
    start: f64,
    source: Source,
}

/// Where the values of a cell come from.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Source {
    /// The value of this host.
    ThisHost,
    /// The metric of the set `basic` with this position.
    Basic(usize),
    /// A counter that rises by this much per second on an average host.
    Counter {
        per_second: f64,
        is_whole: bool,
    },
    /// Seconds of one CPU: this share of those that are busy, or the idle ones.
    BusySeconds(f64),
    IdleSeconds,
    /// Seconds since 1970.
    Time,
    /// Bytes of memory, as a share of the total or of what is available.
    MemoryTotal,
    MemoryAvailable(f64),
    /// Bytes of the root filesystem.
    DiskTotal,
    DiskAvailable,
    /// Number of running processes for so many CPUs.
    Load(f64),
}

impl NodeTemplate {
    /// Reads this host.
    pub(super) async fn read() -> Self {
        let selection = Selection::default();
        let mut sampler = selection.sampler();
        let sample = sampler.sample(MAX_READ, &Limits::default()).await;
        let message = selection.catalog();
        // Tables that the agent has found, such as those of text files, follow and are left out.
        let mut values = sample.values.iter().copied();
        let (mut tables, mut cells) = (Vec::new(), Vec::new());
        let (mut time, mut boot) = (None, None);
        for (table, rows) in message.tables.iter().zip(&sample.rows) {
            let template = TemplateTable::new(table.row_labels.clone(), rows);
            for row in 0..template.rows {
                for column in &table.columns {
                    let family = &message.families[column.family as usize];
                    let source = source(family, column, &template, row);
                    let first = cells.len();
                    let of_column = values.by_ref().take(column.width as usize);
                    cells.extend(of_column.map(|start| Cell { start, source }));
                    match family.name {
                        TIME => time = cells.get(first).map(|cell| cell.start),
                        BOOT_TIME => boot = cells.get(first).map(|cell| cell.start),
                        _ => {}
                    }
                }
            }
            tables.push(template);
        }
        let uptime = time.zip(boot).map(|(time, boot)| time - boot);
        let uptime = uptime.filter(|uptime| *uptime > 1.0).unwrap_or(DEFAULT_UPTIME);
        cells.iter_mut().for_each(|cell| cell.set_rate(uptime));
        Self { catalogs: selection.catalogs().clone(), tables, cells }
    }

    pub(super) const fn catalogs(&self) -> &Catalogs {
        &self.catalogs
    }

    /// Returns the first values of a host.
    pub(super) fn start(&self, seed: u64) -> NodeValues {
        let factor = 0.5 + fastrand::Rng::with_seed(seed).f64();
        let exact = |cell: &Cell| match cell.source {
            Source::Counter { .. } | Source::BusySeconds(_) | Source::IdleSeconds => {
                cell.start * factor
            }
            _ => cell.start,
        };
        NodeValues { exact: self.cells.iter().map(exact).collect(), factor }
    }

    /// Writes the rows of a host with this name; as added rows in its first report.
    pub(super) fn write_rows(&self, host: &str, is_first: bool, out: &mut ReportValues) {
        for (number, table) in (0..).zip(&self.tables) {
            out.row_counts.push(table.rows);
            if is_first && !table.texts.is_empty() {
                let added = table.texts_of(host);
                out.changed.push(ChangedRows { table: number, added, ..ChangedRows::default() });
            }
        }
    }

    /// Writes the next values of a host.
    pub(super) fn write_values(
        &self,
        host: &SimHost,
        values: &mut NodeValues,
        out: &mut ReportValues,
    ) {
        let readings = host.readings();
        let basic = MetricSet::Basic.metrics();
        let basic: Vec<_> = basic.iter().map(|it| it.value(&readings).unwrap_or(ABSENT)).collect();
        // Half of the traffic of this host at night, more of it by day.
        let work = values.factor * (0.5 + host.cpu);
        for (cell, exact) in self.cells.iter().zip(&mut values.exact) {
            out.values.push(cell.next(host, &basic, work, exact));
        }
    }
}

impl TemplateTable {
    fn new(row_labels: Vec<&'static str>, rows: &TableRows) -> Self {
        let labels = row_labels.len();
        let texts: Vec<_> = rows.iter(labels).flatten().map(str::to_owned).collect();
        // A table without row labels has exactly one row.
        let rows = texts.len().checked_div(labels).unwrap_or(1);
        Self { row_labels, rows, texts }
    }

    /// Returns the value of a row label; `None` if the table has no such label.
    fn label(&self, row: usize, name: &str) -> Option<&str> {
        let at = self.row_labels.iter().position(|label| *label == name)?;
        self.texts.get(row * self.row_labels.len() + at).map(String::as_str)
    }

    /// Returns the label values of all rows of a host with this name.
    fn texts_of(&self, host: &str) -> Vec<String> {
        let labels = self.row_labels.iter().cycle();
        let text = |(text, label): (&String, &&str)| match *label {
            HOST_NAME => host.to_owned(),
            _ => text.clone(),
        };
        self.texts.iter().zip(labels).map(text).collect()
    }
}

impl Cell {
    /// Sets the rate of a counter: its mean on this host since it has booted.
    fn set_rate(&mut self, uptime: f64) {
        if let Source::Counter { per_second, is_whole } = &mut self.source {
            (*per_second, *is_whole) = (self.start / uptime, self.start.fract() == 0.0);
        }
        // An absent value stays absent.
        if self.start.is_nan() && !matches!(self.source, Source::Basic(_)) {
            self.source = Source::ThisHost;
        }
    }

    /// Returns the next value of a host, which has `work` times the work of this host.
    fn next(&self, host: &SimHost, basic: &[f64], work: f64, exact: &mut f64) -> f64 {
        let seconds = DEMO_INTERVAL.as_secs_f64();
        let (memory, disk) = (host.memory_total as f64, host.disk_total as f64);
        match self.source {
            Source::ThisHost => return self.start,
            Source::Basic(position) => return basic.get(position).copied().unwrap_or(ABSENT),
            Source::MemoryTotal => return memory,
            Source::MemoryAvailable(share) => {
                return (memory * (1.0 - host.memory) * share).floor();
            }
            Source::DiskTotal => return disk,
            Source::DiskAvailable => return (disk * (1.0 - host.disk)).floor(),
            Source::Load(cpus) => return (host.cpu * cpus * 100.0).round() / 100.0,
            Source::Counter { per_second, is_whole } => {
                *exact += per_second * work * seconds;
                return if is_whole { exact.floor() } else { *exact };
            }
            Source::BusySeconds(share) => *exact += host.cpu * share * seconds,
            Source::IdleSeconds => *exact += (1.0 - host.cpu) * seconds,
            Source::Time => *exact += seconds,
        }
        // As the kernel counts it.
        (*exact * 100.0).round() / 100.0
    }
}

/// Returns where the values of a column in this row come from.
fn source(family: &Family<'_>, column: &Column<'_>, table: &TemplateTable, row: usize) -> Source {
    let basic = MetricSet::Basic.metrics();
    if let Some(position) = basic.iter().position(|metric| metric.name == family.name) {
        return Source::Basic(position);
    }
    let is_root = || table.label(row, "mountpoint") == Some("/");
    match family.name {
        "node_cpu_seconds" => {
            let mode = column.labels.iter().find(|label| label.name == "mode");
            cpu_seconds(mode.map_or("", |mode| mode.value))
        }
        TIME => Source::Time,
        "node_load1" | "node_load5" | "node_load15" => Source::Load(CPUS),
        "node_memory_MemTotal_bytes" => Source::MemoryTotal,
        "node_memory_MemAvailable_bytes" => Source::MemoryAvailable(1.0),
        "node_memory_MemFree_bytes" => Source::MemoryAvailable(0.4),
        "node_memory_Cached_bytes" => Source::MemoryAvailable(0.5),
        "node_memory_Buffers_bytes" => Source::MemoryAvailable(0.1),
        "node_filesystem_size_bytes" if is_root() => Source::DiskTotal,
        "node_filesystem_free_bytes" | "node_filesystem_avail_bytes" if is_root() => {
            Source::DiskAvailable
        }
        _ if family.kind == FamilyKind::Counter as u8 => {
            Source::Counter { per_second: 0.0, is_whole: true }
        }
        _ => Source::ThisHost,
    }
}

/// Returns how the time of a CPU in this mode follows from its usage.
fn cpu_seconds(mode: &str) -> Source {
    match mode {
        "idle" => Source::IdleSeconds,
        "user" => Source::BusySeconds(0.7),
        "system" => Source::BusySeconds(0.2),
        "iowait" | "softirq" => Source::BusySeconds(0.05),
        _ => Source::ThisHost,
    }
}

#[cfg(test)]
#[path = "node_template_tests.rs"]
mod tests;
