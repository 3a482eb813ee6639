//! Statistics of mounted XFS filesystems, from `/sys/fs/xfs/*/stats/stats`.

use std::path::Path;

use fleetgauge_proto::report::ABSENT;

use super::column::{counter, table};
use super::files::{Entries, Entry, KeptFile, parse, parse_existing_file};
use super::read_errors::ReadErrors;
use super::{Collector, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "xfs",
    by_default: true,
    options: &[],
    tables: |_| vec![table(&["device"], &COLUMNS)],
    create: |options| {
        let create = |path: &Path| KeptFile::new(path.join("stats/stats"));
        let filesystems = Entries::new(options.sysfs("fs/xfs"), create);
        Ok(Box::new(Xfs { filesystems, read_errors: ReadErrors::new("xfs") }))
    },
};

/// The lines that are read: name, and number of columns. `COLUMNS` has the columns in this order.
const LINES: [(&str, usize); 8] = [
    ("extent_alloc", 4),
    ("abt", 4),
    ("blk_map", 7),
    ("bmbt", 4),
    ("dir", 4),
    ("ig", 7),
    ("rw", 2),
    ("vnodes", 7),
];

#[rustfmt::skip] // one line each
const COLUMNS: [ColumnSpec; 39] = [
    counter("node_xfs_extent_allocation_extents_allocated_total", "Extents allocated."),
    counter("node_xfs_extent_allocation_blocks_allocated_total", "Blocks allocated."),
    counter("node_xfs_extent_allocation_extents_freed_total", "Extents freed."),
    counter("node_xfs_extent_allocation_blocks_freed_total", "Blocks freed."),

    counter("node_xfs_allocation_btree_lookups_total", "Lookups in allocation B-trees."),
    counter("node_xfs_allocation_btree_compares_total", "Comparisons in allocation B-trees."),
    counter("node_xfs_allocation_btree_records_inserted_total", "Records inserted in these trees."),
    counter("node_xfs_allocation_btree_records_deleted_total", "Records deleted in these trees."),

    counter("node_xfs_block_mapping_reads_total", "Block mappings for reads."),
    counter("node_xfs_block_mapping_writes_total", "Block mappings for writes."),
    counter("node_xfs_block_mapping_unmaps_total", "Blocks unmapped."),
    counter("node_xfs_block_mapping_extent_list_insertions_total", "Insertions into extent lists."),
    counter("node_xfs_block_mapping_extent_list_deletions_total", "Deletions from extent lists."),
    counter("node_xfs_block_mapping_extent_list_lookups_total", "Lookups in extent lists."),
    counter("node_xfs_block_mapping_extent_list_compares_total", "Comparisons in extent lists."),

    counter("node_xfs_block_map_btree_lookups_total", "Lookups in block map B-trees."),
    counter("node_xfs_block_map_btree_compares_total", "Comparisons in block map B-trees."),
    counter("node_xfs_block_map_btree_records_inserted_total", "Insertions in block map B-trees."),
    counter("node_xfs_block_map_btree_records_deleted_total", "Deletions in block map B-trees."),

    counter("node_xfs_directory_operation_lookup_total", "Lookups that missed the name cache."),
    counter("node_xfs_directory_operation_create_total", "Directory entries created."),
    counter("node_xfs_directory_operation_remove_total", "Directory entries removed."),
    counter("node_xfs_directory_operation_getdents_total", "Directory listings."),

    counter("node_xfs_inode_operation_attempts_total", "Lookups in the inode cache."),
    counter("node_xfs_inode_operation_found_total", "Inodes found in the inode cache."),
    counter("node_xfs_inode_operation_recycled_total", "Inodes found while being reclaimed."),
    counter("node_xfs_inode_operation_missed_total", "Inodes not found in the inode cache."),
    counter("node_xfs_inode_operation_duplicates_total", "Inodes that were cached concurrently."),
    counter("node_xfs_inode_operation_reclaims_total", "Inodes reclaimed from the inode cache."),
    counter("node_xfs_inode_operation_attribute_changes_total", "Changes of inode attributes."),

    counter("node_xfs_read_calls_total", "Read calls."),
    counter("node_xfs_write_calls_total", "Write calls."),

    counter("node_xfs_vnode_active_total", "Vnodes that are not on free lists."),
    counter("node_xfs_vnode_allocate_total", "Vnodes allocated."),
    counter("node_xfs_vnode_get_total", "References taken by vn_get."),
    counter("node_xfs_vnode_hold_total", "References taken by vn_hold."),
    counter("node_xfs_vnode_release_total", "References released."),
    counter("node_xfs_vnode_reclaim_total", "Vnodes reclaimed."),
    counter("node_xfs_vnode_remove_total", "Vnodes removed."),
];

#[derive(Debug)]
struct Xfs {
    /// The statistics of each filesystem. The name of the directory is the device.
    filesystems: Entries<KeptFile>,
    read_errors: ReadErrors,
}

