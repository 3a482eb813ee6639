//! Reading the files that hold secrets or say whom to believe: bounded, without waiting for
//! anybody, and where they hold secrets not if everybody may read them.

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::path::Path;

/// What is in a file of at most so many bytes that not everybody may read or change.
///
/// # Errors
/// What is wrong with it, without its path, and what to do.
pub(crate) fn read(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    read_if(path, most, |metadata| match open_to_everybody(metadata) {
        Some(mode) => Err(format!(
            "everybody on this host may read or change it (mode {mode:03o}). chmod 600 it, or 640 and give it the agent's group"
        )),
        None => Ok(()),
    })
}

/// What is in a file of at most so many bytes that anybody may read.
///
/// # Errors
/// What is wrong with it, without its path.
pub(crate) fn read_public(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    read_if(path, most, |_| Ok(()))
}

fn read_if(
    path: &Path,
    most: u64,
    will_do: impl Fn(&Metadata) -> Result<(), String>,
) -> Result<Vec<u8>, String> {
    let cannot = |error| format!("it cannot be read: {error}");
    // Asked before it is opened: to open a FIFO is to wait for who writes to it.
    if !fs::metadata(path).map_err(cannot)?.is_file() {
        return Err("it is not a file".to_owned());
    }
    let file = File::open(path).map_err(cannot)?;
    will_do(&file.metadata().map_err(cannot)?)?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > most {
        return Err(format!("it has more than {most} bytes; is it the right file?"));
    }
    Ok(bytes)
}

/// The file's mode, if it lets others than its owner and group in.
#[cfg(unix)]
fn open_to_everybody(metadata: &Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o777;
    (mode & 0o007 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn open_to_everybody(_: &Metadata) -> Option<u32> {
    None
}
