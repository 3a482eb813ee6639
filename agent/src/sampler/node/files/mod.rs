//! Files and directories of procfs and sysfs that are read again and again.
//!
//! | file | what it is for |
//! |---|---|
//! | `kept_file.rs` | reads a file that stays open |
//! | `directory.rs` | lists a directory that stays open |
//! | `entries.rs` | keeps files or directories for each entry of a directory |
//! | `device_files.rs` | reads the same files of every device in a directory |

mod device_files;
mod directory;
mod entries;
mod kept_file;

pub(super) use device_files::{Device, DeviceFiles};
pub(super) use directory::Directory;
pub(super) use entries::{
    Entries, Entry, bad_line, malformed, number, number_if_exists, parse, parse_existing_file,
    parse_file, whole_number,
};
pub(in crate::sampler) use kept_file::KeptFile;
