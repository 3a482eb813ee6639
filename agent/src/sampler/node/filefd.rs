//! Open files of the host, from `/proc/sys/fs/file-nr`.

use super::column::{gauge, table};
use super::files::{KeptFile, parse_file};
use super::number::whole;
use super::{Collector, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "filefd",
    by_default: true,
    options: &[],
    tables: |_| vec![table(&[], &COLUMNS)],
    create: |options| {
        Ok(Box::new(OpenFiles { file: KeptFile::new(options.procfs("sys/fs/file-nr")) }))
    },
};

const COLUMNS: [ColumnSpec; 2] = [
    gauge("node_filefd_allocated", "File handles in use."),
    gauge("node_filefd_maximum", "Maximum number of file handles."),
];

#[derive(Debug)]
struct OpenFiles {
    file: KeptFile,
}

impl Source for OpenFiles {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let (allocated, maximum) = parse_file(&mut self.file, |text| {
            let mut fields = text.split_ascii_whitespace();
            // The second field is unused.
            let (allocated, maximum) = (fields.next(), fields.nth(1));
            allocated.and_then(whole).zip(maximum.and_then(whole)).ok_or("no three numbers")
        })?;
        output.row(0, &[]).copy_from_slice(&[allocated, maximum]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    #[test]
    fn first_and_third_field_are_read() {
        let fixture = Fixture::new();
        fixture.file("proc/sys/fs/file-nr", "1024\t0\t9223372036854775807\n");
        assert_eq!(
            fixture.samples(&COLLECTOR),
            ["node_filefd_allocated 1024", "node_filefd_maximum 9223372036854776000"]
        );
    }

    #[test]
    fn broken_file_is_an_error() {
        let fixture = Fixture::new();
        let mut reader = fixture.reader(&COLLECTOR);
        reader.error();
        for text in ["", "1024", "1024\t0\n", "x\t0\t3\n", "1\t0\t-3\n", "\0\0"] {
            fixture.file("proc/sys/fs/file-nr", text);
            reader.error();
        }
    }
}
