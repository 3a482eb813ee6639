//! The release of the operating system, from `/etc/os-release`.

use std::path::PathBuf;

use super::column::{gauge, table};
use super::every::{Every, RARELY};
use super::files::KeptFile;
use super::{Collector, NodeOptions, SourceError};
use crate::sampler::Source;
use crate::tables::{ColumnSpec, Output};

pub(super) const COLLECTOR: Collector = Collector {
    name: "os",
    by_default: true,
    options: &[],
    tables: |_| {
        vec![
            table(&LABELS, &INFO_COLUMNS),
            table(&["id", "id_like", "name"], &VERSION_COLUMNS),
            table(&[], &SUPPORT_COLUMNS),
        ]
    },
    create: |options| Ok(Box::new(OsRelease::new(options, Every::new(RARELY)))),
};

/// Labels. In the file they are upper case.
const LABELS: [&str; 12] = [
    "build_id",
    "id",
    "id_like",
    "image_id",
    "image_version",
    "name",
    "pretty_name",
    "variant",
    "variant_id",
    "version",
    "version_codename",
    "version_id",
];
const ID: usize = 1;
const ID_LIKE: usize = 2;
const NAME: usize = 5;
const VERSION_ID: usize = 11;

const INFO_COLUMNS: [ColumnSpec; 1] =
    [gauge("node_os_info", "Release of the operating system; always 1.")];
const VERSION_COLUMNS: [ColumnSpec; 1] =
    [gauge("node_os_version", "Version of the operating system: major.minor.").decimals(2)];
const SUPPORT_COLUMNS: [ColumnSpec; 1] =
    [gauge("node_os_support_end_timestamp_seconds", "Unix time at which support ends.")];

#[derive(Debug)]
struct OsRelease {
    /// Of these files the first one that exists is read.
    paths: [PathBuf; 2],
    rarely: Every,
    release: Option<Release>,
}

/// What the file has.
#[derive(Debug, Default)]
struct Release {
    labels: [Box<str>; LABELS.len()],
    version: Option<f64>,
    support_end: Option<f64>,
}

impl OsRelease {
    fn new(options: &NodeOptions, rarely: Every) -> Self {
        let paths = ["/etc/os-release", "/usr/lib/os-release"].map(|path| options.rootfs(path));
        Self { paths, rarely, release: None }
    }

    fn find(&self) -> Result<Release, SourceError> {
        for path in &self.paths {
            // An upgrade replaces the file, so that it does not stay open.
            if let Some(text) = KeptFile::new(path).read_if_exists()? {
                return Ok(Release::parse(text));
            }
        }
        Err(SourceError::NothingFound)
    }
}

impl Source for OsRelease {
    fn read(&mut self, output: &mut Output) -> Result<(), SourceError> {
        let is_due = self.rarely.is_due();
        let release = match self.release.take() {
            Some(release) if !is_due => release,
            _ => self.find()?,
        };
        let release = self.release.insert(release);
        let labels = release.labels.each_ref().map(|label| &**label);
        output.row(0, &labels)[0] = 1.0;
        if let Some(version) = release.version {
            output.row(1, &[labels[ID], labels[ID_LIKE], labels[NAME]])[0] = version;
        }
        if let Some(support_end) = release.support_end {
            output.row(2, &[])[0] = support_end;
        }
        Ok(())
    }
}

impl Release {
    fn parse(text: &str) -> Self {
        let mut release = Self::default();
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            let (key, value) = (key.trim(), unquote(value.trim()));
            if let Some(at) = LABELS.iter().position(|label| is_key(label, key)) {
                release.labels[at] = value.into();
            } else if key == "SUPPORT_END" {
                release.support_end = unix_time(&value);
            }
        }
        release.version = version(&release.labels[VERSION_ID]);
        release
    }
}

/// Returns whether a key of the file belongs to the label.
fn is_key(label: &str, key: &str) -> bool {
    label.eq_ignore_ascii_case(key) && !key.bytes().any(|byte| byte.is_ascii_lowercase())
}

/// Removes the quotes of a value, as a shell does.
fn unquote(value: &str) -> String {
    let within = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    if let Some(verbatim) = within('\'') {
        return verbatim.to_owned();
    }
    let mut plain = String::with_capacity(value.len());
    let mut characters = within('"').unwrap_or(value).chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.extend(characters.next()),
            _ => plain.push(character),
        }
    }
    plain
}

/// Returns the number at the start of a version: digits, and a fraction if there is one.
fn version(text: &str) -> Option<f64> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(text);
    let fraction = text[whole..].strip_prefix('.').map_or(0, |rest| 1 + digits(rest));
    let version: f64 =
        text[..whole].parse::<u64>().ok().and(text[..whole + fraction].parse().ok())?;
    (version > 0.0).then_some(version)
}

/// Returns the Unix time of the start of a day, such as `2026-05-13`.
fn unix_time(date: &str) -> Option<f64> {
    let mut parts = date.split('-');
    let mut part = |len: usize| parts.next().filter(|part| part.len() == len);
    let (year, month, day) = (part(4)?, part(2)?, part(2)?);
    let midnight = tz::UtcDateTime::new(
        year.parse().ok()?,
        month.parse().ok()?,
        day.parse().ok()?,
        0,
        0,
        0,
        0,
    );
    parts.next().is_none().then_some(midnight.ok()?.unix_time() as f64)
}

#[cfg(test)]
#[path = "os_tests.rs"]
mod tests;
