//! Memory, from `/proc/meminfo`.

use super::column::{gauge, table};
use super::files::{KeptFile, bad_line, malformed};
use super::line_targets::{LineTargets, Target, family_name};
use super::number::whole;
use super::read_errors::ReadErrors;
use super::{Collector, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, FoundFamily, Output};
use fleetgauge_proto::catalog::FamilyKind;

/// Bytes per kB, as the file means it.
const KIB: f64 = 1024.0;
/// Maximum number of lines that are not declared. Kernels have at most a handful.
const MAX_FOUND: usize = 100;

pub(super) const COLLECTOR: Collector = Collector {
    name: "meminfo",
    by_default: true,
    options: &[],
    tables: |_| vec![table(&[], &LINES.map(|(_, column)| column))],
    create: |options| {
        let file = KeptFile::shared(options.procfs("meminfo"));
        let targets = LineTargets::default();
        Ok(Box::new(Memory { file, targets, read_errors: ReadErrors::new("meminfo") }))
    },
};

/// Declares the line with a name, whose values are in kB.
macro_rules! bytes {
    ($line:literal) => {
        bytes!($line, $line)
    };
    ($line:literal, $name:literal) => {
        (
            $line,
            gauge(
                concat!("node_memory_", $name, "_bytes"),
                concat!("Bytes of ", $line, " in /proc/meminfo."),
            ),
        )
    };
}

/// Declares the line with a name, whose values are huge pages.
macro_rules! pages {
    ($line:literal) => {
        (
            $line,
            gauge(
                concat!("node_memory_", $line),
                concat!("Huge pages of ", $line, " in /proc/meminfo."),
            ),
        )
    };
}

/// Names of lines and their columns, in the order of the file.
const LINES: [(&str, ColumnSpec); 60] = [
    bytes!("MemTotal"),
    bytes!("MemFree"),
    bytes!("MemAvailable"),
    bytes!("Buffers"),
    bytes!("Cached"),
    bytes!("SwapCached"),
    bytes!("Active"),
    bytes!("Inactive"),
    bytes!("Active(anon)", "Active_anon"),
    bytes!("Inactive(anon)", "Inactive_anon"),
    bytes!("Active(file)", "Active_file"),
    bytes!("Inactive(file)", "Inactive_file"),
    bytes!("Unevictable"),
    bytes!("Mlocked"),
    bytes!("SwapTotal"),
    bytes!("SwapFree"),
    bytes!("Zswap"),
    bytes!("Zswapped"),
    bytes!("Dirty"),
    bytes!("Writeback"),
    bytes!("AnonPages"),
    bytes!("Mapped"),
    bytes!("Shmem"),
    bytes!("KReclaimable"),
    bytes!("Slab"),
    bytes!("SReclaimable"),
    bytes!("SUnreclaim"),
    bytes!("KernelStack"),
    bytes!("ShadowCallStack"),
    bytes!("PageTables"),
    bytes!("SecPageTables"),
    bytes!("NFS_Unstable"),
    bytes!("Bounce"),
    bytes!("WritebackTmp"),
    bytes!("CommitLimit"),
    bytes!("Committed_AS"),
    bytes!("VmallocTotal"),
    bytes!("VmallocUsed"),
    bytes!("VmallocChunk"),
    bytes!("Percpu"),
    bytes!("EarlyMemtestBad"),
    bytes!("HardwareCorrupted"),
    bytes!("AnonHugePages"),
    bytes!("ShmemHugePages"),
    bytes!("ShmemPmdMapped"),
    bytes!("FileHugePages"),
    bytes!("FilePmdMapped"),
    bytes!("CmaTotal"),
    bytes!("CmaFree"),
    bytes!("Unaccepted"),
    bytes!("Balloon"),
    pages!("HugePages_Total"),
    pages!("HugePages_Free"),
    pages!("HugePages_Rsvd"),
    pages!("HugePages_Surp"),
    bytes!("Hugepagesize"),
    bytes!("Hugetlb"),
    bytes!("DirectMap4k"),
    bytes!("DirectMap2M"),
    bytes!("DirectMap1G"),
];

#[derive(Debug)]
struct Memory {
    file: KeptFile,
    targets: LineTargets,
    read_errors: ReadErrors,
}

