//! Times of the scheduler by CPU, from `/proc/schedstat`.

use super::column::{counter, table};
use super::files::KeptFile;
use super::number::whole;
use super::{Collector, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

/// Nanoseconds per second.
const NANOS: f64 = 1e9;
/// Numbers before those that are read.
const SKIPPED_NUMBERS: usize = 6;

pub(super) const COLLECTOR: Collector = Collector {
    name: "schedstat",
    by_default: true,
    options: &[],
    tables: |_| vec![table(&["cpu"], &COLUMNS)],
    create: |options| Ok(Box::new(Scheduler { file: KeptFile::new(options.procfs("schedstat")) })),
};

const COLUMNS: [ColumnSpec; 3] = [
    counter("node_schedstat_running_seconds_total", "Time in which the CPU ran tasks.").decimals(9),
    counter("node_schedstat_waiting_seconds_total", "Time that tasks waited for the CPU.")
        .decimals(9),
    counter("node_schedstat_timeslices_total", "Time slices that ran on the CPU."),
];

#[derive(Debug)]
struct Scheduler {
    file: KeptFile,
}

impl Source for Scheduler {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let text = self.file.read_if_exists()?.ok_or(SourceError::NothingFound)?;
        // Lines of other kinds and broken ones are skipped.
        for (cpu, values) in text.lines().filter_map(parse) {
            output.row(0, &[cpu]).copy_from_slice(&values);
        }
        Ok(())
    }
}

/// Parses the line of a CPU. Returns its number and values.
fn parse(line: &str) -> Option<(&str, [f64; COLUMNS.len()])> {
    let (cpu, numbers) = line.strip_prefix("cpu")?.split_once(' ')?;
    cpu.parse::<u32>().ok()?;
    let mut numbers = numbers.split_ascii_whitespace().skip(SKIPPED_NUMBERS).map(whole);
    let mut next = || numbers.next().flatten();
    Some((cpu, [next()? / NANOS, next()? / NANOS, next()?]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    #[test]
    fn times_are_read_and_broken_lines_skipped() {
        let fixture = Fixture::new();
        fixture.file(
            "proc/schedstat",
            "version 15\ntimestamp 15819019232\n\
             cpu0 49849 0 35334 2553969831 2853 8 2045936778163 343796328169361 4767485306\n\
             domain0 00000000,00000003 212499247 210112015\n\
             cpu1 1 2 3 4 5 6 1500000000 1 x\n\
             cpu2 1 2 3 4 5 6 1500000000\n\
             cpux 1 2 3 4 5 6 7 8 9\n\
             cpu3 1 2 3 4 5 6 1500000000 0 8 9 10",
        );
        let expected = [
            r#"node_schedstat_running_seconds_total{cpu="0"} 2045.936778163"#,
            r#"node_schedstat_running_seconds_total{cpu="3"} 1.5"#,
            r#"node_schedstat_timeslices_total{cpu="0"} 4767485306"#,
            r#"node_schedstat_timeslices_total{cpu="3"} 8"#,
            r#"node_schedstat_waiting_seconds_total{cpu="0"} 343796.328169361"#,
            r#"node_schedstat_waiting_seconds_total{cpu="3"} 0"#,
        ];
        assert_eq!(fixture.samples(&COLLECTOR), expected);
        fixture.bytes("proc/schedstat", b"\xff\x00cpu0 1\n");
        assert_eq!(fixture.samples(&COLLECTOR), [""; 0]);
    }

    #[test]
    fn kernel_without_the_file_has_nothing() {
        let mut reader = Fixture::new().reader(&COLLECTOR);
        assert_eq!(reader.error(), SourceError::NothingFound);
    }
}
