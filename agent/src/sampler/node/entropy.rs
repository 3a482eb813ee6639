//! The entropy pool of the kernel, from `/proc/sys/kernel/random`.

use super::column::{gauge, table};
use super::files::{KeptFile, whole_number};
use super::{Collector, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "entropy",
    by_default: true,
    options: &[],
    tables: |_| vec![table(&[], &COLUMNS)],
    create: |options| {
        let file = |name: &str| KeptFile::new(options.procfs("sys/kernel/random").join(name));
        Ok(Box::new(Entropy { files: FILES.map(file) }))
    },
};

const COLUMNS: [ColumnSpec; 2] = [
    gauge("node_entropy_available_bits", "Bits of entropy available."),
    gauge("node_entropy_pool_size_bits", "Size of the entropy pool, in bits."),
];
/// Names of the files, by column.
const FILES: [&str; COLUMNS.len()] = ["entropy_avail", "poolsize"];

#[derive(Debug)]
struct Entropy {
    files: [KeptFile; FILES.len()],
}

impl Source for Entropy {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let mut bits = [0.0; FILES.len()];
        for (file, bits) in self.files.iter_mut().zip(&mut bits) {
            *bits = whole_number(file)?;
        }
        output.row(0, &[]).copy_from_slice(&bits);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    #[test]
    fn bits_are_read() {
        let fixture = Fixture::new();
        let files = [("entropy_avail", "1337\n"), ("poolsize", "4096\n")];
        fixture.files("proc/sys/kernel/random", &files);
        assert_eq!(
            fixture.samples(&COLLECTOR),
            ["node_entropy_available_bits 1337", "node_entropy_pool_size_bits 4096"]
        );
    }

    #[test]
    fn missing_or_broken_file_is_an_error() {
        let fixture = Fixture::new();
        let mut reader = fixture.reader(&COLLECTOR);
        reader.error();
        fixture.file("proc/sys/kernel/random/entropy_avail", "256\n");
        reader.error();
        for text in ["", "x\n", "-1\n", "\0"] {
            fixture.file("proc/sys/kernel/random/poolsize", text);
            reader.error();
        }
    }
}
