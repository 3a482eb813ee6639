//! Caches of bcache, their backing devices and cache devices, from `/sys/fs/bcache`.

use std::path::Path;

use super::column::{counter, gauge, table};
use super::files::{Entries, Entry, KeptFile, malformed, parse, parse_file};
use super::number::numbered;
use super::read_errors::ReadErrors;
use super::{Collector, NodeOption, NodeOptions, OptionKind, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "bcache",
    by_default: true,
    options: &[NodeOption {
        name: "bcache.priorityStats",
        kind: OptionKind::Switch,
        default: "false",
    }],
    tables: |_| {
        vec![
            table(&["uuid"], &CACHE_SET.map(|(_, column)| column)),
            table(&["uuid", "backing_device"], &BACKING.map(|(_, column)| column)),
            table(&["uuid", "backing_device"], &WRITEBACK.map(|(_, column)| column)),
            table(&["uuid", "cache_device"], &CACHE.map(|(_, column)| column)),
            table(&["uuid", "cache_device"], &PRIORITY.map(|(_, column)| column)),
        ]
    },
    create: |options| Ok(Box::new(Bcache::new(options))),
};

/// Index of the table with the columns [`CACHE_SET`].
const CACHE_SET_TABLE: usize = 0;
/// Index of the table with the columns [`BACKING`].
const BACKING_TABLE: usize = 1;
/// Index of the table with the columns [`WRITEBACK`].
const WRITEBACK_TABLE: usize = 2;
/// Index of the table with the columns [`CACHE`].
const CACHE_TABLE: usize = 3;
/// Index of the table with the columns [`PRIORITY`].
const PRIORITY_TABLE: usize = 4;

