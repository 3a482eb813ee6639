//! Statistics of ZFS, from the kstat files in `/proc/spl/kstat/zfs`.
//!
//! The rows of the module's files differ from release to release: they are found when reading.

mod kstat;
mod pools;
#[cfg(test)]
mod tests;

use fleetgauge_proto::catalog::FamilyKind;
use pools::Pools;

use super::column::table;
use super::files::{KeptFile, parse_existing_file};
use super::read_errors::ReadErrors;
use super::{Collector, NodeOptions, SourceError};
use crate::sampler::Source;
use crate::tables::{FoundFamily, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "zfs",
    by_default: true,
    options: &[],
    tables: |_| {
        vec![
            table(&["zpool"], &pools::STATES),
            table(&["zpool"], &pools::IO),
            table(&["zpool", "dataset"], &pools::DATASET),
        ]
    },
    create: |options| Ok(Box::new(Zfs::new(options))),
};

/// Files of the module, and the start of the names of their families.
const FILES: [(&str, &str); 11] = [
    ("abdstats", "node_zfs_abd_"),
    ("arcstats", "node_zfs_arc_"),
    ("dbufstats", "node_zfs_dbuf_"),
    ("dmu_tx", "node_zfs_dmu_tx_"),
    ("dnodestats", "node_zfs_dnode_"),
    ("fm", "node_zfs_fm_"),
    ("vdev_cache_stats", "node_zfs_vdev_cache_"),
    ("vdev_mirror_stats", "node_zfs_vdev_mirror_"),
    ("xuio_stats", "node_zfs_xuio_"),
    ("zfetchstats", "node_zfs_zfetch_"),
    ("zil", "node_zfs_zil_"),
];

#[derive(Debug)]
struct Zfs {
    pools: Pools,
    files: Vec<(KeptFile, Found)>,
    read_errors: ReadErrors,
}

impl Zfs {
    fn new(options: &NodeOptions) -> Self {
        let directory = options.procfs("spl/kstat/zfs");
        let file = |(file, prefix): &(&str, &'static str)| {
            (KeptFile::new(directory.join(file)), Found::new(prefix))
        };
        let files = FILES.iter().map(file).collect();
        Self { pools: Pools::new(&directory), files, read_errors: ReadErrors::new("zfs") }
    }
}

impl Source for Zfs {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        // Lists the directory: it does not exist unless the module is loaded.
        let Self { pools, files, read_errors } = self;
        pools.read(read_errors, output)?;
        for (file, found) in files {
            read_errors.check(read_file(file, found, output));
        }
        read_errors.finish()
    }
}

fn read_file(
    file: &mut KeptFile,
    found: &mut Found,
    output: &mut Output,
) -> Result<(), SourceError> {
    // Each release of OpenZFS has other files.
    parse_existing_file(file, |text| {
        for row in kstat::rows(text)?.filter(kstat::Row::is_number) {
            found.sample(row.name, &[], row.number()?, output);
        }
        Ok::<_, &str>(())
    })
}

/// Families whose names are made of a prefix and the name of a row.
#[derive(Debug)]
struct Found {
    prefix: &'static str,
    /// Buffer for names.
    name: String,
}

impl Found {
    const fn new(prefix: &'static str) -> Self {
        Self { prefix, name: String::new() }
    }

    /// Adds a sample, unless the name of the row cannot be part of the name of a family.
    fn sample(&mut self, row: &str, labels: &[(&str, &str)], value: f64, output: &mut Output) {
        let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if !row.bytes().all(is_valid) {
            return;
        }
        self.name.clear();
        self.name.push_str(self.prefix);
        self.name.extend(row.chars().map(|letter| if letter == '-' { '_' } else { letter }));
        let (kind, help) = (FamilyKind::Unknown, "Statistic of the ZFS kernel module.");
        output.sample(FoundFamily { name: &self.name, kind, help }, labels, value);
    }
}
