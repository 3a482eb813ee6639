//! I/O of block devices, from `/proc/diskstats`, and what udev knows about them.

use super::column::{counter, gauge, table};
use super::every::EveryNth;
use super::files::{KeptFile, bad_line, parse, parse_file};
use super::filter::Filter;
use super::number::whole;
use super::udev::Properties;
use super::{Collector, NodeOption, NodeOptions, OptionKind, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "diskstats",
    by_default: true,
    options: &[
        NodeOption { name: "diskstats.device-include", kind: OptionKind::Pattern, default: "" },
        NodeOption {
            name: "diskstats.device-exclude",
            kind: OptionKind::Pattern,
            default: r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$",
        },
    ],
    tables: |_| {
        vec![
            table(&["device"], &COLUMNS),
            table(
                &INFO_LABELS,
                &[gauge("node_disk_info", "Identity of a block device, always 1.")],
            ),
            table(
                &["device", "type", "usage", "uuid", "version"],
                &[gauge("node_disk_filesystem_info", "Filesystem on a block device, always 1.")],
            ),
            table(
                &["device", "name", "uuid", "vg_name", "lv_name", "lv_layer"],
                &[gauge("node_disk_device_mapper_info", "Device mapper's names, always 1.")],
            ),
        ]
    },
    create: |options| Ok(Box::new(DiskStats::new(options))),
};

/// Indexes of the tables.
const DISKS: usize = 0;
const INFO: usize = 1;
const FILESYSTEM: usize = 2;
const MAPPER: usize = 3;

const INFO_LABELS: [&str; 9] =
    ["device", "major", "minor", "path", "wwn", "model", "serial", "revision", "rotational"];

/// Maximum number of devices. Further ones are ignored.
const MAX_DISKS: usize = 10_000;
/// Number of readings from one reading of udev's data to the next, while the devices are the same.
const INFO_READINGS: u32 = 40;

/// Number of statistics of a device in all kernels, and up to which field with discards and with
/// flushes. A line ends at one of them.
const STATISTICS: [usize; 3] = [11, 15, 17];
const MAX_STATISTICS: usize = STATISTICS[2];

/// The columns: statistics in the order of a line, then those of [`ATA`].
#[rustfmt::skip]
const COLUMNS: [ColumnSpec; MAX_STATISTICS + ATA.len()] = [
    counter("node_disk_reads_completed_total", "Number of completed reads."),
    counter("node_disk_reads_merged_total", "Number of reads merged with adjacent ones."),
    counter("node_disk_read_bytes_total", "Bytes read."),
    seconds("node_disk_read_time_seconds_total", "Time that reads took, summed."),
    counter("node_disk_writes_completed_total", "Number of completed writes."),
    counter("node_disk_writes_merged_total", "Number of writes merged with adjacent ones."),
    counter("node_disk_written_bytes_total", "Bytes written."),
    seconds("node_disk_write_time_seconds_total", "Time that writes took, summed."),
    gauge("node_disk_io_now", "Number of requests in flight."),
    seconds("node_disk_io_time_seconds_total", "Time with at least one request in flight."),
    seconds("node_disk_io_time_weighted_seconds_total", "Time of requests in flight, summed."),
    counter("node_disk_discards_completed_total", "Number of completed discards."),
    counter("node_disk_discards_merged_total", "Number of discards merged with adjacent ones."),
    counter("node_disk_discarded_sectors_total", "Number of discarded sectors of 512 bytes."),
    seconds("node_disk_discard_time_seconds_total", "Time that discards took, summed."),
    counter("node_disk_flush_requests_total", "Number of completed flushes."),
    seconds("node_disk_flush_requests_time_seconds_total", "Time that flushes took, summed."),
    gauge("node_disk_ata_write_cache", "Whether an ATA disk has a write cache."),
    gauge("node_disk_ata_write_cache_enabled", "Whether an ATA disk's write cache is on."),
    gauge("node_disk_ata_rotation_rate_rpm", "Revolutions per minute of an ATA disk, 0: SSD."),
];

