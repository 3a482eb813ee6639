//! The setting `textfile`: files in the text format of Prometheus.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetgauge_common::settings::{Entry, Layers};
use fleetgauge_proto::StaticLabels;

use super::file_pattern::FilePattern;
use super::labels;

/// Maximum number of tables `[[textfile]]`: more than directories of text files are on one host.
pub const MAX_TEXTFILES: usize = 64;

/// Files in the text format, which the agent reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextfileSettings {
    /// Directory of the files.
    pub directory: PathBuf,
    /// Names of the files.
    pub pattern: FilePattern,
    /// Maximum age of a file; an older one is skipped. `None`: any age.
    pub max_age: Option<Duration>,
    /// Maximum size of a file, in bytes. A larger one is rejected as a whole.
    pub max_size: u64,
    /// Labels of all series of the files.
    pub labels: StaticLabels,
}

/// Returns the valid tables `[[textfile]]`, and rejects the others.
pub(super) fn textfiles(layers: &mut Layers) -> Vec<TextfileSettings> {
    let mut textfiles: Vec<(Entry, TextfileSettings)> = Vec::new();
    for entry in layers.tables("textfile") {
        let labels = labels::of_entry(layers, &entry);
        let path = entry.text("path").and_then(|text| split(text).ok());
        let Some((directory, pattern)) = path else { continue };
        let same = |other: &TextfileSettings| {
            other.directory == directory && other.pattern == pattern && other.labels == labels
        };
        if let Some((other, _)) = textfiles.iter().find(|(_, other)| same(other)) {
            let problem = format!("and labels are the same as in {}; remove one", other.label());
            layers.reject(entry.error("path", problem));
            continue;
        }
        let max_age = entry.is_set("max_age").then(|| entry.duration("max_age"));
        let max_size = entry.size("max_size");
        textfiles.push((entry, TextfileSettings { directory, pattern, max_age, max_size, labels }));
    }
    textfiles.into_iter().map(|(_, textfile)| textfile).collect()
}

/// Checks the key `path`.
pub(super) fn is_glob(text: &str) -> Result<(), String> {
    split(text).map(drop)
}

/// Splits a path into directory and pattern. The error does not include it.
fn split(text: &str) -> Result<(PathBuf, FilePattern), String> {
    if text.contains(char::is_control) {
        return Err("must be one line without control characters".to_owned());
    }
    let path = Path::new(text);
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.filter(|_| !text.ends_with(std::path::is_separator));
    let (Some(name), Some(directory)) = (name, path.parent()) else {
        return Err("must name files, such as /var/lib/node_exporter/*.prom".to_owned());
    };
    if directory.as_os_str().as_encoded_bytes().iter().any(|byte| b"*?[".contains(byte)) {
        return Err("can have * and ? only in the name of the file, after the last /".to_owned());
    }
    let is_here = directory.as_os_str().is_empty();
    let directory = if is_here { Path::new(".") } else { directory };
    Ok((directory.to_owned(), FilePattern::parse(name)?))
}

#[cfg(test)]
#[path = "textfile_tests.rs"]
mod tests;