/// File or line that has the value of a column.
type FileColumn = (&'static str, ColumnSpec);

#[rustfmt::skip] // two lines each
const CACHE_SET: [FileColumn; 10] = [
    ("average_key_size",
        gauge("node_bcache_average_key_size_sectors", "Average data of a key.")),
    ("btree_cache_size",
        gauge("node_bcache_btree_cache_size_bytes", "Memory of the B-tree cache.")),
    ("cache_available_percent",
        gauge("node_bcache_cache_available_percent", "Cache without dirty data.")),
    ("congested",
        gauge("node_bcache_congested", "Congestion of the cache.")),
    ("root_usage_percent",
        gauge("node_bcache_root_usage_percent", "Usage of the root node.")),
    ("tree_depth",
        gauge("node_bcache_tree_depth", "Depth of the B-tree.")),
    ("internal/active_journal_entries",
        gauge("node_bcache_active_journal_entries", "Journal entries in use.")),
    ("internal/btree_nodes",
        gauge("node_bcache_btree_nodes", "Nodes of the B-tree.")),
    (READ_DURATION,
        gauge("node_bcache_btree_read_average_duration_seconds", "Average read time.").decimals(9)),
    ("internal/cache_read_races",
        counter("node_bcache_cache_read_races_total", "Reads of reused buckets.")),
];

const READ_DURATION: &str = "internal/btree_read_average_duration_us";
/// Unit of [`READ_DURATION`] that `node_exporter` assumes: nanoseconds.
const READ_DURATION_UNITS_PER_SECOND: f64 = 1e9;

#[rustfmt::skip] // two lines each
const BACKING: [FileColumn; 8] = [
    ("dirty_data",
        gauge("node_bcache_dirty_data_bytes", "Dirty data in the cache.")),
    ("stats_total/bypassed",
        counter("node_bcache_bypassed_bytes_total", "Bytes that bypassed the cache.")),
    ("stats_total/cache_hits",
        counter("node_bcache_cache_hits_total", "Requests the cache answered.")),
    ("stats_total/cache_misses",
        counter("node_bcache_cache_misses_total", "Requests it could not answer.")),
    ("stats_total/cache_bypass_hits",
        counter("node_bcache_cache_bypass_hits_total", "Hits of bypassing requests.")),
    ("stats_total/cache_bypass_misses",
        counter("node_bcache_cache_bypass_misses_total", "Misses of these.")),
    ("stats_total/cache_miss_collisions",
        counter("node_bcache_cache_miss_collisions_total", "Misses that raced with writes.")),
    (READAHEADS,
        counter("node_bcache_cache_readaheads_total", "Read-aheads.")),
];

/// Kernels since 5.14 do not have it.
const READAHEADS: &str = "stats_total/cache_readaheads";

#[rustfmt::skip] // two lines each
const WRITEBACK: [FileColumn; 5] = [
    ("target",
        gauge("node_bcache_dirty_target_bytes", "Dirty data that writeback aims at.")),
    ("rate",
        gauge("node_bcache_writeback_rate", "Bytes per second of writeback.")),
    ("proportional",
        gauge("node_bcache_writeback_rate_proportional_term", "Proportional part of the rate.")),
    ("integral",
        gauge("node_bcache_writeback_rate_integral_term", "Integral part of the rate.")),
    ("change",
        gauge("node_bcache_writeback_change", "Last change of the rate.")),
];

#[rustfmt::skip] // two lines each
const CACHE: [FileColumn; 3] = [
    ("io_errors",
        gauge("node_bcache_io_errors", "Errors of the cache device; they expire.")),
    ("metadata_written",
        counter("node_bcache_metadata_written_bytes_total", "Bytes of metadata written.")),
    ("written",
        counter("node_bcache_written_bytes_total", "Bytes of data written to the cache.")),
];

#[rustfmt::skip] // two lines each
const PRIORITY: [FileColumn; 2] = [
    ("Unused",
        gauge("node_bcache_priority_stats_unused_percent", "Cache without data.")),
    ("Metadata",
        gauge("node_bcache_priority_stats_metadata_percent", "Cache with metadata.")),
];

#[derive(Debug)]
struct Bcache {
    cache_sets: Entries<CacheSet>,
    /// The kernel sorts all buckets for each reading of these statistics.
    has_priority_statistics: bool,
    read_errors: ReadErrors,
}

#[derive(Debug)]
struct CacheSet {
    files: [KeptFile; CACHE_SET.len()],
    backing_devices: Entries<BackingDevice>,
    cache_devices: Entries<CacheDevice>,
}

#[derive(Debug)]
struct BackingDevice {
    files: [KeptFile; BACKING.len()],
    writeback: KeptFile,
}

#[derive(Debug)]
struct CacheDevice {
    files: [KeptFile; CACHE.len()],
    priority: KeptFile,
}

impl Bcache {
    fn new(options: &NodeOptions) -> Self {
        Self {
            cache_sets: Entries::new(options.sysfs("fs/bcache"), CacheSet::new),
            has_priority_statistics: options.switch("bcache.priorityStats"),
            read_errors: ReadErrors::new("bcache"),
        }
    }
}

impl Source for Bcache {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        // Other entries, such as `register`, have no hyphen.
        let Self { cache_sets, has_priority_statistics, read_errors } = self;
        let cache_sets = cache_sets.list_if_exists(|name| name.contains('-'))?;
        for Entry { name: uuid, kept: cache_set, .. } in cache_sets {
            let read = cache_set.read(uuid, *has_priority_statistics, read_errors, output);
            read.unwrap_or_else(|error| read_errors.add(error));
        }
        read_errors.finish()
    }
}

impl CacheSet {
    fn new(path: &Path) -> Self {
        Self {
            files: files(path, &CACHE_SET),
            backing_devices: Entries::new(path, |path| BackingDevice {
                files: files(path, &BACKING),
                writeback: KeptFile::new(path.join("writeback_rate_debug")),
            }),
            cache_devices: Entries::new(path, |path| CacheDevice {
                files: files(path, &CACHE),
                priority: KeptFile::new(path.join("priority_stats")),
            }),
        }
    }