/// udev's properties of ATA disks, in the order of the columns.
const ATA: [&str; 3] =
    ["ID_ATA_WRITE_CACHE", "ID_ATA_WRITE_CACHE_ENABLED", "ID_ATA_ROTATION_RATE_RPM"];

/// Units of a line in a unit of the column: sectors in a byte, milliseconds in a second.
const PER_UNIT: [f64; MAX_STATISTICS] = {
    const BYTE: f64 = 1.0 / 512.0;
    const SECOND: f64 = 1000.0;
    [
        1.0, 1.0, BYTE, SECOND, 1.0, 1.0, BYTE, SECOND, 1.0, SECOND, SECOND, 1.0, 1.0, 1.0, SECOND,
        1.0, SECOND,
    ]
};

const fn seconds(name: &'static str, help: &'static str) -> ColumnSpec {
    counter(name, help).decimals(3)
}

#[derive(Debug)]
struct DiskStats {
    options: NodeOptions,
    filter: Filter,
    file: KeptFile,
    /// The devices in the order of the file.
    disks: Vec<Disk>,
    /// When udev's data is read again.
    info_due: EveryNth,
}

/// A device, and what rarely changes about it.
#[derive(Debug)]
struct Disk {
    name: Box<str>,
    number: (u32, u32),
    /// `None`: the device is not selected.
    info: Option<DiskInfo>,
}

/// Values of labels, without the name of the device.
#[derive(Debug)]
struct DiskInfo {
    identity: [Box<str>; INFO_LABELS.len() - 1],
    /// Type, usage, UUID, version.
    filesystem: Option<[Box<str>; 4]>,
    /// Name, UUID, names of the volume group and of the logical volume, layer.
    mapper: Option<[Box<str>; 5]>,
    ata: [Option<f64>; ATA.len()],
}

/// A line of the file.
struct Line<'a> {
    number: (u32, u32),
    name: &'a str,
    statistics: [f64; MAX_STATISTICS],
    /// Number of statistics that the kernel has.
    len: usize,
}

impl DiskStats {
    fn new(options: &NodeOptions) -> Self {
        Self {
            filter: options.filter("diskstats.device-include", "diskstats.device-exclude"),
            file: KeptFile::new(options.procfs("diskstats")),
            options: options.clone(),
            disks: Vec::new(),
            info_due: EveryNth::new(INFO_READINGS),
        }
    }
}

impl Source for DiskStats {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let Self { options, filter, file, disks, info_due } = self;
        let info_is_due = info_due.is_due();
        parse_file(file, |text| {
            let mut count = 0;
            for line in text.lines().take(MAX_DISKS) {
                let Some(line) = Line::parse(line).map_err(|()| bad_line(line))? else { continue };
                if !disks.get(count).is_some_and(|disk| disk.is_of(&line)) {
                    // The devices have changed. udev may write its data only after the kernel lists
                    // the device, so read it once more in the next reading.
                    info_due.set_due();
                    disks.truncate(count);
                    disks.push(Disk::new(&line, filter, options));
                } else if info_is_due {
                    disks[count].read_info(options);
                }
                disks[count].write(&line, output);
                count += 1;
            }
            disks.truncate(count);
            Ok::<_, String>(())
        })
    }
}

impl<'a> Line<'a> {
    /// Parses a line; `None` if it has too few fields.
    fn parse(line: &'a str) -> Result<Option<Self>, ()> {
        let mut fields = line.split_ascii_whitespace();
        let (Some(major), Some(minor), Some(name)) = (fields.next(), fields.next(), fields.next())
        else {
            return Ok(None);
        };
        let number = (major.parse().map_err(drop)?, minor.parse().map_err(drop)?);
        let mut statistics = [0.0; MAX_STATISTICS];
        let mut found = 0;
        for (statistic, field) in statistics.iter_mut().zip(fields) {
            *statistic = whole(field).ok_or(())?;
            found += 1;
        }
        let len = STATISTICS.into_iter().rfind(|len| *len <= found);
        Ok(len.map(|len| Self { number, name, statistics, len }))
    }
}

