//! Virtual memory statistics, from `/proc/vmstat`.

use fleetgauge_proto::catalog::FamilyKind;

use super::column::{table, unknown};
use super::files::{KeptFile, bad_line, parse_file};
use super::filter::Filter;
use super::line_targets::{LineTargets, Target, family_name};
use super::number::whole;
use super::{Collector, NodeOption, OptionKind, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, FoundFamily, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "vmstat",
    by_default: true,
    options: &[NodeOption {
        name: "vmstat.fields",
        kind: OptionKind::Pattern,
        default: "^(oom_kill|pgpg|pswp|pg.*fault).*",
    }],
    tables: |_| vec![table(&[], &LINES.map(|(_, column)| column))],
    create: |options| {
        Ok(Box::new(VirtualMemory {
            file: KeptFile::new(options.procfs("vmstat")),
            filter: options.filter("vmstat.fields", ""),
            targets: LineTargets::default(),
        }))
    },
};

/// Names of the lines that are selected by default, and their columns.
const LINES: [(&str, ColumnSpec); 7] = [
    ("pgpgin", unknown("node_vmstat_pgpgin", "KiB read from disks since boot.")),
    ("pgpgout", unknown("node_vmstat_pgpgout", "KiB written to disks since boot.")),
    ("pswpin", unknown("node_vmstat_pswpin", "Pages swapped in since boot.")),
    ("pswpout", unknown("node_vmstat_pswpout", "Pages swapped out since boot.")),
    ("pgfault", unknown("node_vmstat_pgfault", "Page faults since boot.")),
    ("pgmajfault", unknown("node_vmstat_pgmajfault", "Page faults that needed I/O since boot.")),
    (
        "oom_kill",
        unknown("node_vmstat_oom_kill", "Processes killed for lack of memory since boot."),
    ),
];

#[derive(Debug)]
struct VirtualMemory {
    file: KeptFile,
    filter: Filter,
    targets: LineTargets,
}

impl Source for VirtualMemory {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let Self { file, filter, targets } = self;
        parse_file(file, |text| {
            if text.is_empty() {
                return Err("empty".to_owned());
            }
            for (index, line) in text.lines().enumerate() {
                let (name, value) = line.split_once(' ').unwrap_or((line, ""));
                let target = targets.get(index, name, |name| target(name, filter));
                if *target == Target::Skip {
                    continue;
                }
                let value = whole(value.trim_ascii()).ok_or_else(|| bad_line(line))?;
                write(target, value, output);
            }
            Ok(())
        })
    }
}

fn write(target: &Target, value: f64, output: &mut Output) {
    match target {
        Target::Column(column) => output.row(0, &[])[*column] = value,
        Target::Found(name) => {
            let help = "Line of /proc/vmstat.";
            output.sample(FoundFamily { name, kind: FamilyKind::Unknown, help }, &[], value);
        }
        Target::Skip => {}
    }
}

/// Returns where the value of a line goes.
fn target(name: &str, filter: &Filter) -> Target {
    if !filter.selects(name) {
        return Target::Skip;
    }
    match LINES.iter().position(|(line, _)| *line == name) {
        Some(column) => Target::Column(column),
        None => family_name("node_vmstat_", name, "").map_or(Target::Skip, Target::Found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::{Fixture, Reader};

    const VMSTAT: &str = "\
nr_free_pages 977769
pgpgin 7344136
pgpgout 1541180
pswpin 1476
pswpout 35045
pgfault 2320168809
pgmajfault 507162
pgrotated 28443
oom_kill 4
oom_kill_tomorrow 5
";

    #[test]
    fn default_fields_are_those_of_node_exporter() {
        let fixture = Fixture::new();
        fixture.file("proc/vmstat", VMSTAT);
        let expected = [
            "node_vmstat_oom_kill 4",
            "node_vmstat_oom_kill_tomorrow 5",
            "node_vmstat_pgfault 2320168809",
            "node_vmstat_pgmajfault 507162",
            "node_vmstat_pgpgin 7344136",
            "node_vmstat_pgpgout 1541180",
            "node_vmstat_pswpin 1476",
            "node_vmstat_pswpout 35045",
        ];
        assert_eq!(fixture.samples(&COLLECTOR), expected);
    }

    #[test]
    fn fields_can_be_selected() {
        let fixture = Fixture::new();
        fixture.file("proc/vmstat", VMSTAT);
        let read = |fields| {
            Reader::new(&COLLECTOR, &fixture.options_with(&[("vmstat.fields", fields)])).samples()
        };
        let expected = ["node_vmstat_nr_free_pages 977769", "node_vmstat_pgpgin 7344136"];
        assert_eq!(read("^(nr_|pgpgin)"), expected);
        assert_eq!(read("^x"), [""; 0]);
        assert_eq!(read("").len(), VMSTAT.lines().count(), "no pattern selects all");
    }

    #[test]
    fn broken_lines_matter_only_if_selected() {
        let fixture = Fixture::new();
        let mut reader = fixture.reader(&COLLECTOR);
        reader.error();
        fixture.file("proc/vmstat", "pgpgin 7\nnr_free_pages\n\nallocstall -1\npg\u{e4}fault 3\n");
        assert_eq!(reader.samples(), ["node_vmstat_pgpgin 7"]);
        for text in ["", "pgpgin", "pgpgin 1\npgfault x\n", "pgpgin -1\n"] {
            fixture.file("proc/vmstat", text);
            reader.error();
        }
        fixture.bytes("proc/vmstat", b"pgpgin \xff\n");
        reader.error();
    }
}
