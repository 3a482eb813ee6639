//! Source that reads text files: the settings `textfile`.
//!
//! As in node_exporter, a malformed file costs only itself, and metrics tell the time of the last
//! modification of each file and whether any could not be read.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use fleetgauge_proto::catalog::FamilyKind;
use tracing::{info, warn};

use super::known_file::{FileLimits, FileState, KnownFile};
use super::relabel::Relabel;
use super::sample_order::{SampleOrder, What};
use super::text::MAX_PAGE_SAMPLES;
use crate::config::TextfileSettings;
use crate::sampler::{Source, SourceError, SourceSpec};
use crate::tables::{FoundFamily, Output};

/// Maximum number of files of a table `[[textfile]]`: more than jobs that write some.
const MAX_FILES: usize = 1000;
/// Maximum number of entries of a directory that are looked at.
const MAX_ENTRIES: usize = 100_000;
/// Maximum number of samples of all files.
const MAX_SAMPLES: usize = MAX_PAGE_SAMPLES;

const MTIME: FoundFamily<'static> = FoundFamily {
    name: "node_textfile_mtime_seconds",
    kind: FamilyKind::Gauge,
    help: "Unix time at which the text file was last modified.",
};
const SCRAPE_ERROR: FoundFamily<'static> = FoundFamily {
    name: "node_textfile_scrape_error",
    kind: FamilyKind::Gauge,
    help: "Whether a text file or its directory could not be read: 1 for yes, 0 for no.",
};
const OWN_NAMES: &[&str] = &[MTIME.name, SCRAPE_ERROR.name];

/// Returns the source of these text files. With `is_collector` it counts as a collector of
/// node_exporter's metrics.
pub(crate) fn source(settings: &[TextfileSettings], is_collector: bool) -> SourceSpec {
    let settings: Arc<[TextfileSettings]> = settings.into();
    SourceSpec {
        name: "textfile",
        tables: Vec::new(),
        factory: Arc::new(move || Ok(Box::new(Textfiles::new(&settings)))),
        is_collector,
    }
}

/// All text files.
#[derive(Debug)]
struct Textfiles {
    globs: Vec<Glob>,
    /// The samples about files, which follow those of the files.
    order: SampleOrder,
}

/// The files of a table `[[textfile]]`.
#[derive(Debug)]
struct Glob {
    settings: TextfileSettings,
    relabel: Relabel,
    files: BTreeMap<OsString, FileRecord>,
    /// Whether the directory could not be read.
    is_failing: bool,
}

#[derive(Debug, Default)]
struct FileRecord {
    /// As in the label `file`.
    path: String,
    file: KnownFile,
    state: Option<FileState>,
    /// Whether a problem of the file has been logged.
    is_failing: bool,
    leaves_out: bool,
    /// Whether the directory still has it.
    is_listed: bool,
}

impl Textfiles {
    fn new(settings: &[TextfileSettings]) -> Self {
        let glob = |settings: &TextfileSettings| Glob {
            relabel: Relabel::new(settings.labels.iter(), OWN_NAMES),
            settings: settings.clone(),
            files: BTreeMap::new(),
            is_failing: false,
        };
        Self { globs: settings.iter().map(glob).collect(), order: SampleOrder::default() }
    }

    /// Writes the samples about files.
    fn write_own(&mut self, output: &mut Output) {
        let Self { globs, order } = self;
        order.begin(output);
        for (index, Glob { files, relabel, .. }) in globs.iter().enumerate() {
            for FileRecord { path, state, .. } in files.values() {
                let Some(FileState::Good(modified)) = *state else { continue };
                let value = unix_seconds(modified);
                order.add(&index.to_le_bytes(), What::Help, output);
                if order.add(path.as_bytes(), What::Sample, output) {
                    output.repeat(value);
                    continue;
                }
                let added = relabel.added().filter(|(name, _)| *name != "file");
                let labels: Vec<_> = added.chain([("file", &**path)]).collect();
                output.sample(MTIME, &labels, value);
            }
        }
        let value = f64::from(u8::from(globs.iter().any(Glob::has_problem)));
        if order.add(&[], What::Sample, output) {
            output.repeat(value);
        } else {
            output.sample(SCRAPE_ERROR, &[], value);
        }
        order.finish();
    }
}

impl Source for Textfiles {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        for glob in &mut self.globs {
            glob.list();
            glob.write(output);
        }
        self.write_own(output);
        Ok(())
    }
}

impl Glob {
    /// Looks which files there are.
    fn list(&mut self) {
        self.files.values_mut().for_each(|record| record.is_listed = false);
        let failed_before = self.is_failing;
        match self.list_files() {
            Ok(()) => self.is_failing = false,
            Err(cause) => {
                if !failed_before {
                    let directory = self.settings.directory.display();
                    warn!(%directory, cause, "directory of text files unavailable");
                }
                self.is_failing = true;
            }
        }
        self.files.retain(|_, record| record.is_listed);
    }

    fn list_files(&mut self) -> Result<(), String> {
        let Self { settings, files, .. } = self;
        let entries = fs::read_dir(&settings.directory).map_err(|error| error.to_string())?;
        let mut listed = 0;
        for entry in entries.take(MAX_ENTRIES) {
            let name = entry.map_err(|error| error.to_string())?.file_name();
            if !settings.pattern.matches(&name) {
                continue;
            }
            if listed == MAX_FILES {
                return Err(format!("it has more than {MAX_FILES} matching files"));
            }
            listed += 1;
            if let Some(record) = files.get_mut(&name) {
                record.is_listed = true;
            } else {
                let path = settings.directory.join(&name).to_string_lossy().into_owned();
                files.insert(name, FileRecord { path, is_listed: true, ..FileRecord::default() });
            }
        }
        Ok(())
    }

    fn write(&mut self, output: &mut Output) {
        let TextfileSettings { directory, max_age, max_size, .. } = &self.settings;
        for (name, record) in &mut self.files {
            let max_samples = MAX_SAMPLES.saturating_sub(output.samples());
            let limits = FileLimits { max_age: *max_age, max_size: *max_size, max_samples };
            let path = directory.join(Path::new(name));
            record.state = Some(record.file.write(&path, limits, &self.relabel, output));
            record.log();
        }
    }

    fn has_problem(&self) -> bool {
        let is_bad = |record: &FileRecord| record.state == Some(FileState::Bad);
        self.is_failing || self.files.values().any(is_bad)
    }
}

impl FileRecord {
    /// Logs a problem once until the file has none.
    fn log(&mut self) {
        let file = &*self.path;
        let problem = self.file.problem();
        let failed_before = std::mem::replace(&mut self.is_failing, problem.is_some());
        match problem {
            Some(cause) if !failed_before => warn!(file, cause, "text file unavailable"),
            None if failed_before => info!(file, "text file recovered"),
            _ => {}
        }
        let left_out = self.file.left_out();
        let leaves_out = problem.is_none() && left_out.samples > 0;
        if leaves_out && !self.leaves_out {
            warn!(file, samples = left_out.samples, cause = left_out.cause, "samples left out");
        }
        self.leaves_out = leaves_out;
    }
}

/// Returns the time since the Unix epoch, in seconds; 0 if it is before that.
fn unix_seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
#[path = "textfile_tests.rs"]
mod tests;
