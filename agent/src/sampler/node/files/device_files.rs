//! The same files of every device in a directory, such as `/sys/class/hwmon/*/name`.

use std::path::{Path, PathBuf};

use super::entries::{Entries, Entry};
use super::kept_file::KeptFile;

/// A directory of devices, each with files of the same names.
pub(in crate::sampler::node) type DeviceFiles = Entries<Files>;
/// A device and its files.
pub(in crate::sampler::node) type Device = Entry<Files>;

/// The files of a device.
#[derive(Debug)]
pub(in crate::sampler::node) struct Files {
    path: PathBuf,
    files: Vec<KeptFile>,
}

impl DeviceFiles {
    /// Creates a directory of devices. `files` are paths below the directory of each device.
    pub(in crate::sampler::node) fn of_files(
        path: impl Into<PathBuf>,
        files: &'static [&'static str],
    ) -> Self {
        Self::new(path, move |device| {
            let files = files.iter().map(|file| KeptFile::new(device.join(file))).collect();
            Files { path: device.to_owned(), files }
        })
    }
}

impl Device {
    /// Returns the name of its entry in the directory.
    pub(in crate::sampler::node) fn name(&self) -> &str {
        &self.name
    }

    /// Returns its directory.
    pub(in crate::sampler::node) fn path(&self) -> &Path {
        &self.kept.path
    }

    /// Reads the file with this index, without white space around its text; `None` if it cannot be
    /// read.
    pub(in crate::sampler::node) fn value(&mut self, file: usize) -> Option<&str> {
        self.kept.files.get_mut(file)?.value()
    }

    /// Reads the number in the file with this index; `None` if it cannot be read or is no number.
    pub(in crate::sampler::node) fn number(&mut self, file: usize) -> Option<f64> {
        self.kept.files.get_mut(file)?.number()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::SourceError;
    use crate::sampler::node::testing::Fixture;

    #[test]
    fn devices_come_and_go_and_files_may_be_missing() {
        let fixture = Fixture::new();
        let mut zones = DeviceFiles::of_files(fixture.path("sys/class/thermal"), &["type", "temp"]);
        let mut read = || {
            let devices = zones.list(|name| name.starts_with("zone"))?;
            let shown = |device: &mut Device| {
                let kind = device.value(0).map(str::to_owned);
                format!("{} {kind:?} {:?}", device.name().to_owned(), device.number(1))
            };
            Ok::<_, SourceError>(devices.iter_mut().map(shown).collect::<Vec<_>>())
        };
        assert_eq!(read(), Err(SourceError::NothingFound));
        fixture.file("sys/class/thermal/zone1/type", "acpi\n");
        fixture.file("sys/class/thermal/zone1/temp", "27000\n");
        fixture.file("sys/class/thermal/zone0/temp", "hot\n");
        fixture.directory("sys/class/thermal/cooling0");
        assert_eq!(read().unwrap(), ["zone0 None None", "zone1 Some(\"acpi\") Some(27000.0)"]);
        fixture.remove("sys/class/thermal/zone0");
        assert_eq!(read().unwrap().len(), 1);
    }
}
