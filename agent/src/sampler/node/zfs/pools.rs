//! States and statistics of pools and their datasets, from `/proc/spl/kstat/zfs/*/`.

use std::path::Path;

use super::super::column::{gauge, unknown};
use super::super::files::{Entries, Entry, KeptFile, malformed, parse, parse_existing_file};
use super::super::read_errors::ReadErrors;
use super::{FILES, Found, kstat};
use crate::sampler::SourceError;
use crate::tables::{ColumnSpec, Output};

/// Index of the table with the columns [`STATES`].
const STATE_TABLE: usize = 0;
/// Index of the table with the columns [`IO`].
const IO_TABLE: usize = 1;
/// Index of the table with the columns [`DATASET`].
const DATASET_TABLE: usize = 2;

const fn state(label: &'static [(&'static str, &'static str)]) -> ColumnSpec {
    gauge("node_zfs_zpool_state", "Whether the pool is in this state.").labelled(label)
}

pub(super) const STATES: [ColumnSpec; 7] = [
    state(&[("state", "online")]),
    state(&[("state", "degraded")]),
    state(&[("state", "faulted")]),
    state(&[("state", "offline")]),
    state(&[("state", "removed")]),
    state(&[("state", "unavail")]),
    state(&[("state", "suspended")]),
];

/// Start of the names of [`IO`].
const IO_PREFIX: &str = "node_zfs_zpool_";

/// The columns of a pool's file `io`, which `OpenZFS` had up to 2.0.
#[rustfmt::skip] // one line each
pub(super) const IO: [ColumnSpec; 12] = [
    unknown("node_zfs_zpool_nread", "Bytes read from the pool."),
    unknown("node_zfs_zpool_nwritten", "Bytes written to the pool."),
    unknown("node_zfs_zpool_reads", "Reads of the pool."),
    unknown("node_zfs_zpool_writes", "Writes to the pool."),
    unknown("node_zfs_zpool_wtime", "Nanoseconds during which requests waited."),
    unknown("node_zfs_zpool_wlentime", "Nanoseconds of waiting, summed over requests."),
    unknown("node_zfs_zpool_wupdate", "Time of the last change of the waiting queue."),
    unknown("node_zfs_zpool_rtime", "Nanoseconds during which requests were active."),
    unknown("node_zfs_zpool_rlentime", "Nanoseconds of activity, summed over requests."),
    unknown("node_zfs_zpool_rupdate", "Time of the last change of the active queue."),
    unknown("node_zfs_zpool_wcnt", "Requests that are waiting."),
    unknown("node_zfs_zpool_rcnt", "Requests that are active."),
];

/// Start of the names of [`DATASET`].
const DATASET_PREFIX: &str = "node_zfs_zpool_dataset_";

/// The rows of a dataset's file that are known. Others are found when reading.
#[rustfmt::skip] // one line each
pub(super) const DATASET: [ColumnSpec; 27] = [
    unknown("node_zfs_zpool_dataset_writes", "Writes to the dataset."),
    unknown("node_zfs_zpool_dataset_nwritten", "Bytes written to the dataset."),
    unknown("node_zfs_zpool_dataset_reads", "Reads of the dataset."),
    unknown("node_zfs_zpool_dataset_nread", "Bytes read from the dataset."),
    unknown("node_zfs_zpool_dataset_nunlinks", "Files queued for deletion."),
    unknown("node_zfs_zpool_dataset_nunlinked", "Queued files that were deleted."),
    unknown("node_zfs_zpool_dataset_zil_commit_count", "Intent log commits."),
    unknown("node_zfs_zpool_dataset_zil_commit_writer_count", "Intent log commits that wrote."),
    unknown("node_zfs_zpool_dataset_zil_commit_error_count", "Intent log commits that failed."),
    unknown("node_zfs_zpool_dataset_zil_commit_stall_count", "Intent log commits that stalled."),
    unknown("node_zfs_zpool_dataset_zil_commit_suspend_count", "Commits while suspended."),
    unknown("node_zfs_zpool_dataset_zil_commit_crash_count", "Commits that broke the log."),
    unknown("node_zfs_zpool_dataset_zil_itx_count", "Transactions in the intent log."),
    unknown("node_zfs_zpool_dataset_zil_itx_indirect_count", "Transactions logged by reference."),
    unknown("node_zfs_zpool_dataset_zil_itx_indirect_bytes", "Bytes logged by reference."),
    unknown("node_zfs_zpool_dataset_zil_itx_copied_count", "Transactions copied at once."),
    unknown("node_zfs_zpool_dataset_zil_itx_copied_bytes", "Bytes copied at once."),
    unknown("node_zfs_zpool_dataset_zil_itx_needcopy_count", "Transactions copied later."),
    unknown("node_zfs_zpool_dataset_zil_itx_needcopy_bytes", "Bytes copied later."),
    unknown("node_zfs_zpool_dataset_zil_itx_metaslab_normal_count", "Log blocks in the pool."),
    unknown("node_zfs_zpool_dataset_zil_itx_metaslab_normal_bytes", "Log bytes in the pool."),
    unknown("node_zfs_zpool_dataset_zil_itx_metaslab_normal_write", "Bytes written to the pool."),
    unknown("node_zfs_zpool_dataset_zil_itx_metaslab_normal_alloc", "Bytes reserved in the pool."),
    unknown("node_zfs_zpool_dataset_zil_itx_metaslab_slog_count", "Log blocks on log devices."),
    unknown("node_zfs_zpool_dataset_zil_itx_metaslab_slog_bytes", "Bytes used on log devices."),
    unknown("node_zfs_zpool_dataset_zil_itx_metaslab_slog_write", "Bytes written to log devices."),
    unknown("node_zfs_zpool_dataset_zil_itx_metaslab_slog_alloc", "Bytes reserved on log devices."),
];