    fn read(
        &mut self,
        uuid: &str,
        has_priority_statistics: bool,
        read_errors: &mut ReadErrors,
        output: &mut Output,
    ) -> Result<(), SourceError> {
        read_files(&mut self.files, &CACHE_SET, read_errors, output.row(CACHE_SET_TABLE, &[uuid]));
        let devices =
            self.backing_devices.list_if_exists(|name| numbered(name, "bdev").is_some())?;
        for Entry { name, kept: device, .. } in devices {
            let labels = &[uuid, name];
            read_files(&mut device.files, &BACKING, read_errors, output.row(BACKING_TABLE, labels));
            let row = output.row(WRITEBACK_TABLE, labels);
            read_errors.check(read_lines(&mut device.writeback, &WRITEBACK, row, |text| {
                parse_size(text.strip_suffix("/sec").unwrap_or(text))
            }));
        }
        let devices =
            self.cache_devices.list_if_exists(|name| numbered(name, "cache").is_some())?;
        for Entry { name, kept: device, .. } in devices {
            let labels = &[uuid, name];
            read_files(&mut device.files, &CACHE, read_errors, output.row(CACHE_TABLE, labels));
            if has_priority_statistics {
                let row = output.row(PRIORITY_TABLE, labels);
                read_errors.check(read_lines(&mut device.priority, &PRIORITY, row, |text| {
                    parse(text.strip_suffix('%').unwrap_or(text))
                }));
            }
        }
        Ok(())
    }
}

/// Returns the files of columns.
fn files<const N: usize>(path: &Path, columns: &[FileColumn; N]) -> [KeptFile; N] {
    columns.map(|(file, _)| KeptFile::new(path.join(file)))
}

/// Reads the files of columns into a row.
fn read_files(
    files: &mut [KeptFile],
    columns: &[FileColumn],
    read_errors: &mut ReadErrors,
    row: &mut [f64],
) {
    for ((file, (name, _)), value) in files.iter_mut().zip(columns).zip(row) {
        if *name == READAHEADS {
            // node_exporter leaves out zeros, as the file may be missing.
            let number = file.value().and_then(parse_size).filter(|number| *number > 0.0);
            *value = number.unwrap_or(*value);
            continue;
        }
        let number = |text: &str| parse_size(text.trim()).ok_or("not a number");
        if let Some(number) = read_errors.check(parse_file(file, number)) {
            let is_duration = *name == READ_DURATION;
            *value = if is_duration { number / READ_DURATION_UNITS_PER_SECOND } else { number };
        }
    }
}

/// Reads the last words of lines such as `target: 10.0G` into a row. Missing lines are absent.
fn read_lines(
    file: &mut KeptFile,
    columns: &[FileColumn],
    row: &mut [f64],
    parse_word: fn(&str) -> Option<f64>,
) -> Result<(), SourceError> {
    let mut is_valid = true;
    for line in file.read()?.lines() {
        let Some((name, rest)) = line.split_once(':') else { continue };
        let column = columns.iter().zip(&mut *row).find(|((column, _), _)| *column == name);
        let Some((_, value)) = column else { continue };
        match rest.split_ascii_whitespace().next_back().and_then(parse_word) {
            Some(number) => *value = number,
            None => is_valid = false,
        }
    }
    if is_valid { Ok(()) } else { Err(malformed(file, "a line without number")) }
}

/// Parses a number that may have a sign, a fraction and a unit: `-1.5M`.
///
/// The number after the point is no decimal fraction: it counts hundreds of 1024ths, 0 to 10.
fn parse_size(text: &str) -> Option<f64> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text),
    };
    let unit = text.chars().next_back().filter(char::is_ascii_alphabetic);
    let number = match unit.and_then(|unit| "kMGTPEZY".find(unit)) {
        Some(power) => {
            let text = text.get(..text.len().saturating_sub(1))?;
            let (whole, rest) = text.split_once('.').unwrap_or((text, "0"));
            let mantissa = parse(whole)? + parse(rest)? / 10.24;
            mantissa * 1024_f64.powi(i32::try_from(power).ok()?.saturating_add(1))
        }
        None => parse(text)?,
    };
    Some(sign * number.trunc())
}

#[cfg(test)]
#[path = "bcache_tests.rs"]
mod tests;
