//! Interrupts by CPU and source, from `/proc/interrupts`.

use super::column::{counter, table};
use super::files::{KeptFile, parse_file};
use super::filter::Filter;
use super::number::{numbered, whole};
use super::{Collector, NodeOption, OptionKind, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

/// Maximum number of rows. A host with 64 CPUs and 200 interrupts has 12,800. Further ones are left
/// out.
const MAX_ROWS: usize = 200_000;

pub(super) const COLLECTOR: Collector = Collector {
    name: "interrupts",
    by_default: false,
    options: &[
        NodeOption { name: "interrupts.name-include", kind: OptionKind::Pattern, default: "" },
        NodeOption { name: "interrupts.name-exclude", kind: OptionKind::Pattern, default: "" },
        NodeOption { name: "interrupts.include-zeros", kind: OptionKind::Switch, default: "true" },
    ],
    tables: |_| vec![table(&["cpu", "type", "info", "devices"], &COLUMNS)],
    create: |options| {
        Ok(Box::new(Interrupts {
            file: KeptFile::new(options.procfs("interrupts")),
            filter: options.filter("interrupts.name-include", "interrupts.name-exclude"),
            zeros: options.switch("interrupts.include-zeros"),
            line: Line::default(),
        }))
    },
};

const COLUMNS: [ColumnSpec; 1] =
    [counter("node_interrupts_total", "Interrupts that the CPU handled since boot.")];

#[derive(Debug)]
struct Interrupts {
    file: KeptFile,
    /// Selects lines by `type;info;devices`.
    filter: Filter,
    /// Whether to report interrupts that never occurred.
    zeros: bool,
    line: Line,
}

/// Texts of a line, kept for their memory.
#[derive(Debug, Default)]
struct Line {
    info: String,
    devices: String,
    /// What the filter selects by.
    name: String,
}

impl Source for Interrupts {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let Self { file, filter, zeros, line } = self;
        parse_file(file, |text| {
            let mut lines = text.lines();
            let header = lines.next().unwrap_or_default();
            let cpus = header.split_ascii_whitespace().map(|name| numbered(name, "CPU"));
            let cpus: Vec<&str> = cpus.collect::<Option<_>>().unwrap_or_default();
            if cpus.is_empty() {
                return Err("no CPUs in the first line".to_owned());
            }
            let mut room = MAX_ROWS;
            for (kind, text) in lines.filter_map(|line| line.split_once(':')) {
                let kind = kind.trim_ascii();
                if !line.parse(kind, text, cpus.len()) || !line.is_selected(kind, filter) {
                    continue;
                }
                for (cpu, count) in cpus.iter().zip(text.split_ascii_whitespace()) {
                    let count = whole(count).ok_or_else(|| format!("bad count of {kind:?}"))?;
                    if room > 0 && (*zeros || count != 0.0) {
                        output.row(0, &[cpu, kind, &line.info, &line.devices])[0] = count;
                        room -= 1;
                    }
                }
            }
            Ok(())
        })
    }
}

impl Line {
    /// Parses what follows the counts of the CPUs. Returns `false` if nothing does: the line has no
    /// count for each CPU.
    fn parse(&mut self, kind: &str, text: &str, cpus: usize) -> bool {
        let Self { info, devices, name: _ } = self;
        info.clear();
        devices.clear();
        let mut words = text.split_ascii_whitespace().skip(cpus);
        // Only lines of numbered interrupts name devices.
        if kind.parse::<u32>().is_ok() {
            words.by_ref().take(1).for_each(|word| info.push_str(word));
            join(devices, words);
        } else {
            join(info, words);
        }
        !info.is_empty()
    }

    fn is_selected(&mut self, kind: &str, filter: &Filter) -> bool {
        self.name.clear();
        for part in [kind, ";", &self.info, ";", &self.devices] {
            self.name.push_str(part);
        }
        filter.selects(&self.name)
    }
}

/// Appends words, with a space between them.
fn join<'a>(text: &mut String, words: impl Iterator<Item = &'a str>) {
    for word in words {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::{Fixture, Reader};

    const INTERRUPTS: &str = "           CPU0       CPU2
  0:         18          0   IO-APIC   edge   timer
 16:          0          3   IO-APIC   edge   a,  \"b\"
NMI:         47       5031   Non-maskable interrupts
ERR:          0
MIS:          7
";

    #[test]
    fn interrupts_are_read_by_cpu() {
        let fixture = Fixture::new();
        fixture.file("proc/interrupts", INTERRUPTS);
        let expected = [
            r#"node_interrupts_total{cpu="0",devices="edge a, \"b\"",info="IO-APIC",type="16"} 0"#,
            r#"node_interrupts_total{cpu="0",devices="edge timer",info="IO-APIC",type="0"} 18"#,
            r#"node_interrupts_total{cpu="0",info="Non-maskable interrupts",type="NMI"} 47"#,
            r#"node_interrupts_total{cpu="2",devices="edge a, \"b\"",info="IO-APIC",type="16"} 3"#,
            r#"node_interrupts_total{cpu="2",devices="edge timer",info="IO-APIC",type="0"} 0"#,
            r#"node_interrupts_total{cpu="2",info="Non-maskable interrupts",type="NMI"} 5031"#,
        ];
        assert_eq!(fixture.samples(&COLLECTOR), expected);
    }

    #[test]
    fn interrupts_can_be_selected() {
        let fixture = Fixture::new();
        fixture.file("proc/interrupts", INTERRUPTS);
        let count = |options: &[(&str, &str)]| {
            Reader::new(&COLLECTOR, &fixture.options_with(options)).samples().len()
        };
        assert_eq!(count(&[("interrupts.include-zeros", "false")]), 4);
        assert_eq!(count(&[("interrupts.name-include", "^NMI;Non")]), 2);
        assert_eq!(count(&[("interrupts.name-exclude", ";IO-APIC;.*timer$")]), 4);
    }

    #[test]
    fn lines_without_a_count_for_each_cpu_are_skipped() {
        let fixture = Fixture::new();
        fixture.file("proc/interrupts", "CPU0 CPU1\nA: 1 2\nB: 1\nC\n: 1 2 x\n 5:1 2 Edge\n6: 1 2");
        let lines = fixture.samples(&COLLECTOR);
        let cpu0 = [
            r#"node_interrupts_total{cpu="0",info="Edge",type="5"} 1"#,
            r#"node_interrupts_total{cpu="0",info="x"} 1"#,
        ];
        assert_eq!(lines[..2], cpu0);
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn number_of_rows_is_bounded() {
        let fixture = Fixture::new();
        let line = |index| format!("i{index}: 1 x\n");
        let lines: String = (0..MAX_ROWS + 10).map(line).collect();
        fixture.file("proc/interrupts", &format!("CPU0\n{lines}"));
        assert_eq!(fixture.samples(&COLLECTOR).len(), MAX_ROWS);
    }

    #[test]
    fn broken_file_is_an_error() {
        let fixture = Fixture::new();
        let mut reader = fixture.reader(&COLLECTOR);
        reader.error();
        for text in
            ["", "\n", "CPU\n", "CPU0 CPUx\n", "CPU0\n1: x Edge timer\n", "CPU0\n1: -1 Edge\n"]
        {
            fixture.file("proc/interrupts", text);
            reader.error();
        }
        fixture.bytes("proc/interrupts", b"CPU0\n1: \xff\x00 Edge\n");
        reader.error();
    }
}
