//! Interrupts, context switches, processes and the boot time, from `/proc/stat`.

use super::column::{counter, gauge, table};
use super::files::{KeptFile, bad_line, parse_file};
use super::number::whole;
use super::{Collector, NodeOption, NodeOptions, OptionKind, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output, TableSpec};

pub(super) const COLLECTOR: Collector = Collector {
    name: "stat",
    by_default: true,
    options: &[NodeOption { name: "stat.softirq", kind: OptionKind::Switch, default: "false" }],
    tables,
    create: |options| {
        Ok(Box::new(Stat {
            file: KeptFile::shared(options.procfs("stat")),
            softirqs: options.switch("stat.softirq"),
        }))
    },
};

const COLUMNS: [ColumnSpec; 6] = [
    counter("node_intr_total", "Interrupts since boot."),
    counter("node_context_switches_total", "Context switches since boot."),
    gauge("node_boot_time_seconds", "Unix time at which the host was booted."),
    counter("node_forks_total", "Processes and threads created since boot."),
    gauge("node_procs_running", "Threads that run or are ready to run."),
    gauge("node_procs_blocked", "Threads that wait for I/O."),
];
/// Names of the lines, by column.
const LINES: [&str; COLUMNS.len()] =
    ["intr", "ctxt", "btime", "processes", "procs_running", "procs_blocked"];

const SOFTIRQ_COLUMNS: [ColumnSpec; 10] = [
    softirqs(&[("vector", "hi")]),
    softirqs(&[("vector", "timer")]),
    softirqs(&[("vector", "net_tx")]),
    softirqs(&[("vector", "net_rx")]),
    softirqs(&[("vector", "block")]),
    softirqs(&[("vector", "block_iopoll")]),
    softirqs(&[("vector", "tasklet")]),
    softirqs(&[("vector", "sched")]),
    softirqs(&[("vector", "hrtimer")]),
    softirqs(&[("vector", "rcu")]),
];

const fn softirqs(vector: &'static [(&'static str, &'static str)]) -> ColumnSpec {
    counter("node_softirqs_total", "Soft interrupts since boot.").labelled(vector)
}

fn tables(options: &NodeOptions) -> Vec<TableSpec> {
    let mut tables = vec![table(&[], &COLUMNS)];
    if options.switch("stat.softirq") {
        tables.push(table(&[], &SOFTIRQ_COLUMNS));
    }
    tables
}

#[derive(Debug)]
struct Stat {
    file: KeptFile,
    softirqs: bool,
}

impl Source for Stat {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let Self { file, softirqs } = self;
        parse_file(file, |text| {
            let mut found = false;
            for line in text.lines().filter(|line| !line.starts_with("cpu")) {
                let Some((name, numbers)) = line.split_once(' ') else { continue };
                let mut numbers = numbers.split_ascii_whitespace();
                if let Some(column) = LINES.iter().position(|line| *line == name) {
                    let number = numbers.next().and_then(whole).ok_or_else(|| bad_line(line))?;
                    output.row(0, &[])[column] = number;
                    found = true;
                } else if name == "softirq" && *softirqs {
                    // The first number is the sum.
                    let row = output.row(1, &[]).iter_mut();
                    for (value, number) in row.zip(numbers.skip(1)) {
                        *value = whole(number).ok_or_else(|| bad_line(line))?;
                    }
                }
            }
            if found { Ok(()) } else { Err("no known line".to_owned()) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::{Fixture, Reader};

    const STAT: &str = "\
cpu  31159 68 12003 1860310 517 0 49 6 0 0
cpu0 30149 19 8001 930155 258 0 40 5 0 0
intr 8885917 17 0 0 0
ctxt 38014093
btime 1418183276
processes 26442
procs_running 2
procs_blocked 1
softirq 5057579 250191 1481983 1647 211099 186066 0 1783454 622196 12499 508444
";

    #[test]
    fn lines_are_read() {
        let fixture = Fixture::new();
        fixture.file("proc/stat", STAT);
        let expected = [
            "node_boot_time_seconds 1418183276",
            "node_context_switches_total 38014093",
            "node_forks_total 26442",
            "node_intr_total 8885917",
            "node_procs_blocked 1",
            "node_procs_running 2",
        ];
        assert_eq!(fixture.samples(&COLLECTOR), expected);
    }

    #[test]
    fn soft_interrupts_are_read_if_selected() {
        let fixture = Fixture::new();
        fixture.file("proc/stat", STAT);
        let options = fixture.options_with(&[("stat.softirq", "true")]);
        let lines = Reader::new(&COLLECTOR, &options).samples();
        assert_eq!(lines.len(), 16);
        assert!(lines.contains(&r#"node_softirqs_total{vector="hi"} 250191"#.to_owned()));
        assert!(lines.contains(&r#"node_softirqs_total{vector="rcu"} 508444"#.to_owned()));
    }

    #[test]
    fn missing_lines_have_no_samples() {
        let fixture = Fixture::new();
        fixture.file("proc/stat", "cpu 1 2 3 4\nctxt 5\nsoftirq\nnew_line 1 2\nintr");
        assert_eq!(fixture.samples(&COLLECTOR), ["node_context_switches_total 5"]);
    }

    #[test]
    fn broken_file_is_an_error() {
        let fixture = Fixture::new();
        let mut reader = fixture.reader(&COLLECTOR);
        reader.error();
        for text in ["", "cpu 1 2\n", "ctxt x\n", "ctxt 1\nbtime -4\n", "ctxt 1\nintr \n"] {
            fixture.file("proc/stat", text);
            reader.error();
        }
        fixture.bytes("proc/stat", b"ctxt 1\nprocesses \xff\x00\n");
        reader.error();
    }
}
