//! Statistics of SCSI tape drives, from `/sys/class/scsi_tape/st*/stats`.

use super::column::{counter, gauge, table};
use super::files::DeviceFiles;
use super::filter::Filter;
use super::number::numbered;
use super::{Collector, NodeOption, OptionKind, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "tapestats",
    by_default: true,
    options: &[NodeOption {
        name: "tapestats.ignored-devices",
        kind: OptionKind::Pattern,
        default: "^$",
    }],
    tables: |_| vec![table(&["device"], &COLUMNS)],
    create: |options| {
        let drives = DeviceFiles::of_files(options.sysfs("class/scsi_tape"), &FILES);
        Ok(Box::new(Tapes { drives, filter: options.filter("", "tapestats.ignored-devices") }))
    },
};

#[rustfmt::skip] // one line each
const COLUMNS: [ColumnSpec; 10] = [
    gauge("node_tape_io_now", "Requests in flight."),
    counter("node_tape_io_others_total", "Completed requests that are neither reads nor writes."),
    counter("node_tape_io_time_seconds_total", "Time waited for requests of any kind.").decimals(9),
    counter("node_tape_read_bytes_total", "Bytes read."),
    counter("node_tape_read_time_seconds_total", "Time waited for reads.").decimals(9),
    counter("node_tape_reads_completed_total", "Completed reads."),
    counter("node_tape_residual_total", "Reads and writes of fewer bytes than asked for."),
    counter("node_tape_write_time_seconds_total", "Time waited for writes.").decimals(9),
    counter("node_tape_writes_completed_total", "Completed writes."),
    counter("node_tape_written_bytes_total", "Bytes written."),
];

/// The file of each column.
const FILES: [&str; COLUMNS.len()] = [
    "stats/in_flight",
    "stats/other_cnt",
    "stats/io_ns",
    "stats/read_byte_cnt",
    "stats/read_ns",
    "stats/read_cnt",
    "stats/resid_cnt",
    "stats/write_ns",
    "stats/write_cnt",
    "stats/write_byte_cnt",
];

const NANOSECONDS_PER_SECOND: f64 = 1e9;

#[derive(Debug)]
struct Tapes {
    drives: DeviceFiles,
    filter: Filter,
}

impl Source for Tapes {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let filter = &self.filter;
        let drives = self.drives.list(|name| is_drive(name) && filter.selects(name))?;
        for drive in drives {
            let row = output.row(0, &[drive.name()]);
            for (index, value) in row.iter_mut().enumerate() {
                let unit = if FILES[index].ends_with("_ns") { NANOSECONDS_PER_SECOND } else { 1.0 };
                if let Some(number) = drive.number(index) {
                    *value = number / unit;
                }
            }
        }
        Ok(())
    }
}

/// Returns whether this is a tape drive. Other names (`nst0`, `st0a`) are its other device files.
fn is_drive(name: &str) -> bool {
    numbered(name, "st").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::{Fixture, Reader};

    fn add_drive(fixture: &Fixture, name: &str) {
        let numbers = ["1", "1409", "9247011087720", "979383912", "33788355744"];
        let more = ["3741", "19", "5233597394395", "53772916", "1496246784000"];
        let files = FILES.into_iter().zip(numbers.into_iter().chain(more));
        let directory = format!("sys/class/scsi_tape/{name}");
        fixture.files(&directory, &files.collect::<Vec<_>>());
    }

    #[test]
    fn drives_are_read_and_their_other_device_files_are_not() {
        let fixture = Fixture::new();
        for name in ["st0", "nst0", "st0a", "st", "nst0m"] {
            add_drive(&fixture, name);
        }
        assert_eq!(
            fixture.samples(&COLLECTOR),
            [
                "node_tape_io_now{device=\"st0\"} 1",
                "node_tape_io_others_total{device=\"st0\"} 1409",
                "node_tape_io_time_seconds_total{device=\"st0\"} 9247.01108772",
                "node_tape_read_bytes_total{device=\"st0\"} 979383912",
                "node_tape_read_time_seconds_total{device=\"st0\"} 33.788355744",
                "node_tape_reads_completed_total{device=\"st0\"} 3741",
                "node_tape_residual_total{device=\"st0\"} 19",
                "node_tape_write_time_seconds_total{device=\"st0\"} 5233.597394395",
                "node_tape_writes_completed_total{device=\"st0\"} 53772916",
                "node_tape_written_bytes_total{device=\"st0\"} 1496246784000",
            ]
        );
    }

    #[test]
    fn ignored_drives_are_left_out() {
        let fixture = Fixture::new();
        add_drive(&fixture, "st0");
        add_drive(&fixture, "st1");
        let options = fixture.options_with(&[("tapestats.ignored-devices", "^st0$")]);
        let samples = Reader::new(&COLLECTOR, &options).samples();
        assert_eq!(samples.len(), COLUMNS.len());
        assert!(samples.iter().all(|line| line.contains("{device=\"st1\"}")));
    }

    #[test]
    fn host_without_drives_has_nothing_and_broken_files_have_no_value() {
        let fixture = Fixture::new();
        let mut reader = fixture.reader(&COLLECTOR);
        assert_eq!(reader.error(), SourceError::NothingFound);
        fixture.directory("sys/class/scsi_tape");
        assert!(reader.samples().is_empty());
        fixture.bytes("sys/class/scsi_tape/st0/stats/in_flight", b"\xff\0");
        fixture.file("sys/class/scsi_tape/st0/stats/read_cnt", "5");
        assert_eq!(reader.samples(), ["node_tape_reads_completed_total{device=\"st0\"} 5"]);
        fixture.remove("sys/class/scsi_tape/st0");
        assert!(reader.samples().is_empty());
    }
}
