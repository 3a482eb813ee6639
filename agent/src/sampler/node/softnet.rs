//! Packets that each CPU processed, from `/proc/net/softnet_stat`.

use super::column::{counter, gauge, table};
use super::files::{KeptFile, bad_line, parse_file};
use super::{Collector, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

/// Number of fields that every kernel has.
const MIN_FIELDS: usize = 9;
/// Index of the field with the number of the CPU.
const CPU_FIELD: usize = 12;

pub(super) const COLLECTOR: Collector = Collector {
    name: "softnet",
    by_default: true,
    options: &[],
    tables: |_| vec![table(&["cpu"], &COLUMNS)],
    create: |options| {
        let file = KeptFile::new(options.procfs("net/softnet_stat"));
        Ok(Box::new(Softnet { file, label: String::new() }))
    },
};

const COLUMNS: [ColumnSpec; 7] = [
    counter("node_softnet_processed_total", "Packets processed."),
    counter("node_softnet_dropped_total", "Packets dropped because the backlog was full."),
    counter("node_softnet_times_squeezed_total", "Times that packets were left for later."),
    counter("node_softnet_cpu_collision_total", "Times that another CPU held the transmit lock."),
    counter("node_softnet_received_rps_total", "Times that another CPU passed packets on."),
    counter("node_softnet_flow_limit_count_total", "Times that the flow limit was reached."),
    gauge("node_softnet_backlog_len", "Packets in the backlog."),
];
/// Indexes of the fields, by column.
const FIELDS: [usize; COLUMNS.len()] = [0, 1, 2, 8, 9, 10, 11];

#[derive(Debug)]
struct Softnet {
    file: KeptFile,
    /// The label of a row, kept for its memory.
    label: String,
}

impl Source for Softnet {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        use std::fmt::Write as _;
        let Self { file, label } = self;
        parse_file(file, |text| {
            for (number, line) in text.lines().enumerate() {
                let fields = parse(line).ok_or_else(|| bad_line(line))?;
                label.clear();
                // Writing to a string does not fail.
                let _ = match fields[CPU_FIELD] {
                    Some(cpu) => write!(label, "{cpu}"),
                    None => write!(label, "{number}"),
                };
                // Older kernels lack the last fields.
                for (value, field) in output.row(0, &[label]).iter_mut().zip(FIELDS) {
                    if let Some(field) = fields[field] {
                        *value = field.into();
                    }
                }
            }
            Ok::<_, String>(())
        })
    }
}

/// Parses the hexadecimal fields of a line.
fn parse(line: &str) -> Option<[Option<u32>; CPU_FIELD + 1]> {
    let mut fields = [None; CPU_FIELD + 1];
    let mut given = line.split_ascii_whitespace();
    for (index, field) in fields.iter_mut().enumerate() {
        match given.next() {
            Some(text) => *field = Some(u32::from_str_radix(text, 16).ok()?),
            None if index < MIN_FIELDS => return None,
            None => break,
        }
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    #[test]
    fn fields_are_hexadecimal_and_the_last_one_is_the_cpu() {
        let fixture = Fixture::new();
        fixture.file(
            "proc/net/softnet_stat",
            "00015c73 00020e76 f0000769 00000000 00000000 00000000 00000000 00000000 \
             00000004 0000000b 0000000c 0000000d 0000000a 00000000 00000000\n",
        );
        let expected = [
            r#"node_softnet_backlog_len{cpu="10"} 13"#,
            r#"node_softnet_cpu_collision_total{cpu="10"} 4"#,
            r#"node_softnet_dropped_total{cpu="10"} 134774"#,
            r#"node_softnet_flow_limit_count_total{cpu="10"} 12"#,
            r#"node_softnet_processed_total{cpu="10"} 89203"#,
            r#"node_softnet_received_rps_total{cpu="10"} 11"#,
            r#"node_softnet_times_squeezed_total{cpu="10"} 4026533737"#,
        ];
        assert_eq!(fixture.samples(&COLLECTOR), expected);
    }

    #[test]
    fn lines_of_older_kernels_are_numbered() {
        let fixture = Fixture::new();
        let line = |fields| vec!["00000001"; fields].join(" ") + "\n";
        fixture.file("proc/net/softnet_stat", &(line(9) + &line(11)));
        let lines = fixture.samples(&COLLECTOR);
        assert_eq!(lines.iter().filter(|line| line.contains(r#"cpu="0""#)).count(), 4);
        assert_eq!(lines.iter().filter(|line| line.contains(r#"cpu="1""#)).count(), 6);
    }

    #[test]
    fn broken_file_is_an_error() {
        let fixture = Fixture::new();
        let mut reader = fixture.reader(&COLLECTOR);
        reader.error();
        let broken = ["1 2 3\n", "\n", "1 2 3 4 5 6 7 8 g\n", "1 2 3 4 5 6 7 8 100000000\n", "\0"];
        for text in broken {
            fixture.file("proc/net/softnet_stat", text);
            reader.error();
        }
    }
}