impl Source for Xfs {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        // `stats` has the sums of all filesystems.
        let Self { filesystems, read_errors } = self;
        let filesystems = filesystems.list_if_exists(|name| name != "stats")?;
        for Entry { name, kept: file, .. } in filesystems {
            // There are other directories that are not filesystems, such as `debug`.
            if let Some(values) = read_errors.check(parse_existing_file(file, parse_statistics)) {
                output.row(0, &[name]).copy_from_slice(&values);
            }
        }
        read_errors.finish()
    }
}

/// Returns the values of all columns. Those of missing lines are absent.
fn parse_statistics(text: &str) -> Result<[f64; COLUMNS.len()], &'static str> {
    let mut values = [ABSENT; COLUMNS.len()];
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace();
        let Some(name) = fields.next() else { continue };
        let Some(line) = LINES.iter().position(|(line, _)| *line == name) else { continue };
        let first: usize = LINES.iter().take(line).map(|(_, columns)| columns).sum();
        for value in values.iter_mut().skip(first).take(LINES[line].1) {
            *value = fields.next().and_then(parse).ok_or("too few numbers in a line")?;
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    const STATISTICS: &str = "\
extent_alloc 92447 97589 92448 93751
abt 1 2 3 4
blk_map 1767055 188820 184891 92447 92448 2140766 0
bmbt 5 6 7 8
dir 185039 92447 92444 136422
trans 706 944304 0
ig 185045 58807 9 126238 10 33637 22
log 2883 113448 9 17360 739
push_ail 945014 0 134260 15483 0 3940 464 159985 0 40
rw 107739 94045
vnodes 92601 11 12 13 92444 92443 14 4294967295
xpc 399724544 92823103 86219234
debug 0
";

    #[test]
    fn statistics_of_each_filesystem_are_read() {
        let fixture = Fixture::new();
        fixture.file("sys/fs/xfs/sda1/stats/stats", STATISTICS);
        fixture.file("sys/fs/xfs/dm-1/stats/stats", "rw 1 2\n");
        fixture.directory("sys/fs/xfs/debug");
        fixture.file("sys/fs/xfs/stats/stats", "rw 3 4\n");
        let samples = fixture.samples(&COLLECTOR);
        assert_eq!(samples.len(), COLUMNS.len() + 2);
        for sample in [
            "node_xfs_extent_allocation_extents_allocated_total{device=\"sda1\"} 92447",
            "node_xfs_allocation_btree_records_deleted_total{device=\"sda1\"} 4",
            "node_xfs_block_mapping_extent_list_lookups_total{device=\"sda1\"} 2140766",
            "node_xfs_block_map_btree_lookups_total{device=\"sda1\"} 5",
            "node_xfs_directory_operation_getdents_total{device=\"sda1\"} 136422",
            "node_xfs_inode_operation_attempts_total{device=\"sda1\"} 185045",
            "node_xfs_inode_operation_recycled_total{device=\"sda1\"} 9",
            "node_xfs_inode_operation_attribute_changes_total{device=\"sda1\"} 22",
            "node_xfs_read_calls_total{device=\"dm-1\"} 1",
            "node_xfs_write_calls_total{device=\"dm-1\"} 2",
            "node_xfs_write_calls_total{device=\"sda1\"} 94045",
            "node_xfs_vnode_active_total{device=\"sda1\"} 92601",
            "node_xfs_vnode_remove_total{device=\"sda1\"} 14",
        ] {
            assert!(samples.iter().any(|line| line == sample), "{sample}: {samples:#?}");
        }
    }

    #[test]
    fn columns_match_lines() {
        assert_eq!(LINES.iter().map(|(_, columns)| columns).sum::<usize>(), COLUMNS.len());
    }

    #[test]
    fn unmounted_filesystem_disappears() {
        let fixture = Fixture::new();
        let mut reader = fixture.reader(&COLLECTOR);
        assert!(reader.samples().is_empty(), "no XFS is no error");
        fixture.file("sys/fs/xfs/sda1/stats/stats", STATISTICS);
        assert_eq!(reader.samples().len(), COLUMNS.len());
        fixture.remove("sys/fs/xfs/sda1");
        assert!(reader.samples().is_empty());
    }

    #[test]
    fn truncated_or_binary_line_is_an_error() {
        let fixture = Fixture::new();
        let mut reader = fixture.reader(&COLLECTOR);
        for text in [b"rw 1".as_slice(), b"rw 1 x\n", b"abt\n", b"vnodes 1 2 3 4 5 6 \xff\n"] {
            fixture.bytes("sys/fs/xfs/sda1/stats/stats", text);
            let error = reader.error().to_string();
            assert!(error.ends_with("stats/stats: too few numbers in a line"), "{error}");
        }
        fixture.file("sys/fs/xfs/sda2/stats/stats", "rw 1 2\n");
        assert_eq!(reader.samples().len(), 2, "a broken filesystem costs only itself");
        fixture.remove("sys/fs/xfs/sda2");
        fixture.bytes("sys/fs/xfs/sda1/stats/stats", b"\0\0\n\xff 1 2\n");
        assert!(reader.samples().is_empty());
    }
}