impl Disk {
    fn new(line: &Line<'_>, filter: &Filter, options: &NodeOptions) -> Self {
        let info =
            filter.selects(line.name).then(|| DiskInfo::read(line.name, line.number, options));
        Self { name: line.name.into(), number: line.number, info }
    }

    fn is_of(&self, line: &Line<'_>) -> bool {
        self.number == line.number && &*self.name == line.name
    }

    fn read_info(&mut self, options: &NodeOptions) {
        if let Some(info) = &mut self.info {
            *info = DiskInfo::read(&self.name, self.number, options);
        }
    }

    fn write(&self, line: &Line<'_>, output: &mut Output) {
        let Some(info) = &self.info else { return };
        let device = &*self.name;
        let (values, ata) = output.row(DISKS, &[device]).split_at_mut(MAX_STATISTICS);
        let statistics = line.statistics.iter().zip(PER_UNIT).take(line.len);
        for (value, (statistic, per_unit)) in values.iter_mut().zip(statistics) {
            *value = statistic / per_unit;
        }
        for (value, found) in ata.iter_mut().zip(info.ata) {
            *value = found.unwrap_or(*value);
        }
        let [major, minor, path, wwn, model, serial, revision, rotational] = &info.identity;
        let labels = [device, major, minor, path, wwn, model, serial, revision, rotational];
        output.row(INFO, &labels)[0] = 1.0;
        if let Some([kind, usage, uuid, version]) = &info.filesystem {
            output.row(FILESYSTEM, &[device, kind, usage, uuid, version])[0] = 1.0;
        }
        if let Some([name, uuid, group, volume, layer]) = &info.mapper {
            output.row(MAPPER, &[device, name, uuid, group, volume, layer])[0] = 1.0;
        }
    }
}

impl DiskInfo {
    fn read(name: &str, (major, minor): (u32, u32), options: &NodeOptions) -> Self {
        let udev = Properties::read(&options.udev_data(format!("b{major}:{minor}")));
        let text = |name| Box::from(udev.get(name));
        let serial = udev.first_of(&["SCSI_IDENT_SERIAL", "ID_SERIAL_SHORT", "ID_SERIAL"]);
        let identity = [
            major.to_string().into(),
            minor.to_string().into(),
            text("ID_PATH"),
            text("ID_WWN"),
            text("ID_MODEL"),
            serial.into(),
            text("ID_REVISION"),
            rotational(name, options).into(),
        ];
        let filesystem = ["ID_FS_TYPE", "ID_FS_USAGE", "ID_FS_UUID", "ID_FS_VERSION"].map(text);
        let mapper = ["DM_NAME", "DM_UUID", "DM_VG_NAME", "DM_LV_NAME", "DM_LV_LAYER"].map(text);
        let is_ata = !udev.get("ID_ATA").is_empty();
        Self {
            identity,
            filesystem: Some(filesystem).filter(|[kind, ..]| !kind.is_empty()),
            mapper: Some(mapper).filter(|[name, ..]| !name.is_empty()),
            ata: ATA.map(|name| parse(udev.get(name)).filter(|_| is_ata)),
        }
    }
}

/// Returns `1` for a rotating disk, else `0`: also for partitions, which have no queue.
fn rotational(name: &str, options: &NodeOptions) -> &'static str {
    // sysfs has `!` for the slashes of a device's name.
    let path = options.sysfs("block").join(name.replace('/', "!")).join("queue/rotational");
    if KeptFile::new(path).number() == Some(1.0) { "1" } else { "0" }
}

#[cfg(test)]
#[path = "diskstats_tests.rs"]
mod tests;