/// The pools.
#[derive(Debug)]
pub(super) struct Pools {
    pools: Entries<Pool>,
    found: Found,
}

#[derive(Debug)]
struct Pool {
    state: KeptFile,
    io: KeptFile,
    datasets: Entries<KeptFile>,
}

impl Pools {
    /// Creates the pools of the directory of ZFS.
    pub(super) fn new(directory: &Path) -> Self {
        Self { pools: Entries::new(directory, Pool::new), found: Found::new(DATASET_PREFIX) }
    }

    /// Lists the directory, and reads the pools.
    pub(super) fn read(
        &mut self,
        read_errors: &mut ReadErrors,
        output: &mut Output,
    ) -> Result<(), SourceError> {
        let is_pool = |name: &str| FILES.iter().all(|(file, _)| *file != name);
        for Entry { name, kept: pool, .. } in self.pools.list(is_pool)? {
            pool.read_state(name, output);
            read_errors.check(pool.read_io(name, output));
            pool.read_datasets(name, &mut self.found, read_errors, output);
        }
        Ok(())
    }
}

impl Pool {
    fn new(path: &Path) -> Self {
        let datasets = Entries::new(path, |path| KeptFile::new(path));
        Self {
            state: KeptFile::new(path.join("state")),
            io: KeptFile::new(path.join("io")),
            datasets,
        }
    }

    fn read_state(&mut self, pool: &str, output: &mut Output) {
        // Entries that are not pools do not have the file.
        let Some(state) = self.state.value() else { return };
        let state = state.lines().next().unwrap_or_default();
        for (column, value) in STATES.iter().zip(output.row(STATE_TABLE, &[pool])) {
            let is_state = column.labels.iter().any(|(_, name)| state.eq_ignore_ascii_case(name));
            *value = f64::from(u8::from(is_state));
        }
    }

    fn read_io(&mut self, pool: &str, output: &mut Output) -> Result<(), SourceError> {
        let Some(text) = self.io.value() else { return Err(SourceError::NothingFound) };
        let mut lines = text.lines();
        let header = lines.find(|line| line.trim_start().starts_with("nread"));
        let (Some(header), Some(numbers)) = (header, lines.next()) else { return Ok(()) };
        let mut values = [None; IO.len()];
        let mut numbers = numbers.split_ascii_whitespace();
        for field in header.split_ascii_whitespace() {
            let Some(number) = numbers.next().and_then(parse) else {
                return Err(malformed(&self.io, "a column without number"));
            };
            if let Some(column) = position(&IO, IO_PREFIX, field) {
                values[column] = Some(number);
            }
        }
        set(output.row(IO_TABLE, &[pool]), &values);
        Ok(())
    }

    fn read_datasets(
        &mut self,
        pool: &str,
        found: &mut Found,
        read_errors: &mut ReadErrors,
        output: &mut Output,
    ) {
        // The directory also has files that are not pools.
        let datasets = self.datasets.list(|name| name.starts_with("objset-"));
        for Entry { kept: file, .. } in datasets.into_iter().flatten() {
            let read = |text: &str| read_dataset(text, pool, found, output);
            read_errors.check(parse_existing_file(file, read));
        }
    }
}

fn read_dataset(
    text: &str,
    pool: &str,
    found: &mut Found,
    output: &mut Output,
) -> Result<(), &'static str> {
    let mut values = [None; DATASET.len()];
    let mut dataset = None;
    for row in kstat::rows(text)? {
        if row.name == "dataset_name" {
            dataset = Some(row.value);
        } else if row.is_number() {
            let number = row.number()?;
            match (position(&DATASET, DATASET_PREFIX, row.name), dataset) {
                (Some(column), _) => values[column] = Some(number),
                (None, Some(dataset)) => {
                    let labels = [("zpool", pool), ("dataset", dataset)];
                    found.sample(row.name, &labels, number, output);
                }
                // The name comes first in the file.
                (None, None) => {}
            }
        }
    }
    let dataset = dataset.ok_or("no dataset_name")?;
    set(output.row(DATASET_TABLE, &[pool, dataset]), &values);
    Ok(())
}

/// Returns the index of the column whose name is the prefix and this one.
fn position(columns: &[ColumnSpec], prefix: &str, name: &str) -> Option<usize> {
    columns.iter().position(|column| column.family.name.strip_prefix(prefix) == Some(name))
}

/// Sets the values of a row that are known.
fn set(row: &mut [f64], values: &[Option<f64>]) {
    for (to, from) in row.iter_mut().zip(values) {
        if let Some(value) = from {
            *to = *value;
        }
    }
}
