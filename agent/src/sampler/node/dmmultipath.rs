//! Multipath devices of the device mapper and their paths, from `/sys/block/dm-*`.

use std::path::Path;

use super::column::{gauge, table};
use super::files::{Entries, Entry, KeptFile, number};
use super::read_errors::ReadErrors;
use super::{Collector, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "dmmultipath",
    by_default: true,
    options: &[],
    tables: |_| {
        vec![
            table(&["device", "sysfs_name", "uuid"], &INFO),
            table(&["device", "sysfs_name"], &DEVICE),
            table(&["device", "path", "state"], &PATH),
        ]
    },
    create: |options| {
        let devices = Entries::new(options.sysfs("block"), Device::new);
        Ok(Box::new(Multipath { devices, read_errors: ReadErrors::new("dmmultipath") }))
    },
};

/// Index of the table with the columns [`INFO`].
const INFO_TABLE: usize = 0;
/// Index of the table with the columns [`DEVICE`].
const DEVICE_TABLE: usize = 1;
/// Index of the table with the columns [`PATH`].
const PATH_TABLE: usize = 2;

const INFO: [ColumnSpec; 1] =
    [gauge("node_dmmultipath_device_info", "Names of the multipath device as labels; always 1.")];

#[rustfmt::skip] // one line each
const DEVICE: [ColumnSpec; 5] = [
    gauge("node_dmmultipath_device_active", "Whether the multipath device is not suspended."),
    gauge("node_dmmultipath_device_size_bytes", "Size of the multipath device."),
    gauge("node_dmmultipath_device_paths", "Paths of the multipath device."),
    gauge("node_dmmultipath_device_paths_active", "Paths that are running or live."),
    gauge("node_dmmultipath_device_paths_failed", "Paths in any other state."),
];

const PATH: [ColumnSpec; 1] =
    [gauge("node_dmmultipath_path_state", "State of a path as a label; always 1.")];

/// Start of the UUIDs of multipath devices.
const UUID_PREFIX: &str = "mpath-";
/// Unit of sizes in sysfs, whatever the block size of the device is.
const SECTOR_BYTES: f64 = 512.0;

#[derive(Debug)]
struct Multipath {
    devices: Entries<Device>,
    read_errors: ReadErrors,
}

/// A device of the device mapper.
#[derive(Debug)]
struct Device {
    uuid: KeptFile,
    name: KeptFile,
    suspended: KeptFile,
    size: KeptFile,
    /// State of each path.
    paths: Entries<KeptFile>,
}

impl Source for Multipath {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let Self { devices, read_errors } = self;
        for Entry { name, kept: device, .. } in devices.list(|name| name.starts_with("dm-"))? {
            read_errors.check(device.read(name, output));
        }
        read_errors.finish()
    }
}

impl Device {
    fn new(path: &Path) -> Self {
        Self {
            uuid: KeptFile::new(path.join("dm/uuid")),
            name: KeptFile::new(path.join("dm/name")),
            suspended: KeptFile::new(path.join("dm/suspended")),
            size: KeptFile::new(path.join("size")),
            paths: Entries::new(path.join("slaves"), |path| {
                KeptFile::new(path.join("device/state"))
            }),
        }
    }

