//! Connection tracking of netfilter, from `/proc/sys/net/netfilter` and
//! `/proc/net/stat/nf_conntrack`.

use super::column::{gauge, table};
use super::files::{KeptFile, parse_existing_file};
use super::number::whole;
use super::read_errors::ReadErrors;
use super::{Collector, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "conntrack",
    by_default: true,
    options: &[],
    tables: |_| vec![table(&[], &COLUMNS)],
    create: |options| {
        Ok(Box::new(ConnectionTracking {
            entries: KeptFile::new(options.procfs("sys/net/netfilter/nf_conntrack_count")),
            limit: KeptFile::new(options.procfs("sys/net/netfilter/nf_conntrack_max")),
            statistics: KeptFile::new(options.procfs("net/stat/nf_conntrack")),
            read_errors: ReadErrors::new("conntrack"),
        }))
    },
};

const COLUMNS: [ColumnSpec; 10] = [
    gauge("node_nf_conntrack_entries", "Connections that are tracked."),
    gauge("node_nf_conntrack_entries_limit", "Maximum number of connections that are tracked."),
    gauge("node_nf_conntrack_stat_found", "Lookups that found an entry."),
    gauge("node_nf_conntrack_stat_invalid", "Packets that cannot be tracked."),
    gauge("node_nf_conntrack_stat_ignore", "Packets that are tracked already."),
    gauge("node_nf_conntrack_stat_insert", "Entries inserted."),
    gauge("node_nf_conntrack_stat_insert_failed", "Entries that could not be inserted."),
    gauge("node_nf_conntrack_stat_drop", "Packets dropped because tracking failed."),
    gauge("node_nf_conntrack_stat_early_drop", "Entries removed to make room for others."),
    gauge("node_nf_conntrack_stat_search_restart", "Lookups that had to start again."),
];

/// Positions in a line of statistics, in the order of the columns.
const POSITIONS: [usize; 8] = [2, 4, 5, 8, 9, 10, 11, 16];
/// Number of statistics in a line. Old kernels lack the last one.
const FIELDS: std::ops::RangeInclusive<usize> = 16..=17;

/// Problem of the file.
const BAD_LINE: &str = "a line does not have 16 or 17 numbers";

#[derive(Debug)]
struct ConnectionTracking {
    entries: KeptFile,
    limit: KeptFile,
    statistics: KeptFile,
    read_errors: ReadErrors,
}

impl Source for ConnectionTracking {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        // The files do not exist until the kernel module is loaded.
        let entries = count(&mut self.entries)?;
        let limit = count(&mut self.limit)?;
        self.read_errors.check(Ok(()));
        // Some kernels are built without this file.
        let sums = self.read_errors.check(parse_existing_file(&mut self.statistics, sums));

        let values = output.row(0, &[]);
        values[..2].copy_from_slice(&[entries, limit]);
        if let Some(sums) = sums {
            values[2..].copy_from_slice(&sums.map(|sum| sum as f64));
        }
        self.read_errors.finish()
    }
}

/// Reads a file with a number.
fn count(file: &mut KeptFile) -> Result<f64, SourceError> {
    parse_existing_file(file, |text| whole(text.trim()).ok_or("not a whole number"))
}

/// Sums the lines of all CPUs.
fn sums(text: &str) -> Result<[u64; POSITIONS.len()], &'static str> {
    let mut sums = [0_u64; POSITIONS.len()];
    for line in text.lines().skip(1) {
        let mut numbers = [0; 17];
        let mut fields = 0;
        for field in line.split_ascii_whitespace() {
            let number = numbers.get_mut(fields).zip(u64::from_str_radix(field, 16).ok());
            let (place, number) = number.ok_or(BAD_LINE)?;
            *place = number;
            fields += 1;
        }
        if !FIELDS.contains(&fields) {
            return Err(BAD_LINE);
        }
        for (sum, position) in sums.iter_mut().zip(POSITIONS) {
            *sum = sum.wrapping_add(numbers[position]);
        }
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    const HEADER: &str = "entries  searched found new invalid ignore delete delete_list insert \
        insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete \
        search_restart\n";

    fn host() -> Fixture {
        let fixture = Fixture::new();
        let files = [("nf_conntrack_count", "123\n"), ("nf_conntrack_max", "65536\n")];
        fixture.files("proc/sys/net/netfilter", &files);
        fixture
    }

    fn write_statistics(fixture: &Fixture, lines: &str) {
        fixture.file("proc/net/stat/nf_conntrack", &format!("{HEADER}{lines}"));
    }

    #[test]
    fn statistics_of_all_cpus_are_summed() {
        let fixture = host();
        let line = "0000007b 1 2 3 4 5 6 7 8 9 a b c d e f 10\n";
        write_statistics(&fixture, &format!("{line}{line}"));
        let expected = [
            "node_nf_conntrack_entries 123",
            "node_nf_conntrack_entries_limit 65536",
            "node_nf_conntrack_stat_drop 20",
            "node_nf_conntrack_stat_early_drop 22",
            "node_nf_conntrack_stat_found 4",
            "node_nf_conntrack_stat_ignore 10",
            "node_nf_conntrack_stat_insert 16",
            "node_nf_conntrack_stat_insert_failed 18",
            "node_nf_conntrack_stat_invalid 8",
            "node_nf_conntrack_stat_search_restart 32",
        ];
        assert_eq!(fixture.samples(&COLLECTOR), expected);
    }

    #[test]
    fn host_without_module_has_nothing() {
        let fixture = Fixture::new();
        assert_eq!(fixture.reader(&COLLECTOR).error(), SourceError::NothingFound);
    }

    #[test]
    fn kernel_without_statistics_shows_entries() {
        assert_eq!(host().samples(&COLLECTOR).len(), 2);
    }

    #[test]
    fn broken_statistics_cost_only_themselves_and_other_broken_files_are_errors() {
        let fixture = host();
        let mut reader = fixture.reader(&COLLECTOR);
        for lines in ["1 2 3\n", "\n", "0 1 2 3 4 5 6 7 8 9 a b c d e f 10 11\n", "x\n"] {
            write_statistics(&fixture, lines);
            assert_eq!(reader.samples().len(), 2, "{lines:?}");
        }
        write_statistics(&fixture, "");
        fixture.file("proc/sys/net/netfilter/nf_conntrack_max", "-1\n");
        reader.error();
    }
}
