//! The same files of every device in a directory, such as `/sys/class/hwmon/*/name`.

use std::io;
use std::path::{Path, PathBuf};

use super::directory::Directory;
use super::kept_file::KeptFile;
use crate::sampler::SourceError;

/// Maximum number of devices in a directory. Further ones are ignored.
const MAX_DEVICES: usize = 10_000;

/// A directory of devices, each with files of the same names that are read again and again.
#[derive(Debug)]
pub(in crate::sampler::node) struct DeviceFiles {
    path: PathBuf,
    directory: Directory,
    files: &'static [&'static str],
    devices: Vec<Device>,
}

/// A device and its files.
#[derive(Debug)]
pub(in crate::sampler::node) struct Device {
    name: String,
    path: PathBuf,
    files: Vec<KeptFile>,
    seen: bool,
}

impl DeviceFiles {
    /// Creates a directory of devices. `files` are paths below the directory of each device.
    pub(in crate::sampler::node) fn new(
        path: impl Into<PathBuf>,
        files: &'static [&'static str],
    ) -> Self {
        let path = path.into();
        Self { directory: Directory::new(&path), path, files, devices: Vec::new() }
    }

    /// Lists the directory. Returns the devices that exist now and whose name is selected, in
    /// ascending order of their names.
    ///
    /// # Errors
    /// [`SourceError::NothingFound`] if the directory does not exist; another error if it cannot be
    /// read.
    pub(in crate::sampler::node) fn list(
        &mut self,
        mut selects: impl FnMut(&str) -> bool,
    ) -> Result<&mut [Device], SourceError> {
        let Self { path, directory, files, devices } = self;
        devices.iter_mut().for_each(|device| device.seen = false);
        let listed = directory.list(|name| {
            if !selects(name) {
                return;
            }
            match devices.binary_search_by(|device| device.name.as_str().cmp(name)) {
                Ok(at) => devices[at].seen = true,
                Err(at) if devices.len() < MAX_DEVICES => {
                    devices.insert(at, Device::new(path, name, files));
                }
                Err(_) => {}
            }
        });
        match listed {
            Ok(()) => {
                devices.retain(|device| device.seen);
                Ok(devices)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                devices.clear();
                Err(SourceError::NothingFound)
            }
            Err(error) => Err(SourceError::new(format_args!("{}: {error}", path.display()))),
        }
    }
}

impl Device {
    fn new(directory: &Path, name: &str, files: &[&str]) -> Self {
        let path = directory.join(name);
        let files = files.iter().map(|file| KeptFile::new(path.join(file))).collect();
        Self { name: name.to_owned(), path, files, seen: true }
    }

    /// Returns the name of its entry in the directory.
    pub(in crate::sampler::node) fn name(&self) -> &str {
        &self.name
    }

    /// Returns its directory.
    pub(in crate::sampler::node) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file with this index, without white space around its text; `None` if it cannot be
    /// read.
    pub(in crate::sampler::node) fn value(&mut self, file: usize) -> Option<&str> {
        self.files.get_mut(file)?.value()
    }

    /// Reads the number in the file with this index; `None` if it cannot be read or is no number.
    pub(in crate::sampler::node) fn number(&mut self, file: usize) -> Option<f64> {
        self.files.get_mut(file)?.number()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    #[test]
    fn devices_come_and_go_and_files_may_be_missing() {
        let fixture = Fixture::new();
        let mut zones = DeviceFiles::new(fixture.path("sys/class/thermal"), &["type", "temp"]);
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
