//! Fixtures for the tests of collectors: files in a temporary directory, and samples as text.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Collector, NodeOptions};
use crate::config::NodePaths;
use crate::sampler::{Source, SourceError};
use crate::tables::{Output, exposition};

/// A root directory with the files of a host: `proc`, `sys`, `root`, `udev`.
pub(super) struct Fixture(tempfile::TempDir);

impl Fixture {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Returns the path of a file.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    /// Writes a file, such as `proc/loadavg`, and its directories.
    pub(super) fn file(&self, file: &str, text: &str) {
        self.bytes(file, text.as_bytes());
    }

    /// Writes several files of a directory.
    pub(super) fn files(&self, directory: &str, files: &[(&str, &str)]) {
        for (file, text) in files {
            self.file(&format!("{directory}/{file}"), text);
        }
    }

    /// Writes a file that may not be UTF-8.
    pub(super) fn bytes(&self, file: &str, bytes: &[u8]) {
        let path = self.path(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Creates a directory.
    pub(super) fn directory(&self, directory: &str) {
        std::fs::create_dir_all(self.path(directory)).unwrap();
    }

    /// Creates a symbolic link to `target`, relative to the directory of the link.
    pub(super) fn link(&self, link: &str, target: impl AsRef<Path>) {
        let path = self.path(link);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
    }

    /// Removes a file or directory.
    pub(super) fn remove(&self, file: &str) {
        let path = self.path(file);
        if path.is_dir() && !path.is_symlink() {
            std::fs::remove_dir_all(path).unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
    }

    /// Returns the default options for this host.
    pub(super) fn options(&self) -> NodeOptions {
        self.options_with(&[])
    }

    /// Returns options for this host.
    pub(super) fn options_with(&self, values: &[(&str, &str)]) -> NodeOptions {
        let [procfs, sysfs, rootfs, udev_data] =
            ["proc", "sys", "root", "udev"].map(|directory| self.path(directory));
        let paths = NodePaths { procfs, sysfs, rootfs, udev_data };
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let values: BTreeMap<_, _> = values.iter().map(owned).collect();
        NodeOptions::try_new(paths, values).unwrap()
    }

    /// Creates a reader of a collector with the default options.
    pub(super) fn reader(&self, collector: &Collector) -> Reader {
        Reader::new(collector, &self.options())
    }

    /// Returns the samples of a first reading with the default options.
    pub(super) fn samples(&self, collector: &Collector) -> Vec<String> {
        self.reader(collector).samples()
    }
}

/// Reads a collector again and again.
pub(super) struct Reader {
    source: Box<dyn Source>,
    spec: crate::sampler::SourceSpec,
    output: Output,
}

impl Reader {
    pub(super) fn new(collector: &Collector, options: &NodeOptions) -> Self {
        let spec = collector.source(options);
        let output = Output::new(&spec.tables);
        Self { source: (spec.factory)().unwrap(), spec, output }
    }

    /// Reads the collector. Returns the samples as sorted lines: `node_load1 0.5`. Absent values
    /// have no line.
    pub(super) fn read(&mut self) -> Result<Vec<String>, SourceError> {
        self.output.begin();
        self.source.read(&mut self.output)?;
        self.output.finish();
        Ok(exposition::lines(&self.spec.tables, &self.output))
    }

    pub(super) fn samples(&mut self) -> Vec<String> {
        self.read().unwrap()
    }

    /// Returns the error of a reading that fails.
    pub(super) fn error(&mut self) -> SourceError {
        self.read().unwrap_err()
    }
}