    fn read(&mut self, sysfs_name: &str, output: &mut Output) -> Result<(), SourceError> {
        let uuid = self.uuid.read_if_exists()?.unwrap_or_default().trim();
        if !uuid.starts_with(UUID_PREFIX) {
            return Ok(());
        }
        let name = self.name.read()?.trim();
        let is_suspended = number(&mut self.suspended)? == 1.0;
        let size = number(&mut self.size)? * SECTOR_BYTES;
        let (mut active, mut failed) = (0.0, 0.0);
        for Entry { name: path, kept: state, .. } in self.paths.list_if_exists(|_| true)? {
            let state = state.read()?.trim();
            if matches!(state, "running" | "live") {
                active += 1.0
            } else {
                failed += 1.0
            }
            output.row(PATH_TABLE, &[name, path, state])[0] = 1.0;
        }
        output.row(INFO_TABLE, &[name, sysfs_name, uuid])[0] = 1.0;
        let is_active = f64::from(u8::from(!is_suspended));
        let values = [is_active, size, active + failed, active, failed];
        output.row(DEVICE_TABLE, &[name, sysfs_name]).copy_from_slice(&values);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    fn add_device(fixture: &Fixture, sysfs_name: &str, uuid: &str, suspended: &str) {
        let files = [
            ("dm/uuid", uuid),
            ("dm/name", "my \"disk\"\n"),
            ("dm/suspended", suspended),
            ("size", "104857600\n"),
        ];
        fixture.files(&format!("sys/block/{sysfs_name}"), &files);
    }

    fn add_path(fixture: &Fixture, device: &str, path: &str, state: &str) {
        fixture.file(&format!("sys/block/{path}/device/state"), state);
        fixture.link(&format!("sys/block/{device}/slaves/{path}"), format!("../../{path}"));
    }

    #[test]
    fn multipath_devices_and_their_paths_are_read() {
        let fixture = Fixture::new();
        add_device(&fixture, "dm-1", "mpath-3600001\n", "0\n");
        add_path(&fixture, "dm-1", "sdb", "running\n");
        add_path(&fixture, "dm-1", "sdc", "offline\n");
        add_path(&fixture, "dm-1", "nvme0n1", "live\n");
        add_device(&fixture, "dm-0", "LVM-abc\n", "0\n");
        fixture.file("sys/block/dm-3/size", "1\n");
        fixture.file("sys/block/sda/dm/uuid", "mpath-other\n");
        let device = "device=\"my \\\"disk\\\"\"";
        let labels = format!("{{{device},sysfs_name=\"dm-1\"}}");
        let path = |path: &str, state: &str| {
            let labels = format!("{device},path=\"{path}\",state=\"{state}\"");
            format!("node_dmmultipath_path_state{{{labels}}} 1")
        };
        let info = format!("{{{device},sysfs_name=\"dm-1\",uuid=\"mpath-3600001\"}}");
        let expected = [
            format!("node_dmmultipath_device_active{labels} 1"),
            format!("node_dmmultipath_device_info{info} 1"),
            format!("node_dmmultipath_device_paths_active{labels} 2"),
            format!("node_dmmultipath_device_paths_failed{labels} 1"),
            format!("node_dmmultipath_device_paths{labels} 3"),
            format!("node_dmmultipath_device_size_bytes{labels} 53687091200"),
            path("nvme0n1", "live"),
            path("sdb", "running"),
            path("sdc", "offline"),
        ];
        assert_eq!(fixture.samples(&COLLECTOR), expected);
    }

    #[test]
    fn suspended_device_without_paths_is_not_active() {
        let fixture = Fixture::new();
        add_device(&fixture, "dm-1", "mpath-3600001", "1");
        let samples = fixture.samples(&COLLECTOR);
        assert_eq!(samples.len(), 6);
        assert!(
            samples[0].starts_with("node_dmmultipath_device_active") && samples[0].ends_with(" 0")
        );
    }

    #[test]
    fn removed_paths_and_devices_disappear() {
        let fixture = Fixture::new();
        let mut reader = fixture.reader(&COLLECTOR);
        assert_eq!(reader.error(), SourceError::NothingFound);
        fixture.directory("sys/block/sda");
        assert!(reader.samples().is_empty(), "a host without multipath devices is no error");
        add_device(&fixture, "dm-1", "mpath-3600001", "0");
        add_path(&fixture, "dm-1", "sdb", "running");
        assert_eq!(reader.samples().len(), 7);
        fixture.remove("sys/block/dm-1/slaves/sdb");
        assert_eq!(reader.samples().len(), 6);
        fixture.remove("sys/block/dm-1");
        assert!(reader.samples().is_empty());
    }

    #[test]
    fn broken_device_costs_only_itself() {
        let fixture = Fixture::new();
        add_device(&fixture, "dm-0", "mpath-3600001", "");
        add_device(&fixture, "dm-1", "mpath-3600002", "0");
        let samples = fixture.samples(&COLLECTOR);
        assert_eq!(samples.len(), 6);
        assert!(samples.iter().all(|line| line.contains("dm-1")), "{samples:#?}");
    }

    #[test]
    fn broken_files_are_errors() {
        let fixture = Fixture::new();
        let mut reader = fixture.reader(&COLLECTOR);
        add_device(&fixture, "dm-1", "mpath-3600001", "0");
        fixture.bytes("sys/block/dm-1/size", b"\xff");
        assert!(reader.error().to_string().ends_with("dm-1/size: not a number"));
        add_device(&fixture, "dm-1", "mpath-3600001", "");
        reader.error();
        add_device(&fixture, "dm-1", "mpath-3600001", "0");
        add_path(&fixture, "dm-1", "sdb", "running");
        fixture.remove("sys/block/sdb");
        assert!(reader.error().to_string().contains("slaves/sdb/device/state: "));
    }
}
