//! Files and directories of procfs and sysfs that are read again and again.
//!
//! | file | what it is for |
//! |---|---|
//! | `kept_file.rs` | reads a file that stays open |
//! | `shared_texts.rs` | texts of files that several sources read in the same round |
//! | `directory.rs` | lists a directory that stays open |
//! | `entries.rs` | keeps files or directories for each entry of a directory |
//! | `device_files.rs` | reads the same files of every device in a directory |

mod device_files;
mod directory;
mod entries;
mod kept_file;
mod shared_texts;

pub(super) use device_files::{Device, DeviceFiles};
pub(super) use directory::Directory;
pub(super) use entries::{
    Entries, Entry, bad_line, malformed, number, number_if_exists, parse, parse_existing_file,
    parse_file, whole_number,
};
pub(in crate::sampler) use kept_file::KeptFile;
pub(in crate::sampler) use shared_texts::share_texts;
