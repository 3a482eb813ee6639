//! The settings `path_…`: where the host's file systems are mounted.

use std::path::PathBuf;

use fleetgauge_common::settings::Layers;

/// Where the collectors of host metrics find the host's file systems. In a container they may be
/// mounted elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePaths {
    /// Mount point of procfs, usually `/proc`.
    pub procfs: PathBuf,
    /// Mount point of sysfs, usually `/sys`.
    pub sysfs: PathBuf,
    /// Root of the host's file system, usually `/`.
    pub rootfs: PathBuf,
    /// The database of udev, usually `/run/udev/data`.
    pub udev_data: PathBuf,
}

impl Default for NodePaths {
    fn default() -> Self {
        let [procfs, sysfs, rootfs, udev_data] =
            ["/proc", "/sys", "/", "/run/udev/data"].map(PathBuf::from);
        Self { procfs, sysfs, rootfs, udev_data }
    }
}

impl NodePaths {
    pub(super) fn of(layers: &Layers) -> Self {
        let path = |name| layers.path(name).unwrap_or_default();
        Self {
            procfs: path("path_procfs"),
            sysfs: path("path_sysfs"),
            rootfs: path("path_rootfs"),
            udev_data: path("path_udev_data"),
        }
    }
}
