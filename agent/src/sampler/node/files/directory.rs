//! A directory that stays open between listings.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, RawDir, SeekFrom, open, seek};

/// Size of the buffer for entries, in bytes, on the stack of the source's thread.
const BUFFER_BYTES: usize = 4 * 1024;

/// A directory that is listed again and again.
#[derive(Debug)]
pub(in crate::sampler::node) struct Directory {
    path: PathBuf,
    open: Option<OwnedFd>,
}

impl Directory {
    /// Creates a directory. It is opened when it is listed.
    pub(in crate::sampler::node) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), open: None }
    }

    /// Calls `each` with the name of every entry but `.` and `..`. Names that are not UTF-8 are
    /// skipped: no path can be made of them that finds the entry again.
    ///
    /// # Errors
    /// The directory cannot be opened or read.
    pub(in crate::sampler::node) fn list(&mut self, each: impl FnMut(&str)) -> io::Result<()> {
        let listed = self.list_open(each);
        if listed.is_err() {
            self.open = None;
        }
        listed
    }

    fn list_open(&mut self, mut each: impl FnMut(&str)) -> io::Result<()> {
        let directory = match self.open.take() {
            Some(directory) => {
                seek(&directory, SeekFrom::Start(0))?;
                directory
            }
            None => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                open(&self.path, flags, Mode::empty())?
            }
        };
        let mut buffer = [const { MaybeUninit::uninit() }; BUFFER_BYTES];
        let mut entries = RawDir::new(&directory, &mut buffer);
        let mut is_empty = true;
        while let Some(entry) = entries.next() {
            let entry = entry?;
            if let Ok(name) = entry.file_name().to_str()
                && !matches!(name, "." | "..")
            {
                is_empty = false;
                each(name);
            }
        }
        // A directory of sysfs that was removed and created again is empty for its open file.
        self.open = (!is_empty).then_some(directory);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::node::testing::Fixture;

    #[test]
    fn listing_has_what_exists_now() {
        let fixture = Fixture::new();
        let mut directory = Directory::new(fixture.path("sys/class/net"));
        let mut names = || {
            let mut names = Vec::new();
            directory.list(|name| names.push(name.to_owned())).map(|()| {
                names.sort();
                names
            })
        };
        assert_eq!(names().unwrap_err().kind(), io::ErrorKind::NotFound);
        fixture.directory("sys/class/net/eth0");
        fixture.file("sys/class/net/bonding_masters", "");
        assert_eq!(names().unwrap(), ["bonding_masters", "eth0"]);
        fixture.directory("sys/class/net/eth1");
        fixture.remove("sys/class/net/bonding_masters");
        assert_eq!(names().unwrap(), ["eth0", "eth1"]);
    }
}
