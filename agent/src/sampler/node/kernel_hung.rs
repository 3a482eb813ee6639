//! Hung tasks that the kernel detected, from `/proc/sys/kernel/hung_task_detect_count`.

use super::column::{counter, table};
use super::files::{KeptFile, parse_existing_file};
use super::number::whole;
use super::{Collector, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "kernel_hung",
    by_default: true,
    options: &[],
    tables: |_| vec![table(&[], &COLUMNS)],
    create: |options| {
        let path = options.procfs("sys/kernel/hung_task_detect_count");
        Ok(Box::new(HungTasks { file: KeptFile::new(path) }))
    },
};

const COLUMNS: [ColumnSpec; 1] =
    [counter("node_kernel_hung_tasks_total", "Hung tasks that the kernel detected.")];

#[derive(Debug)]
struct HungTasks {
    file: KeptFile,
}

impl Source for HungTasks {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let count = |text: &str| whole(text.trim()).ok_or("not a whole number");
        output.row(0, &[])[0] = parse_existing_file(&mut self.file, count)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    #[test]
    fn count_is_read_if_the_kernel_has_it() {
        let fixture = Fixture::new();
        let mut reader = fixture.reader(&COLLECTOR);
        assert_eq!(reader.error(), SourceError::NothingFound);
        fixture.file("proc/sys/kernel/hung_task_detect_count", "3\n");
        assert_eq!(reader.samples(), ["node_kernel_hung_tasks_total 3"]);
        for text in ["", "x", "-1\n"] {
            fixture.file("proc/sys/kernel/hung_task_detect_count", text);
            assert!(matches!(reader.error(), SourceError::Failed(_)), "{text:?}");
        }
    }
}
