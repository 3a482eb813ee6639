//! Pressure stall information, from `/proc/pressure`.

use super::column::{counter, table};
use super::files::{KeptFile, malformed};
use super::number::whole;
use super::{Collector, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

/// Microseconds per second.
const MICROS: f64 = 1e6;

pub(super) const COLLECTOR: Collector = Collector {
    name: "pressure",
    by_default: true,
    options: &[],
    tables: |_| vec![table(&[], &COLUMNS)],
    create: |options| {
        let file = |name: &str| KeptFile::new(options.procfs("pressure").join(name));
        Ok(Box::new(Pressure { files: FILES.map(|(name, _)| file(name)) }))
    },
};

const COLUMNS: [ColumnSpec; 6] = [
    seconds("node_pressure_cpu_waiting_seconds_total", "Time in which a task waited for a CPU."),
    seconds("node_pressure_io_waiting_seconds_total", "Time in which a task waited for I/O."),
    seconds("node_pressure_io_stalled_seconds_total", "Time in which all tasks waited for I/O."),
    seconds("node_pressure_memory_waiting_seconds_total", "Time in which a task lacked memory."),
    seconds("node_pressure_memory_stalled_seconds_total", "Time in which all tasks lacked memory."),
    seconds("node_pressure_irq_stalled_seconds_total", "Time in which interrupts held up a task."),
];

const fn seconds(name: &'static str, help: &'static str) -> ColumnSpec {
    counter(name, help).decimals(6)
}

/// Starts of the lines of a file.
const LINES: [&str; 2] = ["some ", "full "];
/// Files, with the column of each line that is read. The last file is optional: the kernel has it
/// only if it accounts for the time of interrupts.
const FILES: [(&str, [Option<usize>; LINES.len()]); 4] = [
    ("cpu", [Some(0), None]),
    ("io", [Some(1), Some(2)]),
    ("memory", [Some(3), Some(4)]),
    ("irq", [None, Some(5)]),
];

#[derive(Debug)]
struct Pressure {
    files: [KeptFile; FILES.len()],
}

impl Source for Pressure {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let mut totals = [None; COLUMNS.len()];
        for (file, (name, columns)) in self.files.iter_mut().zip(FILES) {
            let is_optional = name == "irq";
            // Most kernels lack the optional file: its value is looked for rarely.
            let text = if is_optional { Ok(file.value()) } else { file.read_if_exists() };
            let read = text.map(|text| text.map(|text| LINES.map(|line| total(text, line))));
            let found = match read {
                Ok(Some(found)) => found,
                _ if is_optional => continue,
                Ok(None) => return Err(SourceError::NothingFound),
                Err(_) if is_disabled(file) => return Err(SourceError::NothingFound),
                Err(error) => return Err(error),
            };
            for (column, total) in columns.iter().zip(found) {
                let Some(column) = column else { continue };
                if total.is_none() && !is_optional {
                    return Err(malformed(file, "a total is missing"));
                }
                totals[*column] = total;
            }
        }
        for (value, total) in output.row(0, &[]).iter_mut().zip(totals) {
            if let Some(total) = total {
                *value = total / MICROS;
            }
        }
        Ok(())
    }
}

/// Returns the total of the line with this start, in microseconds.
fn total(text: &str, start: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(start))?;
    line.split_ascii_whitespace().find_map(|field| field.strip_prefix("total=")).and_then(whole)
}

/// Returns whether the kernel has the file but was booted without pressure stall information.
fn is_disabled(file: &KeptFile) -> bool {
    let not_supported = rustix::io::Errno::OPNOTSUPP.raw_os_error();
    let error = std::fs::read(file.path()).err();
    error.is_some_and(|error| error.raw_os_error() == Some(not_supported))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    const SOME: &str = "some avg10=0.10 avg60=2.00 avg300=3.85 total=14036\n";
    const FULL: &str = "full avg10=0.20 avg60=3.00 avg300=4.95 total=1000000\n";

    fn host() -> Fixture {
        let fixture = Fixture::new();
        let both = format!("{SOME}{FULL}");
        fixture.files("proc/pressure", &[("cpu", &both), ("io", &both), ("memory", &both)]);
        fixture
    }

    #[test]
    fn totals_are_seconds() {
        let fixture = host();
        let expected = [
            "node_pressure_cpu_waiting_seconds_total 0.014036",
            "node_pressure_io_stalled_seconds_total 1",
            "node_pressure_io_waiting_seconds_total 0.014036",
            "node_pressure_memory_stalled_seconds_total 1",
            "node_pressure_memory_waiting_seconds_total 0.014036",
        ];
        assert_eq!(fixture.samples(&COLLECTOR), expected);
        fixture.file("proc/pressure/irq", FULL);
        assert_eq!(fixture.samples(&COLLECTOR)[3], "node_pressure_irq_stalled_seconds_total 1");
    }

    #[test]
    fn broken_irq_file_costs_only_its_sample() {
        let fixture = host();
        fixture.file("proc/pressure/irq", SOME);
        assert_eq!(fixture.samples(&COLLECTOR).len(), 5);
    }

    #[test]
    fn kernel_without_pressure_has_nothing() {
        let fixture = Fixture::new();
        let mut reader = fixture.reader(&COLLECTOR);
        assert_eq!(reader.error(), SourceError::NothingFound);
    }

    #[test]
    fn broken_file_is_an_error() {
        let fixture = host();
        let mut reader = fixture.reader(&COLLECTOR);
        for text in ["", SOME, "some total=1\nfull total=x\n", "some total=1\nfull avg10=0\n", "\0"]
        {
            fixture.file("proc/pressure/io", text);
            assert!(matches!(reader.error(), SourceError::Failed(_)), "{text:?}");
        }
    }
}
