//! Mounts of the host, from `/proc/1/mountinfo`.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt::Display;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::every::{Every, RARELY};
use super::super::files::KeptFile;
use super::super::filter::Filter;
use super::super::{NodeOptions, SourceError};
use super::{POINTS_EXCLUDE, POINTS_INCLUDE, TYPES_EXCLUDE, TYPES_INCLUDE};

/// Maximum number of selected mounts. Further ones are ignored.
const MAX_MOUNTS: usize = 10_000;

/// Filesystem types whose statfs(2) only reads numbers that the kernel has in memory, and waits
/// neither for a disk nor for a server.
const PROMPT_TYPES: [&[u8]; 6] = [b"ext2", b"ext3", b"ext4", b"ramfs", b"tmpfs", b"xfs"];
/// Further filesystem types whose directories the kernel walks without a server or a program.
const LOCAL_TYPES: [&[u8]; 8] =
    [b"btrfs", b"devtmpfs", b"erofs", b"overlay", b"proc", b"squashfs", b"sysfs", b"zfs"];

/// A mount that is selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// Device as the kernel names it: with escapes such as `\040`.
    pub(super) device: Box<str>,
    /// Mount point, below the root of the host. Bytes that are not UTF-8 are replaced.
    pub(super) mount_point: Box<str>,
    /// Path of the mount point for this process: its exact bytes.
    pub(super) path: Box<Path>,
    /// Type of the filesystem.
    pub(super) fs_type: Box<str>,
    /// Major device number.
    pub(super) major: Box<str>,
    /// Minor device number.
    pub(super) minor: Box<str>,
    /// Whether the mount or its filesystem is read-only.
    pub(super) read_only: bool,
    /// Whether asking it cannot hang: it has one of [`PROMPT_TYPES`], and no mount at its path or
    /// above it can hang. A mount is asked by its path, which may lead through others.
    pub(super) is_prompt: bool,
}

/// The mounts. The file is read when the kernel signals a change, and [`RARELY`] without one: the
/// state of a filesystem may change without a signal. It is parsed only if it differs.
#[derive(Debug)]
pub(super) struct MountTable {
    options: NodeOptions,
    mount_points: Filter,
    fs_types: Filter,
    /// Of process 1, which is outside of any container.
    of_init: KeptFile,
    of_self: KeptFile,
    without_signal: Every,
    bytes: Vec<u8>,
    mounts: Arc<[Mount]>,
}

/// A line of the file.
struct Line<'a> {
    major: u32,
    minor: u32,
    mount_point: &'a [u8],
    fs_type: &'a [u8],
    device: &'a [u8],
    read_only: bool,
}

impl MountTable {
    /// Creates a table of the mounts whose mount point and filesystem type are selected.
    pub(super) fn new(options: &NodeOptions) -> Self {
        Self {
            options: options.clone(),
            mount_points: options.filter(POINTS_INCLUDE, POINTS_EXCLUDE),
            fs_types: options.filter(TYPES_INCLUDE, TYPES_EXCLUDE),
            of_init: KeptFile::new(options.procfs("1/mountinfo")),
            of_self: KeptFile::new(options.procfs("self/mountinfo")),
            without_signal: Every::new(RARELY),
            bytes: Vec::new(),
            mounts: Arc::default(),
        }
    }

    /// Reads the mounts that exist now. Broken lines are skipped: the list may change while it is
    /// read.
    ///
    /// # Errors
    /// The file cannot be read, or no line of it is a mount.
    pub(super) fn read(&mut self) -> Result<Arc<[Mount]>, SourceError> {
        if !self.must_read() {
            return Ok(Arc::clone(&self.mounts));
        }
        let failed = |file: &KeptFile, problem: &dyn Display| {
            SourceError::new(format_args!("{}: {problem}", file.path().display()))
        };
        let (file, read) = match self.of_init.read_bytes(&mut self.bytes) {
            // procfs may hide the processes of other users.
            Err(error) if is_hidden(&error) => {
                let read = self.of_self.read_bytes(&mut self.bytes);
                (&self.of_self, read)
            }
            read => (&self.of_init, read),
        };
        if read.map_err(|error| failed(file, &error))? {
            let lines = || self.bytes.split(|byte| *byte == b'\n').filter_map(Line::parse);
            if lines().next().is_none() {
                let error = failed(file, &"no mounts");
                // Parse it again in the next reading.
                self.bytes.clear();
                return Err(error);
            }
            self.mounts = self.select(lines);
        }
        Ok(Arc::clone(&self.mounts))
    }