impl Source for Memory {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let Self { file, targets, read_errors } = self;
        let (mut values, mut found, mut broken) = ([None; LINES.len()], 0, None);
        for (index, line) in file.read()?.lines().enumerate() {
            let Some((name, value)) = parse(line) else {
                broken.get_or_insert_with(|| bad_line(line));
                continue;
            };
            match targets.get(index, name, |name| target(name, line.ends_with(" kB"))) {
                Target::Column(column) => values[*column] = Some(value),
                Target::Found(name) if found < MAX_FOUND => {
                    let help = "Line of /proc/meminfo.";
                    let family = FoundFamily { name, kind: FamilyKind::Gauge, help };
                    output.sample(family, &[], value);
                    found += 1;
                }
                Target::Found(_) | Target::Skip => {}
            }
        }
        if let Some(problem) = broken {
            read_errors.add(malformed(file, problem));
        }
        if values.iter().all(Option::is_none) {
            read_errors.add(malformed(file, "no known line"));
            return read_errors.finish();
        }
        read_errors.check(Ok(()));
        for (cell, value) in output.row(0, &[]).iter_mut().zip(values) {
            if let Some(value) = value {
                *cell = value;
            }
        }
        read_errors.finish()
    }
}

/// Parses a line. Returns its name and its value, in bytes if it has the unit kB.
fn parse(line: &str) -> Option<(&str, f64)> {
    let (name, value) = line.split_once(':')?;
    let value = value.trim_ascii();
    match value.strip_suffix(" kB") {
        Some(kib) => Some((name, whole(kib)? * KIB)),
        None => Some((name, whole(value)?)),
    }
}

/// Returns where the value of a line goes.
fn target(name: &str, is_bytes: bool) -> Target {
    if let Some(column) = LINES.iter().position(|(line, _)| *line == name) {
        return Target::Column(column);
    }
    found_name(name, is_bytes).map_or(Target::Skip, Target::Found)
}

/// Returns the name of a line's family.
fn found_name(name: &str, is_bytes: bool) -> Option<Box<str>> {
    let plain = name.replace('(', "_").replace(')', "");
    family_name("node_memory_", &plain, if is_bytes { "_bytes" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    #[test]
    fn sizes_are_bytes_and_huge_pages_are_counts() {
        let fixture = Fixture::new();
        fixture.file(
            "proc/meminfo",
            "MemTotal:       16283456 kB\n\
             Active(anon):    2068484 kB\n\
             VmallocTotal:   34359738367 kB\n\
             HugePages_Total:       8\n\
             Hugepagesize:       2048 kB\n",
        );
        let expected = [
            "node_memory_Active_anon_bytes 2118127616",
            "node_memory_HugePages_Total 8",
            "node_memory_Hugepagesize_bytes 2097152",
            "node_memory_MemTotal_bytes 16674258944",
            "node_memory_VmallocTotal_bytes 35184372087808",
        ];
        assert_eq!(fixture.samples(&COLLECTOR), expected);
    }

    #[test]
    fn lines_of_other_kernels_are_found() {
        let fixture = Fixture::new();
        let mut reader = fixture.reader(&COLLECTOR);
        fixture.file("proc/meminfo", "MemFree: 1 kB\nNew(thing): 2 kB\nNew_Total: 3\nä: 4 kB\n");
        let expected = [
            "node_memory_MemFree_bytes 1024",
            "node_memory_New_Total 3",
            "node_memory_New_thing_bytes 2048",
        ];
        assert_eq!(reader.samples(), expected);
        fixture.file("proc/meminfo", "New_Total: 3\nMemFree: 1 kB\n");
        assert_eq!(reader.samples(), [expected[0], expected[1]], "lines may move");
    }

    #[test]
    fn number_of_other_lines_is_bounded() {
        let fixture = Fixture::new();
        let lines: String = (0..5000).map(|line| format!("Line{line}: 1\n")).collect();
        fixture.file("proc/meminfo", &format!("MemTotal: 1 kB\n{lines}"));
        assert_eq!(fixture.samples(&COLLECTOR).len(), 1 + MAX_FOUND);
    }

    #[test]
    fn broken_file_is_an_error() {
        let fixture = Fixture::new();
        let mut reader = fixture.reader(&COLLECTOR);
        reader.error();
        for text in ["", "MemTotal: 1", "MemTotal", "MemTotal: x kB\n", "MemTotal: -1 kB\n", "A: 1"]
        {
            fixture.file("proc/meminfo", text);
            if text == "MemTotal: 1" {
                reader.samples();
            } else {
                reader.error();
            }
        }
    }

    #[test]
    fn broken_line_costs_only_itself() {
        let fixture = Fixture::new();
        fixture
            .bytes("proc/meminfo", b"MemTotal: 1 kB\n\xff\x00\nMemFree: x kB\nNew: 2 MB\nA: 1\n");
        let expected = ["node_memory_A 1", "node_memory_MemTotal_bytes 1024"];
        assert_eq!(fixture.samples(&COLLECTOR), expected);
    }

    #[test]
    fn declared_families_are_named_like_found_ones() {
        for (index, (line, column)) in LINES.iter().enumerate() {
            assert!(!LINES[..index].iter().any(|(other, _)| other == line), "{line}");
            let name = column.family.name;
            assert_eq!(found_name(line, name.ends_with("_bytes")).as_deref(), Some(name));
        }
    }
}
