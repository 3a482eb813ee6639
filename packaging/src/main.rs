//! Writes the man pages and shell completions of the programs, for `packaging/build`.
//!
//! They are not written by a build script, because only packages need them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Command;
use clap_complete::Shell;

/// Shells that have completions, with the directory of each below the output directory.
const SHELLS: [(Shell, &str); 3] =
    [(Shell::Bash, "bash"), (Shell::Zsh, "zsh"), (Shell::Fish, "fish")];
/// Directory of the man pages below the output directory.
const MAN: &str = "man";

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(directory), None) = (arguments.next(), arguments.next()) else {
        bail!("usage: fleetgauge-packaging DIRECTORY");
    };
    for command in programs() {
        write(command, Path::new(&directory))?;
    }
    Ok(())
}

/// Returns the programs of the packages.
fn programs() -> [Command; 3] {
    [
        fleetgauge_agent::cli::command(),
        fleetgauge_collector::cli::command(),
        fleetgauge_top::cli::command(),
    ]
}

/// Writes the man pages and completions of a program below this directory.
fn write(mut command: Command, directory: &Path) -> anyhow::Result<()> {
    let name = command.get_name().to_owned();
    let man = create(directory, MAN)?;
    clap_mangen::generate_to(command.clone(), &man)
        .with_context(|| format!("cannot write the man pages of {name} to {}", man.display()))?;
    for (shell, within) in SHELLS {
        let to = create(directory, within)?;
        clap_complete::generate_to(shell, &mut command, &name, &to).with_context(|| {
            format!("cannot write the {shell} completion of {name} to {}", to.display())
        })?;
    }
    Ok(())
}

/// Creates a directory unless it exists.
fn create(directory: &Path, within: &str) -> anyhow::Result<PathBuf> {
    let path = directory.join(within);
    fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
#[path = "main_tests.rs"]
mod tests;
