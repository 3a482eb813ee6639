//! Load averages, from `/proc/loadavg`.

use super::column::{gauge, table};
use super::files::{KeptFile, parse as parse_number, parse_file};
use super::{Collector, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "loadavg",
    by_default: true,
    options: &[],
    tables: |_| vec![table(&[], &COLUMNS)],
    create: |options| Ok(Box::new(LoadAverage { file: KeptFile::new(options.procfs("loadavg")) })),
};

const COLUMNS: [ColumnSpec; 3] = [
    gauge("node_load1", "Load average over 1 minute.").decimals(2),
    gauge("node_load5", "Load average over 5 minutes.").decimals(2),
    gauge("node_load15", "Load average over 15 minutes.").decimals(2),
];

#[derive(Debug)]
struct LoadAverage {
    file: KeptFile,
}

impl Source for LoadAverage {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let averages = parse_file(&mut self.file, parse)?;
        output.row(0, &[]).copy_from_slice(&averages);
        Ok(())
    }
}

fn parse(text: &str) -> Result<[f64; COLUMNS.len()], &'static str> {
    let mut fields = text.split_ascii_whitespace();
    let mut averages = [0.0; COLUMNS.len()];
    for average in &mut averages {
        *average = fields.next().and_then(parse_number).ok_or("no three numbers")?;
    }
    Ok(averages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    #[test]
    fn averages_are_read() {
        let fixture = Fixture::new();
        fixture.file("proc/loadavg", "0.21 0.37 10.39 1/719 19737\n");
        assert_eq!(
            fixture.samples(&COLLECTOR),
            ["node_load1 0.21", "node_load15 10.39", "node_load5 0.37"]
        );
    }

    #[test]
    fn truncated_file_is_an_error() {
        let fixture = Fixture::new();
        let mut reader = fixture.reader(&COLLECTOR);
        for text in ["", "0.21 0.3", "0.21 x 10.39", "0.21 inf 10.39"] {
            fixture.file("proc/loadavg", text);
            reader.error();
        }
    }
}
