//! `fleetgauge-agent join`: names the collectors in the settings file and starts the service.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Args, Parser};
use fleetgauge_common::secret_file;

use super::{BAD_SETTING, CommandLine, bad_settings, say, settings};
use crate::config::Collector;

/// Settings file of the service.
const SERVICE_SETTINGS: &str = "/etc/fleetgauge/agent.toml";
/// Unit of the service.
const SERVICE: &str = "fleetgauge-agent.service";
/// Exists if systemd is the running service manager: sd_booted(3).
const SYSTEMD_RUNS: &str = "/run/systemd/system";
/// Maximum size of the settings file, in bytes: the agent reads no larger one.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Name the collectors in the settings file, then enable and start the service
///
/// Changes only the setting `collector` of the file. Starts nothing if --config names another file
/// than that of the service.
///
///   fleetgauge-agent join collector.example.com:45678
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct JoinCommand {
    /// Collector to report to, HOST:PORT or srv+NAME
    #[arg(value_name = "COLLECTOR", required = true, value_parser = parse)]
    collectors: Vec<String>,
    /// Settings FILE to change
    #[arg(long, value_name = "FILE", default_value = SERVICE_SETTINGS)]
    config: PathBuf,
}

/// Accepts a collector as it is written.
fn parse(text: &str) -> Result<String, String> {
    Collector::parse(text).map(|_| text.to_owned())
}

impl JoinCommand {
    /// Changes the file and starts the service.
    pub(super) fn run(&self) -> ExitCode {
        if let Err(code) = self.change_settings() {
            return code;
        }
        if self.config != Path::new(SERVICE_SETTINGS) {
            return ExitCode::SUCCESS;
        }
        match start_service() {
            Ok(outcome) => {
                say(&outcome);
                ExitCode::SUCCESS
            }
            Err(problem) => {
                say(&problem);
                ExitCode::FAILURE
            }
        }
    }

    /// Replaces the settings file if the new settings are valid.
    fn change_settings(&self) -> Result<(), ExitCode> {
        let failed = |problem: String| {
            say(&problem);
            ExitCode::FAILURE
        };
        let (path, before) = read(&self.config).map_err(failed)?;
        let new = path.with_extension("toml.new");
        let text = with_collectors(&before, &self.collectors);
        write_like(&path, &new, &text).map_err(|error| {
            let _ = fs::remove_file(&new);
            failed(format!("cannot write {}: {error}", new.display()))
        })?;
        if let Err(code) = check(&new) {
            let _ = fs::remove_file(&new);
            say(&format!("{} is unchanged; set collector with an editor", path.display()));
            return Err(code);
        }
        fs::rename(&new, &path)
            .map_err(|error| failed(format!("cannot replace {}: {error}", path.display())))
    }
}

/// Returns the settings file without symbolic links, and its text. A file that does not exist is
/// empty.
fn read(path: &Path) -> Result<(PathBuf, String), String> {
    match fs::canonicalize(path) {
        Ok(path) => match secret_file::read_public_text(&path, MAX_FILE_BYTES) {
            Ok(text) => Ok((path, text)),
            Err(error) => Err(error.to_string()),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok((path.into(), String::new())),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}

/// Returns the text with these collectors instead of the first line that sets, or else shows,
/// `collector` before any table. Without such a line, the setting comes first.
fn with_collectors(text: &str, collectors: &[String]) -> String {
    // An accepted collector has no character that TOML would need escaped.
    let setting = format!("collector = {collectors:?}");
    let is_setting = |line: &&str| {
        let rest = line.trim_start_matches('#').trim_start().strip_prefix("collector");
        rest.is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    let mut lines: Vec<&str> = text.lines().collect();
    let top = lines.iter().position(|line| line.trim_start().starts_with('['));
    let top = &lines[..top.unwrap_or(lines.len())];
    let set = top.iter().position(|line| is_setting(line) && !line.starts_with('#'));
    match set.or_else(|| top.iter().position(is_setting)) {
        Some(line) => lines[line] = &setting,
        None => lines.insert(0, &setting),
    }
    lines.join("\n") + "\n"
}

/// Writes a new file with owner and mode of another one; if that does not exist, readable by all.
fn write_like(existing: &Path, new: &Path, text: &str) -> io::Result<()> {
    // What an interrupted command left.
    match fs::remove_file(new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
    let mode = match fs::metadata(existing) {
        Ok(like) => {
            fchown(&file, Some(like.uid()), Some(like.gid()))?;
            like.mode() & 0o7777
        }
        Err(error) if error.kind() == ErrorKind::NotFound => 0o644,
        Err(error) => return Err(error),
    };
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Reads the settings as the agent does, and reports what is invalid.
fn check(file: &Path) -> Result<(), ExitCode> {
    let arguments: [OsString; 3] = ["fleetgauge-agent".into(), "--config".into(), file.into()];
    let command = CommandLine::try_parse_from(arguments).map_err(|error| {
        say(&error.to_string());
        ExitCode::from(BAD_SETTING)
    })?;
    settings(&command.flags).map_err(|errors| bad_settings(&errors))?;
    Ok(())
}

/// Enables the service, and starts it if systemd runs. Returns what was done.
fn start_service() -> Result<String, String> {
    match systemctl(&["enable", "--quiet", SERVICE]) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let command = format!("fleetgauge-agent --config {SERVICE_SETTINGS}");
            return Ok(format!("this host has no systemd; start the agent with: {command}"));
        }
        Ok(true) => {}
        _ => return Err(format!("cannot enable {SERVICE}; run this command as root")),
    }
    if !Path::new(SYSTEMD_RUNS).exists() {
        return Ok(format!("{SERVICE} is enabled and starts at boot"));
    }
    match systemctl(&["restart", SERVICE]) {
        Ok(true) => Ok(format!("{SERVICE} is enabled and runs")),
        _ => Err(format!("cannot start {SERVICE}; see: journalctl -u {SERVICE}")),
    }
}

/// Runs systemctl. Returns whether it succeeded.
fn systemctl(arguments: &[&str]) -> io::Result<bool> {
    Ok(Command::new("systemctl").args(arguments).status()?.success())
}

#[cfg(test)]
#[path = "join_tests.rs"]
mod tests;