    fn must_read(&mut self) -> bool {
        let file = if self.of_init.is_open() { &self.of_init } else { &self.of_self };
        // A signal is seen once, so it must be looked for in any case.
        let may_have_changed = file.may_have_changed();
        self.without_signal.is_due() || may_have_changed || self.bytes.is_empty()
    }

    fn select<'a, L: Iterator<Item = Line<'a>>>(&self, lines: impl Fn() -> L) -> Arc<[Mount]> {
        // Also of mounts that are not selected.
        let hanging: HashSet<PathBuf> = lines()
            .filter(|line| !PROMPT_TYPES.contains(&line.fs_type))
            .filter(|line| !LOCAL_TYPES.contains(&line.fs_type))
            .map(|line| self.path(&line))
            .collect();
        let mut seen = HashSet::new();
        let mounts = lines().filter_map(|line| self.mount(&line)).filter(|mount| {
            seen.insert([&mount.device, &mount.mount_point, &mount.fs_type].map(Clone::clone))
        });
        let mut mounts: Vec<_> = mounts.take(MAX_MOUNTS).collect();
        for mount in mounts.iter_mut().filter(|mount| mount.is_prompt) {
            mount.is_prompt = !mount.path.ancestors().any(|path| hanging.contains(path));
        }
        mounts.into()
    }

    /// Returns the mount in a line; `None` if it is not selected.
    fn mount(&self, line: &Line<'_>) -> Option<Mount> {
        let text = |bytes| Box::from(&*String::from_utf8_lossy(bytes));
        let fs_type: Box<str> = text(line.fs_type);
        let mount_point = self.mount_point(line);
        let shown: Box<str> = mount_point.to_string_lossy().into();
        if !self.mount_points.selects(&shown) || !self.fs_types.selects(&fs_type) {
            return None;
        }
        Some(Mount {
            device: text(line.device),
            path: self.options.rootfs(mount_point).into(),
            mount_point: shown,
            fs_type,
            major: line.major.to_string().into(),
            minor: line.minor.to_string().into(),
            read_only: line.read_only,
            is_prompt: PROMPT_TYPES.contains(&line.fs_type),
        })
    }

    /// Returns the mount point on the host.
    fn mount_point(&self, line: &Line<'_>) -> PathBuf {
        let mount_point = PathBuf::from(OsString::from_vec(unescape(line.mount_point)));
        on_host(self.options.root(), mount_point)
    }

    /// Returns the path of the mount point for this process.
    fn path(&self, line: &Line<'_>) -> PathBuf {
        self.options.rootfs(self.mount_point(line))
    }
}

impl<'a> Line<'a> {
    /// Parses a line, with a single space between fields:
    /// `ID PARENT MAJOR:MINOR ROOT MOUNT_POINT OPTIONS TAG... - TYPE DEVICE SUPER_OPTIONS`.
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b' ');
        let (major, minor) = str::from_utf8(fields.nth(2)?).ok()?.split_once(':')?;
        let mount_point = fields.nth(1)?;
        let options = fields.next()?;
        fields.find(|field| *field == b"-")?;
        let (fs_type, device, super_options) = (fields.next()?, fields.next()?, fields.next()?);
        let has = |options: &[u8], name: &[u8]| options.split(|b| *b == b',').any(|o| o == name);
        Some(Self {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
            mount_point,
            fs_type,
            device,
            read_only: has(options, b"ro")
                || has(super_options, b"ro")
                || has(super_options, b"emergency_ro"),
        })
    }
}

/// Returns whether the process does not exist for this user.
fn is_hidden(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
}

/// Returns a mount point as it is on the host, whose root is mounted at `root` here.
fn on_host(root: &Path, mount_point: PathBuf) -> PathBuf {
    match mount_point.strip_prefix(root) {
        Ok(rest) => Path::new("/").join(rest),
        Err(_) => mount_point,
    }
}

/// Replaces octal escapes: the kernel escapes white space and backslashes.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let escape = if *first == b'\\' { escaped(after) } else { None };
        let (byte, after) = escape.unwrap_or((*first, after));
        bytes.push(byte);
        rest = after;
    }
    bytes
}

/// Returns the byte of three octal digits, and what follows them.
fn escaped(digits: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, after) = digits.split_at_checked(3)?;
    let value = digits.iter().try_fold(0_u16, |value, digit| {
        matches!(digit, b'0'..=b'7').then(|| value * 8 + u16::from(digit - b'0'))
    });
    Some((u8::try_from(value?).ok()?, after))
}

#[cfg(test)]
#[path = "mounts_tests.rs"]
mod tests;
