//! `fleetgauge-collector token`: generates a random token and its entry for a credentials file.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgGroup, Args};

use super::{BAD_SETTING, say};
use crate::auth::NewToken;

/// Generate a random token and its entry for a credentials file
///
/// The token goes to standard output, the entry to standard error.
/// With --write the token goes to a file, the entry to standard output:
///
///   fleetgauge-collector token --agent web-1 --write web-1.token >> credentials.toml
///   fleetgauge-collector token --user prometheus --write prometheus.token >> readers.toml
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
#[command(group(ArgGroup::new("whose").required(true).args(["agent", "user"])))]
pub(super) struct TokenCommand {
    /// Agent id, or a prefix followed by *, such as web-*
    #[arg(long, value_name = "ID")]
    agent: Option<String>,
    /// Name of an HTTP user; the token is its bearer token or basic-auth password
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Write the token to a new FILE that only its owner may read
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

impl TokenCommand {
    /// Generates the token and outputs it with its entry.
    pub(super) fn run(&self) -> ExitCode {
        let made = match (&self.agent, &self.user) {
            (Some(agent), _) => NewToken::for_agent(agent),
            (None, user) => NewToken::for_user(user.as_deref().unwrap_or_default()),
        };
        let NewToken { token, entry } = match made {
            Ok(made) => made,
            Err(problem) => {
                say(&problem);
                return ExitCode::from(BAD_SETTING);
            }
        };
        let written = match &self.write {
            Some(path) => to_file(path, &token, &entry),
            None => to_terminal(&token, &entry),
        };
        match written {
            Ok(()) => ExitCode::SUCCESS,
            Err(problem) => {
                say(&problem);
                ExitCode::FAILURE
            }
        }
    }
}

/// Writes the token to a new file and the entry to standard output. If either fails, removes the
/// file.
fn to_file(path: &Path, token: &str, entry: &str) -> Result<(), String> {
    let file = path.display();
    let secret = create_secret(path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            let way_out = "remove it or choose another --write FILE";
            format!("{file} exists and may hold a token in use; {way_out}")
        }
        _ => format!("cannot write the token to {file}: {error}"),
    })?;
    let written = print(secret, &format!("{token}\n"))
        .map_err(|error| format!("cannot write the token to {file}: {error}"))
        .and_then(|()| {
            print(io::stdout(), entry)
                .map_err(|error| format!("cannot write the entry to standard output: {error}"))
        });
    written.map_err(|problem| {
        // The token is not valid anywhere. If the file stays, the next attempt fails because it
        // exists.
        match std::fs::remove_file(path) {
            Ok(()) => format!("{problem}; {file} was removed, try again"),
            Err(error) => format!(
                "{problem}; cannot remove {file} ({error}); delete it, its token is not valid"
            ),
        }
    })
}

fn to_terminal(token: &str, entry: &str) -> Result<(), String> {
    let cannot = |error| format!("cannot write the token and its entry: {error}; discard both");
    print(io::stdout(), &format!("{token}\n")).map_err(cannot)?;
    print(io::stderr(), entry).map_err(cannot)
}

fn print(mut to: impl Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.flush()
}

/// Creates a new file with mode 600.
fn create_secret(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
